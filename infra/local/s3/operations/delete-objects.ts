import { MiB } from '../../../../lib/units.ts';
import { bodyClaims } from '../protocol/body-checks.ts';
import { writeCondition } from '../protocol/conditions.ts';
import { parseXml, textOf, type XmlNode } from '../protocol/parse-xml.ts';
import { receiveText } from '../protocol/receive.ts';
import { header } from '../protocol/request.ts';
import { toXml } from '../protocol/to-xml.ts';
import { S3Error } from '../s3-error.ts';
import type { Operation } from './operation.ts';

const MAX_KEYS = 1000;

/** Answers 204 whether there was an object or not, unless `If-Match` asks for one. */
export const deleteObject: Operation = async (request, { store }) => {
  const { objects } = store.buckets.get(request.bucket);
  if ((request.query.get('versionId') ?? 'null') !== 'null') throw new S3Error('NoSuchVersion');
  if (header(request, 'if-none-match') !== undefined) throw new S3Error('NotImplemented');
  await objects.delete(request.key, writeCondition(request));
  return { status: 204 };
};

/** @throws S3Error `InvalidRequest` without any checksum of the body, `MalformedXML` for no keys or more than 1,000 */
export const deleteObjects: Operation = async (request, { store }) => {
  const { objects } = store.buckets.get(request.bucket);
  const { contentMd5, checksum, trailer } = bodyClaims(request);
  if (contentMd5 === undefined && checksum === undefined && trailer === undefined) {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: Content-MD5 OR x-amz-checksum-*');
  }
  const xml = parseXml(await receiveText(request, 4 * MiB), 'Delete', ['Object']);
  const keys = parseKeys(xml);
  for (const key of keys) await objects.delete(key);
  const deleted = textOf(xml, 'Quiet')?.trim() === 'true' ? [] : keys.map((Key) => ({ Key }));
  return { status: 200, body: toXml('DeleteResult', { Deleted: deleted }) };
};

function parseKeys(xml: XmlNode): string[] {
  const entries = xml.Object;
  if (!Array.isArray(entries) || entries.length === 0 || entries.length > MAX_KEYS) throw new S3Error('MalformedXML');
  return entries.map((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) throw new S3Error('MalformedXML');
    const { Key: key, VersionId: version = 'null', ...others } = entry as Record<string, unknown>;
    if (typeof key !== 'string' || key === '') throw new S3Error('MalformedXML');
    const refused = Object.keys(others).find((name) => !name.startsWith('#'));
    if (refused !== undefined) throw new S3Error('NotImplemented', `${refused} in DeleteObjects is not implemented.`);
    if (version !== 'null') throw new S3Error('NoSuchVersion');
    return key;
  });
}
