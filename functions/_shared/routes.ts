/** The functions of the HTTP API, by their files. */
export type HttpFunction =
  | 'console'
  | 'list-places'
  | 'get-image'
  | 'get-map'
  | 'check-image'
  | 'list-objects'
  | 'get-openapi'
  | 'start-conversion'
  | 'get-conversion'
  | 'stop-conversion'
  | 'start-view'
  | 'no-route';

/** API Gateway routes a HEAD only where it is told to. It is answered like its GET, without the body. */
const read = (path: string, name: HttpFunction) => ({
  [`GET ${path}`]: name,
  [`HEAD ${path}`]: name,
});

/**
 * The HTTP API: route keys as API Gateway has them, and the file in `functions/` that answers. A key that a path cannot
 * carry is given as `?key=`. `$default` takes all that no other route does, and says what is wrong about it.
 */
export const ROUTES: Readonly<Record<string, HttpFunction>> = {
  ...read('/', 'console'),
  ...read('/images/{bucket}/{key+}', 'get-image'),
  ...read('/images/{bucket}', 'get-image'),
  ...read('/maps/{bucket}/{key+}', 'get-map'),
  ...read('/maps/{bucket}', 'get-map'),
  ...read('/checks/{bucket}/{key+}', 'check-image'),
  ...read('/checks/{bucket}', 'check-image'),
  ...read('/places', 'list-places'),
  ...read('/objects/{bucket}', 'list-objects'),
  'POST /conversions': 'start-conversion',
  ...read('/conversions/{id}', 'get-conversion'),
  'DELETE /conversions/{id}': 'stop-conversion',
  'POST /views': 'start-view',
  ...read('/openapi.json', 'get-openapi'),
  $default: 'no-route',
};

/** What anybody may ask, without a token or a signature: it tells nothing of anybody. */
export const isPublic = (route: string): boolean => ROUTES[route] === 'console';

/** The path's parameters, percent-decoded, if it fits. `{name}` takes one segment, `{name+}` the rest of the path. */
export function matchPath(template: string, path: string): Record<string, string> | undefined {
  const names = [...template.matchAll(/\{(\w+)\+?\}/g)].map(([, name = '']) => name);
  const pattern = template
    .replaceAll('.', '\\.')
    .replaceAll(/\{\w+\+\}/g, '(.+)')
    .replaceAll(/\{\w+\}/g, '([^/]+)');
  const found = new RegExp(`^${pattern}$`, 's').exec(path);
  if (!found) return undefined;
  return Object.fromEntries(names.map((name, i) => [name, decode(found[i + 1] ?? '')]));
}

/** The methods that a path takes; none if there is nothing there. */
export function methodsOf(path: string): string[] {
  const methods = Object.keys(ROUTES).flatMap((route) => {
    const [method = '', template] = route.split(' ');
    return template !== undefined && matchPath(template, path) ? [method] : [];
  });
  return [...new Set(methods)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
