/** `folder/base.qcow2`, and nothing that a file system, an URL or QEMU's block layer would read anything else into. */
export function isPlainRelative(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (name === '' || /[\\:%\u0000-\u001f\u007f\ufffd]/.test(name)) return false;
  return name.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

/**
 * What a name inside a file or object leads to, by path or key. Nothing is simplified: `a//b` is a key of its own, and the
 * folder before a `..` may be a link.
 */
export const besides = (path: string, name: string): string => path.slice(0, path.lastIndexOf('/') + 1) + name;
