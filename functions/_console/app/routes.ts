/** Where one is within the console, as its address says after `#/`. */
export interface Route {
  readonly name: string;
  readonly query: URLSearchParams;
}

export function routeOf(hash: string): Route {
  const [name = '', query = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  return { name, query: new URLSearchParams(query) };
}

/** The address of a place within the console. */
export function to(name: string, query: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const search = new URLSearchParams(given).toString();
  return `#/${name}${search && `?${search}`}`;
}
