/** `folder/base.qcow2`, and nothing that a file system, an URL or QEMU's block layer would read anything else into. */
export function isPlainRelative(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (name === '' || /[\\:%\u0000-\u001f\u007f\ufffd]/.test(name)) return false;
  return name.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

/** The key that a name inside an object leads to. A key is no path: `/a` and `a//b` are keys of their own. */
export const keyBeside = (key: string, name: string): string => key.slice(0, key.lastIndexOf('/') + 1) + name;
