import { UnqcowError } from '../errors.ts';
import type { Disk } from '../format/layer.ts';
import type { S3Target } from '../sink/s3-target.ts';

/**
 * @param isTarget Whether a source's id is of what is to be written to, in any version of it.
 * @throws UnqcowError `BAD_REQUEST` if that is one of the files that the disk is read from.
 */
export function assertElsewhere({ layers }: Disk, isTarget: (id: string) => boolean, at: string): void {
  if (!layers.some(({ source, data }) => isTarget(source.id) || isTarget(data.id))) return;
  throw new UnqcowError('BAD_REQUEST', 'the target is one of the files that the disk is read from', { at });
}

/** Whether a source's id is of an object. Behind the key it has a version and an ETag; a key may have a `#` in it, too. */
export function isVersionOf({ bucket, key }: S3Target, id: string): boolean {
  const name = `s3://${bucket}/${key}`;
  return id.startsWith(name) && /^#[^#]*#[^#]*$/.test(id.slice(name.length));
}
