import { XMLParser } from 'fast-xml-parser';
import { S3Error } from '../s3-error.ts';

export type XmlNode = { readonly [name: string]: unknown };

/**
 * The content of a request's root element: text is never turned into numbers, nor trimmed; `repeated` elements are
 * always arrays.
 * @throws S3Error `MalformedXML` if it is not well-formed, has a document type, or has another root.
 */
export function parseXml(text: string, root: string, repeated: readonly string[]): XmlNode {
  if (/<!DOCTYPE/i.test(text)) throw new S3Error('MalformedXML');
  const parser = new XMLParser({
    parseTagValue: false,
    trimValues: false,
    removeNSPrefix: true,
    htmlEntities: true, // without it, `&#34;` stays as it is
    isArray: (name) => repeated.includes(name),
  });
  let document: XmlNode;
  try {
    document = parser.parse(text, true) as XmlNode;
  } catch {
    throw new S3Error('MalformedXML');
  }
  const content = document[root];
  if (typeof content !== 'object' || content === null) throw new S3Error('MalformedXML');
  return content as XmlNode;
}

/** The text of a child element, or undefined if there is none. @throws S3Error `MalformedXML` if it holds elements. */
export function textOf(node: XmlNode, name: string): string | undefined {
  const value = node[name];
  if (value === undefined || typeof value === 'string') return value;
  throw new S3Error('MalformedXML');
}
