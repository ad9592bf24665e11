import { HeadObjectCommand, type S3Client, UploadPartCopyCommand } from '@aws-sdk/client-s3';
import { UnqcowError } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import { isPreconditionFailed } from './s3-errors.ts';
import { etagOf, sent, withSignal } from './s3-request.ts';
import { type CopySource, nameOf, type Receipt, type Upload, uploadOf } from './s3-target.ts';

/**
 * Makes a part out of a range of an object in the same store. No byte moves through us. Costs one request. Swift refuses
 * the very ETag of an object that was made in parts: then it is looked at before and after a copy without it, by two more.
 *
 * @throws UnqcowError `SOURCE_CHANGED` if the object is no longer the one that was pinned, or gone; as `putPart` does.
 */
export async function copyPart(
  client: S3Client,
  upload: Upload,
  number: number,
  from: CopySource,
  range: ByteRange,
  signal?: AbortSignal,
): Promise<Receipt> {
  const request = {
    ...uploadOf(upload),
    PartNumber: number,
    CopySource: encodeCopySource(from),
    CopySourceRange: `bytes=${range.start}-${range.end - 1}`,
    ...(from.owner ? { ExpectedSourceBucketOwner: from.owner } : {}),
    ...(from.requestPayer ? { RequestPayer: 'requester' as const } : {}),
  };
  const options = { ...withSignal(signal), requestTimeout: copyTimeout(range.end - range.start) };
  const pinned = new UploadPartCopyCommand({ ...request, CopySourceIfMatch: from.etag });
  const copied = client.send(pinned, options).catch(async (error) => {
    if (isPreconditionFailed(error) && isMadeInParts(from) && (await isUnchanged(client, from, signal))) {
      const result = await client.send(new UploadPartCopyCommand(request), options);
      if (await isUnchanged(client, from, signal)) return result;
    }
    if (error?.name === 'InvalidObjectState') {
      throw new UnqcowError('SOURCE_ARCHIVED', `${nameOf(from)} is archived: restore it first`, { cause: error });
    }
    const isGone = error?.name === 'NoSuchKey' || error?.name === 'NoSuchVersion';
    if (!isGone && !isPreconditionFailed(error)) throw error;
    throw new UnqcowError('SOURCE_CHANGED', `${nameOf(from)} was replaced or deleted before it was copied`, {
      cause: error,
    });
  });
  const { CopyPartResult: result } = await sent(upload, copied, signal);
  const crc32 = result?.ChecksumCRC32;
  return { number, length: range.end - range.start, etag: etagOf(upload, result), ...(crc32 ? { crc32 } : {}) };
}

const isMadeInParts = ({ etag }: CopySource) => etag.includes('-');

/** Costs one request. */
async function isUnchanged(client: S3Client, from: CopySource, signal?: AbortSignal): Promise<boolean> {
  const { bucket, key, versionId, etag, owner, requestPayer } = from;
  const command = new HeadObjectCommand({
    Bucket: bucket,
    Key: key,
    IfMatch: etag,
    ...(versionId ? { VersionId: versionId } : {}),
    ...(owner ? { ExpectedBucketOwner: owner } : {}),
    ...(requestPayer ? { RequestPayer: 'requester' as const } : {}),
  });
  return client.send(command, withSignal(signal)).then(
    () => true,
    () => false,
  );
}

/** A store may say nothing until it has copied: a minute, and as long as 10 MB/s would take. In milliseconds. */
const copyTimeout = (bytes: number) => 60_000 + bytes / 10_000;

/** The SDK sends it as it is, so each segment of the key is encoded here. */
function encodeCopySource({ bucket, key, versionId }: CopySource): string {
  const path = [bucket, ...key.split('/')].map(encodeURIComponent).join('/');
  return versionId ? `${path}?versionId=${encodeURIComponent(versionId)}` : path;
}
