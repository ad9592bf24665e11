import { createHash } from 'node:crypto';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { MiB } from '../../../../lib/units.ts';
import { combineCrc32 } from '../crc32-combine.ts';
import { crc32Value, parseChecksum } from '../protocol/body-checks.ts';
import { writeCondition } from '../protocol/conditions.ts';
import { parseXml } from '../protocol/parse-xml.ts';
import { receiveText } from '../protocol/receive.ts';
import { header, type S3Request } from '../protocol/request.ts';
import { toXml } from '../protocol/to-xml.ts';
import { S3Error } from '../s3-error.ts';
import { blobsOf, concatenate } from '../store/extents.ts';
import type { Checksum, ObjectRecord, PartSummary } from '../store/records.ts';
import type { Upload } from '../store/uploads.ts';
import { checksumElements } from './checksum-headers.ts';
import { chooseParts, parseParts } from './completed-parts.ts';
import { uploadOf } from './multipart-uploads.ts';
import type { Context, Operation } from './operation.ts';
import { storeObject } from './put-object.ts';

/** 10,000 parts with every element that S3 knows take about 6 MiB. */
const MAX_BODY = 8 * MiB;

/**
 * Makes the object, by reference to the parts' blobs, and ends the upload. Nothing changes if any check fails. A second
 * Complete finds no upload.
 */
export const completeMultipartUpload: Operation = async (request, context) => {
  const upload = uploadOf(request, context);
  const condition = writeCondition(request);
  const listed = parseParts(
    parseXml(await receiveText(completionBody(request), MAX_BODY), 'CompleteMultipartUpload', ['Part']),
  );
  let record: ObjectRecord | undefined;
  await context.store.uploads.finish(upload, async () => {
    const parts = chooseParts(upload, listed);
    checkSize(request, parts);
    const checksum = upload.checksum && checksumOf(upload.checksum, parts);
    checkChecksum(request, checksum);
    const object = await assemble(context, upload, parts, checksum);
    record = await storeObject(context, { cause: 'CompleteMultipartUpload', bucket: upload.bucket, object, condition });
  });
  if (record === undefined) throw new S3Error('InternalError');
  const { bucket: Bucket, key: Key } = upload;
  const result = {
    Location: `http://${header(request, 'host')}${request.path}`,
    Bucket,
    Key,
    ETag: `"${record.etag}"`,
    ...checksumElements(record),
  };
  return { status: 200, body: toXml('CompleteMultipartUploadResult', result) };
};

/** The checksum headers of this request speak of the object, not of the body, unlike those of all others. */
function completionBody(request: S3Request): S3Request {
  const headers = Object.entries(request.headers).filter(([name]) => !name.startsWith('x-amz-checksum-'));
  return { ...request, headers: Object.fromEntries(headers) };
}

function checkSize(request: S3Request, parts: readonly PartSummary[]): void {
  const expected = header(request, 'x-amz-mp-object-size');
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  if (expected === undefined || expected === String(size)) return;
  const message = `The provided 'x-amz-mp-object-size' header does not match what was computed.`;
  throw new S3Error('InvalidRequest', message, { details: { Expected: expected, Computed: String(size) } });
}

/** The object's checksum: that of its bytes, or that of its parts' checksums. */
function checksumOf({ algorithm, type }: NonNullable<Upload['checksum']>, parts: readonly PartSummary[]): Checksum {
  if (type === 'FULL_OBJECT') {
    return {
      algorithm,
      type,
      value: crc32Value(parts.reduce((crc, part) => combineCrc32(crc, part.crc32, part.size), 0)),
    };
  }
  const crcs = Buffer.concat(parts.map((part) => Buffer.from(crc32Value(part.crc32), 'base64')));
  return { algorithm, type, value: `${crc32Value(zlibCrc32(crcs))}-${parts.length}` };
}

/** @throws S3Error `BadDigest` if the request gives another checksum of the object, `InvalidRequest` one that cannot be */
function checkChecksum(request: S3Request, computed: Checksum | undefined): void {
  const names = Object.keys(request.headers).filter((name) => /^x-amz-checksum-(?!type$|algorithm$)/.test(name));
  const [name] = names;
  const type = header(request, 'x-amz-checksum-type');
  if (type !== undefined && type !== computed?.type) {
    throw new S3Error(
      'InvalidRequest',
      `The upload was created with the checksum type ${computed?.type}, not ${type}.`,
    );
  }
  if (name === undefined) return;
  if (names.length > 1) throw new S3Error('InvalidRequest', 'Expecting a single x-amz-checksum- header');
  const given = header(request, name) ?? '';
  const { algorithm, value } = parseChecksum(name, given.replace(/-\d+$/, ''));
  if (computed === undefined || algorithm !== computed.algorithm) {
    const expected = computed?.algorithm ?? 'null';
    throw new S3Error(
      'InvalidRequest',
      `Checksum Type mismatch occurred, expected checksum Type: ${expected}, actual checksum Type: ${algorithm}`,
    );
  }
  if (given !== computed.value && value !== computed.value) {
    throw new S3Error('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`);
  }
}

async function assemble(
  { store }: Context,
  upload: Upload,
  parts: readonly PartSummary[],
  checksum: Checksum | undefined,
) {
  const records = await store.uploads.records(
    upload,
    parts.map(({ number }) => number),
  );
  const extents = concatenate(records.map((record) => record.extents));
  const md5s = parts.map(({ etag }) => Buffer.from(etag, 'hex'));
  store.blobs.retain(blobsOf(extents));
  return {
    key: upload.key,
    headers: upload.headers,
    metadata: upload.metadata,
    size: parts.reduce((sum, { size }) => sum + size, 0),
    etag: `${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-${parts.length}`,
    uploadId: upload.id,
    extents,
    ...(checksum && { checksum }),
  };
}
