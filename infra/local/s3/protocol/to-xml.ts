const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** What an element may hold. An array repeats its element; what is undefined is left out. */
export type XmlValue =
  | string
  | number
  | boolean
  | undefined
  | readonly XmlValue[]
  | { readonly [name: string]: XmlValue };

/** Escapes control characters too, as S3 does: a key may hold any of them. */
function escapeXml(text: string): string {
  const named: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to be escaped
  return text.replace(/[&<>"\u0000-\u001f\u007f]/g, (c) => named[c] ?? `&#x${c.charCodeAt(0).toString(16)};`);
}

function element(name: string, value: XmlValue, attributes = ''): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return value.map((item) => element(name, item)).join('');
  const inner =
    typeof value === 'object'
      ? Object.entries(value)
          .map(([child, held]) => element(child, held))
          .join('')
      : escapeXml(String(value));
  return `<${name}${attributes}>${inner}</${name}>`;
}

/** A whole document with one root element. */
export function toXml(root: string, value: XmlValue, { namespace = true } = {}): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element(root, value, namespace ? ` xmlns="${NAMESPACE}"` : '')}`;
}
