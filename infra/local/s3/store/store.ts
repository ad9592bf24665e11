import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Blobs } from './blobs.ts';
import { Buckets } from './buckets.ts';
import { JsonFiles } from './json-file.ts';
import { Uploads } from './uploads.ts';

/** All that lies on disk. */
export interface Store {
  readonly blobs: Blobs;
  readonly buckets: Buckets;
  readonly uploads: Uploads;
}

/**
 * Opens a data folder, or makes one. Reads all manifests, and deletes what a kill left half done: unfinished files, blobs
 * that no manifest refers to, uploads that are already objects. One process at a time may have a folder open.
 */
export async function openStore(dir: string): Promise<Store> {
  const unfinished = join(dir, 'unfinished');
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  const files = new JsonFiles(unfinished);
  const blobs = await Blobs.open(join(dir, 'blobs'));
  const buckets = await Buckets.open(join(dir, 'buckets'), files, blobs);
  const over = new Set(buckets.list().flatMap(({ objects }) => objects.uploadIds()));
  const uploads = await Uploads.open(join(dir, 'uploads'), files, blobs, over);
  await blobs.sweep();
  return { blobs, buckets, uploads };
}
