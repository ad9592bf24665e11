import { MiB } from '../../../../lib/units.ts';
import { ALGORITHM_NAMES, type Algorithm } from '../checksums/algorithms.ts';
import { textOf, type XmlNode } from '../protocol/parse-xml.ts';
import { S3Error } from '../s3-error.ts';
import type { PartSummary } from '../store/records.ts';
import type { Upload } from '../store/uploads.ts';

const MIN_PART = 5 * MiB;
const MAX_PARTS = 10_000;

/** A part as CompleteMultipartUpload lists it. */
export interface ListedPart {
  readonly number: number;
  readonly etag: string;
  /** In base64, by algorithm. */
  readonly checksums: ReadonlyMap<Algorithm, string>;
}

/** @throws S3Error `MalformedXML` for no parts, too many, or one without its number and ETag; `NotImplemented` */
export function parseParts(xml: XmlNode): ListedPart[] {
  const parts = xml.Part;
  if (!Array.isArray(parts) || parts.length === 0 || parts.length > MAX_PARTS) throw new S3Error('MalformedXML');
  return parts.map((part: unknown) => {
    if (typeof part !== 'object' || part === null) throw new S3Error('MalformedXML');
    const node = part as XmlNode;
    const checksums = checksumsOf(node);
    const number = textOf(node, 'PartNumber')?.trim() ?? '';
    const etag = textOf(node, 'ETag')
      ?.trim()
      .replace(/^"(.*)"$/, '$1');
    if (!/^\d{1,5}$/.test(number) || etag === undefined) throw new S3Error('MalformedXML');
    return { number: Number(number), etag, checksums };
  });
}

function checksumsOf(node: XmlNode): Map<Algorithm, string> {
  const given = Object.keys(node).filter((name) => name.startsWith('Checksum'));
  const other = given.find((name) => !ALGORITHM_NAMES.some((algorithm) => name === `Checksum${algorithm}`));
  if (other !== undefined) throw new S3Error('NotImplemented', `${other} of a part is not implemented.`);
  return new Map(given.map((name) => [name.slice('Checksum'.length) as Algorithm, textOf(node, name)?.trim() ?? '']));
}

/**
 * Holds the list against what was uploaded.
 * @throws S3Error `InvalidPartOrder`, `InvalidPart`, `EntityTooSmall`; `InvalidRequest` where a checksum of each part is
 *   called for and missing
 */
export function chooseParts(upload: Upload, listed: readonly ListedPart[]): PartSummary[] {
  checkOrder(upload, listed);
  const parts = listed.map((item) => matchPart(upload, item));
  for (const { number, size, etag } of parts.slice(0, -1)) {
    if (size >= MIN_PART) continue;
    const details = {
      ProposedSize: String(size),
      MinSizeAllowed: String(MIN_PART),
      PartNumber: String(number),
      ETag: etag,
    };
    throw new S3Error('EntityTooSmall', undefined, { details });
  }
  return parts;
}

/** Ascending; with checksums also without gaps. */
function checkOrder(upload: Upload, listed: readonly ListedPart[]): void {
  let before = 0;
  for (const { number } of listed) {
    if (number <= before) throw new S3Error('InvalidPartOrder');
    if (upload.checksum !== undefined && number !== before + 1) {
      throw new S3Error('InvalidPartOrder', 'With checksums, part numbers must start at 1 and be consecutive.');
    }
    before = number;
  }
}

function matchPart(upload: Upload, { number, etag, checksums }: ListedPart): PartSummary {
  const part = upload.parts.get(number);
  const details = { UploadId: upload.id, PartNumber: String(number), ETag: etag };
  if (part?.etag !== etag) throw new S3Error('InvalidPart', undefined, { details });
  const algorithm = upload.checksum?.algorithm;
  for (const [given, value] of checksums) {
    if (given !== algorithm || value !== part.checksum) throw new S3Error('InvalidPart', undefined, { details });
  }
  if (upload.checksum?.type === 'COMPOSITE' && checksums.size === 0) {
    const message = `The upload was created using a ${algorithm?.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${number} in the request.`;
    throw new S3Error('InvalidRequest', message);
  }
  return part;
}
