import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { S3Error, type S3ErrorCode } from '../s3-error.ts';
import type { Blobs } from './blobs.ts';
import { type JsonFiles, readJson } from './json-file.ts';
import { KeyedLock } from './keyed-lock.ts';
import { ObjectIndex } from './object-index.ts';
import type { Versioning } from './records.ts';

interface BucketRecord {
  readonly name: string;
  readonly created: number;
  /** Undefined as long as nobody asked for it. */
  readonly versioning?: Versioning;
}

/** One bucket. `created` in milliseconds since 1970. */
export interface Bucket extends BucketRecord {
  readonly objects: ObjectIndex;
}

/** The folder of buckets: `NAME/bucket.json`, and `NAME/objects/` for its {@link ObjectIndex}. */
export class Buckets {
  readonly #dir: string;
  readonly #files: JsonFiles;
  readonly #blobs: Blobs;
  readonly #buckets = new Map<string, Bucket>();
  readonly #lock = new KeyedLock();

  private constructor(dir: string, files: JsonFiles, blobs: Blobs) {
    this.#dir = dir;
    this.#files = files;
    this.#blobs = blobs;
  }

  /** Reads every manifest. A folder without `bucket.json` is a bucket whose making or deleting a kill cut short: it goes. */
  static async open(dir: string, files: JsonFiles, blobs: Blobs): Promise<Buckets> {
    const buckets = new Buckets(dir, files, blobs);
    await mkdir(dir, { recursive: true });
    for (const name of await readdir(dir)) {
      const record = await readJson<BucketRecord>(join(dir, name, 'bucket.json'));
      if (record === undefined) await rm(join(dir, name), { recursive: true });
      else await buckets.#add(record);
    }
    return buckets;
  }

  list(): Bucket[] {
    return [...this.#buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws S3Error `NoSuchBucket` */
  get(name: string): Bucket {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) throw refusal('NoSuchBucket', name);
    return bucket;
  }

  /** @throws S3Error `InvalidBucketName`, `BucketAlreadyOwnedByYou` */
  async create(name: string): Promise<void> {
    const valid = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !/\.\.|^\d+\.\d+\.\d+\.\d+$/.test(name);
    if (!valid) throw refusal('InvalidBucketName', name);
    await this.#lock.run(name, async () => {
      if (this.#buckets.has(name)) throw refusal('BucketAlreadyOwnedByYou', name);
      await mkdir(join(this.#dir, name, 'objects'), { recursive: true });
      const record = { name, created: Date.now() };
      await this.#files.write(join(this.#dir, name, 'bucket.json'), record);
      await this.#add(record);
    });
  }

  /** @throws S3Error `NoSuchBucket` */
  async setVersioning(name: string, versioning: Versioning): Promise<void> {
    await this.#lock.run(name, async () => {
      const { objects, ...before } = this.get(name);
      const record = { ...before, versioning };
      await this.#files.write(join(this.#dir, name, 'bucket.json'), record);
      this.#buckets.set(name, { ...record, objects });
    });
  }

  /** @throws S3Error `NoSuchBucket`, `BucketNotEmpty` */
  async delete(name: string): Promise<void> {
    await this.#lock.run(name, async () => {
      if (this.get(name).objects.versions.size > 0) throw refusal('BucketNotEmpty', name);
      this.#buckets.delete(name);
      await rm(join(this.#dir, name, 'bucket.json'));
      await rm(join(this.#dir, name), { recursive: true });
    });
  }

  async #add(record: BucketRecord): Promise<void> {
    const objects = await ObjectIndex.open(join(this.#dir, record.name, 'objects'), this.#files, this.#blobs);
    this.#buckets.set(record.name, { ...record, objects });
  }
}

const refusal = (code: S3ErrorCode, name: string) => new S3Error(code, undefined, { details: { BucketName: name } });
