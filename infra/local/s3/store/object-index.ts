import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import pMap from 'p-map';
import { S3Error } from '../s3-error.ts';
import type { Blobs } from './blobs.ts';
import { blobsOf } from './extents.ts';
import { type JsonFiles, readJson, unlessMissing } from './json-file.ts';
import { KeyVersions, type Version, versionOf } from './key-versions.ts';
import { KeyedLock } from './keyed-lock.ts';
import type { ObjectContent, ObjectRecord, ObjectSummary, Versioning } from './records.ts';
import { WatchedKeys } from './watched-keys.ts';

/** An object that stays readable until it is released, whatever becomes of its key. */
export interface Held {
  readonly record: ObjectRecord;
  release(): Promise<void>;
}

/** Says no, by throwing, to a write over what is there now. */
export type WriteCondition = (current: ObjectSummary | undefined) => void;

/** What deleting did: the version that it removed, or the delete marker that it made. */
export interface Deleted {
  readonly versionId?: string;
  readonly isMarker?: boolean;
}

/** A million extents: about 100 MB. */
const CACHED_EXTENTS = 1_000_000;

const nothing: WriteCondition = () => {};

/**
 * The objects of one bucket. Each version is a manifest, `HASH.json` or `HASH.VERSION.json`, named by the SHA-256 of its
 * key: what is in a key never reaches the file system. What listings say is kept in memory; extents are read when needed
 * and cached.
 */
export class ObjectIndex {
  readonly #dir: string;
  readonly #files: JsonFiles;
  readonly #blobs: Blobs;
  readonly #lock = new KeyedLock();
  readonly #records = new LRUCache<string, ObjectRecord>({
    maxSize: CACHED_EXTENTS,
    sizeCalculation: ({ extents }) => extents.length + 1,
  });
  #sequence = 0;
  readonly versions = new KeyVersions();
  /** Who wants to know whether a key is deleted meanwhile. */
  readonly deletions = new WatchedKeys();

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
      index.#add(record);
    };
    await pMap(await readdir(dir), load, { concurrency: 16 });
    return index;
  }

  /** The ids of the multipart uploads that became objects here. */
  uploadIds(): string[] {
    return [...this.versions.values()].flatMap(({ uploadId }) => uploadId ?? []);
  }

  /** The object as it is now, or a version of it, kept until `release`. @throws S3Error as {@link KeyVersions.readable} */
  async hold(key: string, versionId?: string): Promise<Held> {
    for (;;) {
      const version = this.versions.readable(key, versionId);
      version.readers += 1;
      const release = () => this.#release(version);
      const record = this.#records.get(version.version) ?? (await readJson<ObjectRecord>(this.#path(version)));
      if (record?.version === version.version) {
        this.#records.set(version.version, record);
        return { record, release };
      }
      await release(); // replaced between the look into the index and the read: the new one is as good
    }
  }

  /**
   * Puts an object in its key's place, at once and whole: beside its earlier versions, or instead of its null version. The
   * references to its blobs pass to the index; if this throws they are still the caller's.
   * @throws whatever `condition` throws. S3Error `NoSuchBucket` if the bucket went away meanwhile.
   */
  async put(content: ObjectContent, versioning: Versioning | undefined, condition = nothing): Promise<ObjectRecord> {
    return this.#lock.run(content.key, async () => {
      condition(this.versions.current(content.key));
      return this.#write(content, versioning);
    });
  }

  /**
   * Deletes the version that is named; else, in a bucket with versioning, puts a delete marker on top.
   * @throws whatever `condition` throws.
   */
  async delete(key: string, { versionId, versioning, condition = nothing }: DeleteOptions = {}): Promise<Deleted> {
    return this.#lock.run(key, async () => {
      condition(versionId === undefined ? this.versions.current(key) : this.versions.find(key, versionId));
      this.deletions.happened(key);
      if (versionId === undefined && versioning !== undefined) {
        const marker = { key, size: 0, etag: '', headers: {}, metadata: {}, extents: [], isMarker: true } as const;
        const { versionId: id } = await this.#write(marker, versioning);
        return { versionId: id, isMarker: true };
      }
      const version = this.versions.find(key, versionId ?? 'null');
      if (version !== undefined) {
        await unlink(this.#path(version));
        await this.#retire(version);
      }
      return { ...(versionId !== undefined && { versionId }), ...(version?.isMarker && { isMarker: true }) };
    });
  }

  async #write(content: ObjectContent, versioning: Versioning | undefined): Promise<ObjectRecord> {
    const versionId = versioning === 'Enabled' ? randomBytes(24).toString('base64url') : 'null';
    const record: ObjectRecord = {
      ...content,
      version: randomUUID(),
      versionId,
      sequence: this.#sequence + 1,
      lastModified: Date.now(),
    };
    await this.#files.write(this.#path(record), record).catch((error) => {
      unlessMissing(error);
      throw new S3Error('NoSuchBucket');
    });
    const before = this.versions.find(record.key, versionId);
    this.#add(record);
    if (before !== undefined) await this.#retire(before);
    return record;
  }

  #path({ key, versionId }: Pick<ObjectRecord, 'key' | 'versionId'>): string {
    const hash = createHash('sha256').update(key).digest('hex');
    return join(this.#dir, versionId === 'null' ? `${hash}.json` : `${hash}.${versionId}.json`);
  }

  #add(record: ObjectRecord): void {
    this.#sequence = Math.max(this.#sequence, record.sequence);
    this.versions.add(versionOf(record, blobsOf(record.extents)));
  }

  async #retire(version: Version): Promise<void> {
    version.gone = true;
    this.versions.remove(version);
    this.#records.delete(version.version);
    if (version.readers === 0) await this.#blobs.release(version.blobs);
  }

  async #release(version: Version): Promise<void> {
    version.readers -= 1;
    if (version.gone && version.readers === 0) await this.#blobs.release(version.blobs);
  }
}

interface DeleteOptions {
  readonly versionId?: string | undefined;
  readonly versioning?: Versioning | undefined;
  readonly condition?: WriteCondition;
}
