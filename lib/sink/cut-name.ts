/** As much of a name's start as takes no more than so many bytes in UTF-8: no character is cut in two. */
export function cutName(name: string, maxBytes: number): string {
  const { read } = new TextEncoder().encodeInto(name, new Uint8Array(maxBytes));
  return name.slice(0, read);
}
