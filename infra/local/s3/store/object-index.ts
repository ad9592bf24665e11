import { createHash } from 'node:crypto';
import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import pMap from 'p-map';
import { S3Error } from '../s3-error.ts';
import type { Blobs } from './blobs.ts';
import { compareKeys } from './compare-keys.ts';
import { blobsOf } from './extents.ts';
import { type JsonFiles, readJson, unlessMissing } from './json-file.ts';
import { KeyedLock } from './keyed-lock.ts';
import type { ObjectRecord, ObjectSummary } from './records.ts';

/** One writing of an object. Its blobs stay until it is gone and nobody reads it. */
interface Version extends ObjectSummary {
  readonly version: string;
  readonly uploadId: string | undefined;
  readonly blobs: readonly string[];
  readers: number;
  gone: boolean;
}

/** An object that stays readable until it is released, whatever becomes of its key. */
export interface Held {
  readonly record: ObjectRecord;
  release(): Promise<void>;
}

/** Says no, by throwing, to a write over what is there now. */
export type WriteCondition = (current: ObjectSummary | undefined) => void;

/** A million extents: about 100 MB. */
const CACHED_EXTENTS = 1_000_000;

/**
 * The objects of one bucket. Each is a manifest `HASH.json`, named by the SHA-256 of its key: what is in a key never
 * reaches the file system. Keys, sizes and ETags are kept in memory; extents are read when needed and cached.
 */
export class ObjectIndex {
  readonly #dir: string;
  readonly #files: JsonFiles;
  readonly #blobs: Blobs;
  readonly #versions = new Map<string, Version>();
  readonly #lock = new KeyedLock();
  readonly #records = new LRUCache<string, ObjectRecord>({
    maxSize: CACHED_EXTENTS,
    sizeCalculation: ({ extents }) => extents.length + 1,
  });
  #sorted: readonly string[] | undefined;

  private constructor(dir: string, files: JsonFiles, blobs: Blobs) {
    this.#dir = dir;
    this.#files = files;
    this.#blobs = blobs;
  }

  static async open(dir: string, files: JsonFiles, blobs: Blobs): Promise<ObjectIndex> {
    const index = new ObjectIndex(dir, files, blobs);
    await mkdir(dir, { recursive: true });
    const load = async (name: string) => {
      const record = await readJson<ObjectRecord>(join(dir, name));
      if (record === undefined) return;
      blobs.retain(blobsOf(record.extents));
      index.#set(record);
    };
    await pMap(await readdir(dir), load, { concurrency: 16 });
    return index;
  }

  get size(): number {
    return this.#versions.size;
  }

  /** All keys, in the order of their UTF-8 bytes. */
  keys(): readonly string[] {
    this.#sorted ??= [...this.#versions.keys()].sort(compareKeys);
    return this.#sorted;
  }

  find(key: string): ObjectSummary | undefined {
    return this.#versions.get(key);
  }

  /** The ids of the multipart uploads that became objects here. */
  uploadIds(): string[] {
    return [...this.#versions.values()].flatMap(({ uploadId }) => uploadId ?? []);
  }

  /** The object as it is now, kept until `release`. @throws S3Error `NoSuchKey` */
  async hold(key: string): Promise<Held> {
    for (;;) {
      const version = this.#versions.get(key);
      if (version === undefined) throw new S3Error('NoSuchKey', undefined, { details: { Key: key } });
      version.readers += 1;
      const release = () => this.#release(version);
      const record = this.#records.get(version.version) ?? (await readJson<ObjectRecord>(this.#path(key)));
      if (record?.version === version.version) {
        this.#records.set(version.version, record);
        return { record, release };
      }
      await release(); // replaced between the look into the index and the read: the new one is as good
    }
  }

  /**
   * Puts an object in its key's place, at once and whole. The references to its blobs pass to the index; if this throws
   * they are still the caller's.
   * @throws whatever `condition` throws. S3Error `NoSuchBucket` if the bucket went away meanwhile.
   */
  async put(record: ObjectRecord, condition: WriteCondition): Promise<void> {
    await this.#lock.run(record.key, async () => {
      condition(this.#versions.get(record.key));
      await this.#files.write(this.#path(record.key), record).catch((error) => {
        unlessMissing(error);
        throw new S3Error('NoSuchBucket');
      });
      const before = this.#versions.get(record.key);
      this.#set(record);
      if (before !== undefined) await this.#retire(before);
    });
  }

  /** Whether there was one. @throws whatever `condition` throws. */
  async delete(key: string, condition: WriteCondition = () => {}): Promise<boolean> {
    return this.#lock.run(key, async () => {
      const version = this.#versions.get(key);
      condition(version);
      if (version === undefined) return false;
      await unlink(this.#path(key));
      this.#versions.delete(key);
      this.#sorted = undefined;
      await this.#retire(version);
      return true;
    });
  }

  #path(key: string): string {
    return join(this.#dir, `${createHash('sha256').update(key).digest('hex')}.json`);
  }

  #set(record: ObjectRecord): void {
    const { key, size, etag, lastModified, version, uploadId, extents } = record;
    if (!this.#versions.has(key)) this.#sorted = undefined;
    const blobs = blobsOf(extents);
    this.#versions.set(key, { key, size, etag, lastModified, version, uploadId, blobs, readers: 0, gone: false });
  }

  async #retire(version: Version): Promise<void> {
    version.gone = true;
    this.#records.delete(version.version);
    if (version.readers === 0) await this.#blobs.release(version.blobs);
  }

  async #release(version: Version): Promise<void> {
    version.readers -= 1;
    if (version.gone && version.readers === 0) await this.#blobs.release(version.blobs);
  }
}
