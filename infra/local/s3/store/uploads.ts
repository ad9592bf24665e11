import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import pMap from 'p-map';
import { S3Error } from '../s3-error.ts';
import type { Blobs } from './blobs.ts';
import { blobsOf } from './extents.ts';
import { type JsonFiles, readJson } from './json-file.ts';
import { KeyedLock } from './keyed-lock.ts';
import type { PartRecord, PartSummary, UploadRecord } from './records.ts';

interface Part extends PartSummary {
  readonly blobs: readonly string[];
}

/** An upload that is neither completed nor aborted, with its parts by number. */
export interface Upload extends UploadRecord {
  readonly parts: ReadonlyMap<number, PartSummary>;
}

interface State extends Upload {
  readonly parts: Map<number, Part>;
}

/** The folder of multipart uploads: `ID/upload.json`, and `ID/NUMBER.json` for each part. */
export class Uploads {
  readonly #dir: string;
  readonly #files: JsonFiles;
  readonly #blobs: Blobs;
  readonly #uploads = new Map<string, State>();
  readonly #lock = new KeyedLock();

  private constructor(dir: string, files: JsonFiles, blobs: Blobs) {
    this.#dir = dir;
    this.#files = files;
    this.#blobs = blobs;
  }

  /** Reads every manifest but those of uploads that are `over`: they became objects, and a kill left their files. */
  static async open(dir: string, files: JsonFiles, blobs: Blobs, over: ReadonlySet<string>): Promise<Uploads> {
    const uploads = new Uploads(dir, files, blobs);
    await mkdir(dir, { recursive: true });
    for (const id of await readdir(dir)) {
      const record = over.has(id) ? undefined : await readJson<UploadRecord>(join(dir, id, 'upload.json'));
      if (record === undefined) await rm(join(dir, id), { recursive: true });
      else await uploads.#load(record);
    }
    return uploads;
  }

  /** The uploads into a bucket, in no order. */
  list(bucket: string): Upload[] {
    return [...this.#uploads.values()].filter((upload) => upload.bucket === bucket);
  }

  /** @throws S3Error `NoSuchUpload`, also if the upload is another key's. */
  get(id: string, bucket: string, key: string): Upload {
    const upload = this.#uploads.get(id);
    if (upload?.bucket !== bucket || upload.key !== key)
      throw new S3Error('NoSuchUpload', undefined, { details: { UploadId: id } });
    return upload;
  }

  async create(upload: Omit<UploadRecord, 'id' | 'initiated'>): Promise<UploadRecord> {
    const record: UploadRecord = { ...upload, id: randomBytes(24).toString('base64url'), initiated: Date.now() };
    await mkdir(join(this.#dir, record.id));
    await this.#files.write(join(this.#dir, record.id, 'upload.json'), record);
    this.#uploads.set(record.id, { ...record, parts: new Map() });
    return record;
  }

  /**
   * Adds a part, in the place of an earlier one with its number. The references to its blobs pass to the upload; if this
   * throws they are still the caller's.
   * @throws S3Error `NoSuchUpload` if the upload ended meanwhile.
   */
  async putPart(upload: Upload, record: PartRecord): Promise<void> {
    await this.#lock.run(upload.id, async () => {
      const { parts } = this.#state(upload);
      await this.#files.write(this.#partPath(upload.id, record.number), record);
      const before = parts.get(record.number);
      parts.set(record.number, summaryOf(record));
      if (before !== undefined) await this.#blobs.release(before.blobs);
    });
  }

  /** Reads what parts are made of, 16 at a time. The caller keeps the upload from ending, see {@link finish}. */
  async records(upload: Upload, numbers: readonly number[]): Promise<PartRecord[]> {
    const read = async (number: number) => {
      const record = await readJson<PartRecord>(this.#partPath(upload.id, number));
      if (record === undefined) throw new S3Error('InvalidPart');
      return record;
    };
    return pMap(numbers, read, { concurrency: 16 });
  }

  /**
   * Ends an upload: runs `work` while no part comes or goes, then forgets the upload and its parts. If `work` throws, the
   * upload goes on. @throws S3Error `NoSuchUpload` if someone else ended it first.
   */
  async finish(upload: Upload, work: () => Promise<void> = async () => {}): Promise<void> {
    await this.#lock.run(upload.id, async () => {
      const { parts } = this.#state(upload);
      await work();
      this.#uploads.delete(upload.id);
      await rm(join(this.#dir, upload.id, 'upload.json')); // first: a kill after this leaves no half an upload
      await rm(join(this.#dir, upload.id), { recursive: true });
      for (const { blobs } of parts.values()) await this.#blobs.release(blobs);
    });
  }

  #state({ id, bucket, key }: Upload): State {
    return this.get(id, bucket, key) as State;
  }

  #partPath(id: string, number: number): string {
    return join(this.#dir, id, `${number}.json`);
  }

  async #load(record: UploadRecord): Promise<void> {
    const parts = new Map<number, Part>();
    for (const name of await readdir(join(this.#dir, record.id))) {
      const part = name === 'upload.json' ? undefined : await readJson<PartRecord>(join(this.#dir, record.id, name));
      if (part === undefined) continue;
      const summary = summaryOf(part);
      this.#blobs.retain(summary.blobs);
      parts.set(part.number, summary);
    }
    this.#uploads.set(record.id, { ...record, parts });
  }
}

function summaryOf({ extents, ...summary }: PartRecord): Part {
  return { ...summary, blobs: blobsOf(extents) };
}
