/** `NAME=PLACE`: where a name inside an image lies. Nothing if it is not that. */
export function namedPlace(text: string): readonly [name: string, place: string] | undefined {
  const [, name, place] = /^(.+?)=(.+)$/s.exec(text) ?? [];
  return name === undefined || place === undefined ? undefined : [name, place];
}

/** `NAME=VALUE` speaks of one file of a chain, `VALUE` of all that have none of their own. */
export function namedOrAll(text: string): readonly [name: string, value: string] {
  const at = text.lastIndexOf('=');
  return at < 0 ? ['', text] : [text.slice(0, at), text.slice(at + 1)];
}
