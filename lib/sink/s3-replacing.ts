import type { S3Client } from '@aws-sdk/client-s3';
import { UnqcowError } from '../errors.ts';
import { IF_ABSENT, isNotImplemented, type Overwrite, type WriteCondition } from './s3-condition.ts';
import { headObject, type StoredObject, writeIfAbsent } from './s3-object.ts';
import { nameOf, type S3Target } from './s3-target.ts';

/** Tries before giving up, where others write there at the same time. */
const ATTEMPTS = 4;

/**
 * Writes an object so that it replaces only what it may. What is ours is replaced by its ETag, and what is not there is
 * written only where still nothing is: nobody's object is lost between the look and the write. Costs a HEAD for `own`.
 *
 * A store that has no such conditions, or refuses the very ETag that it names, is written to without.
 *
 * @throws UnqcowError `DESTINATION_EXISTS`; as `write` does.
 */
export async function replacing<T>(
  client: S3Client,
  target: S3Target,
  overwrite: Overwrite,
  write: (condition: WriteCondition) => Promise<T>,
): Promise<T> {
  if (overwrite === 'always') return write({});
  if (overwrite === 'never') return writeIfAbsent(client, target, write);
  let refused: string | undefined;
  for (let attempt = 1; ; attempt += 1) {
    const there = await lookAt(client, target, overwrite);
    const condition = there ? { IfMatch: there.etag } : IF_ABSENT;
    try {
      return await write(there && there.etag === refused ? {} : condition);
    } catch (error) {
      if (isNotImplemented(error)) return write({});
      const isChanged = error instanceof UnqcowError && error.code === 'DESTINATION_EXISTS';
      if (!isChanged || attempt === ATTEMPTS) throw error;
      refused = there?.etag;
    }
  }
}

/** Refuses at the start what `replacing` would refuse at the end, by a HEAD. @throws UnqcowError `DESTINATION_EXISTS` */
export async function assertReplaceable(client: S3Client, target: S3Target, overwrite: Overwrite): Promise<void> {
  if (overwrite !== 'always') await lookAt(client, target, overwrite);
}

/** What is there, if it may be replaced. Where we may not look, the write itself finds out whether anything is there. */
async function lookAt(
  client: S3Client,
  target: S3Target,
  overwrite: Exclude<Overwrite, 'always'>,
): Promise<StoredObject | undefined> {
  const there = await headObject(client, target).catch((error: unknown) => {
    if (error instanceof UnqcowError && error.code === 'DESTINATION_DENIED') return undefined;
    throw error;
  });
  if (!there || (overwrite === 'own' && there.isOurs)) return there;
  const why = overwrite === 'own' ? ', and was not made by unqcow' : '';
  throw new UnqcowError('DESTINATION_EXISTS', `${nameOf(target)} exists${why}`);
}
