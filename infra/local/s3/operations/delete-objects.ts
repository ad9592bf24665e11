import { MiB } from '../../../../lib/units.ts';
import { bodyClaims } from '../protocol/body-claims.ts';
import { writeCondition } from '../protocol/conditions.ts';
import { parseXml, textOf, type XmlNode } from '../protocol/parse-xml.ts';
import { receiveText } from '../protocol/receive.ts';
import { header } from '../protocol/request.ts';
import { toXml, type XmlValue } from '../protocol/to-xml.ts';
import { S3Error } from '../s3-error.ts';
import type { Deleted } from '../store/object-index.ts';
import type { Operation } from './operation.ts';
import { deletionHeaders, versionAsked } from './version-headers.ts';

const MAX_KEYS = 1000;

/** Answers 204 whether there was an object or not, unless `If-Match` asks for one. */
export const deleteObject: Operation = async (request, { store }) => {
  const { objects, versioning } = store.buckets.get(request.bucket);
  if (header(request, 'if-none-match') !== undefined) throw new S3Error('NotImplemented');
  const versionId = versionAsked(request);
  const deleted = await objects.delete(request.key, { versionId, versioning, condition: writeCondition(request) });
  return { status: 204, headers: deletionHeaders(deleted) };
};

/** @throws S3Error `InvalidRequest` without any checksum of the body, `MalformedXML` for no keys or more than 1,000 */
export const deleteObjects: Operation = async (request, { store }) => {
  const { objects, versioning } = store.buckets.get(request.bucket);
  const { contentMd5, checksum, trailer } = bodyClaims(request);
  if (contentMd5 === undefined && checksum === undefined && trailer === undefined) {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: Content-MD5 OR x-amz-checksum-*');
  }
  const xml = parseXml(await receiveText(request, 4 * MiB), 'Delete', ['Object']);
  const isQuiet = textOf(xml, 'Quiet')?.trim() === 'true';
  const deleted: XmlValue[] = [];
  for (const { key, versionId } of parseKeys(xml)) {
    const done = await objects.delete(key, { versionId, versioning });
    if (!isQuiet) deleted.push(describe(key, versionId, done));
  }
  return { status: 200, body: toXml('DeleteResult', { Deleted: deleted }) };
};

/** A version that was asked for is named as such, a delete marker that was made or removed as a delete marker. */
function describe(Key: string, VersionId: string | undefined, done: Deleted): XmlValue {
  return {
    Key,
    VersionId,
    DeleteMarker: done.isMarker,
    DeleteMarkerVersionId: done.isMarker ? done.versionId : undefined,
  };
}

function parseKeys(xml: XmlNode): { readonly key: string; readonly versionId: string | undefined }[] {
  const entries = xml.Object;
  if (!Array.isArray(entries) || entries.length === 0 || entries.length > MAX_KEYS) throw new S3Error('MalformedXML');
  return entries.map((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) throw new S3Error('MalformedXML');
    const { Key: key, VersionId: versionId, ...others } = entry as Record<string, unknown>;
    if (typeof key !== 'string' || key === '') throw new S3Error('MalformedXML');
    if (versionId !== undefined && typeof versionId !== 'string') throw new S3Error('MalformedXML');
    const refused = Object.keys(others).find((name) => !name.startsWith('#'));
    if (refused !== undefined) throw new S3Error('NotImplemented', `${refused} in DeleteObjects is not implemented.`);
    return { key, versionId };
  });
}
