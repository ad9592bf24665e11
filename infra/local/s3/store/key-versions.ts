import { S3Error } from '../s3-error.ts';
import { compareKeys } from './compare-keys.ts';
import type { ObjectRecord, ObjectSummary } from './records.ts';

/** One writing of an object, or a delete marker. Its blobs stay until it is gone and nobody reads it. */
export interface Version extends ObjectSummary {
  readonly version: string;
  readonly versionId: string;
  readonly sequence: number;
  readonly isMarker: boolean;
  readonly uploadId: string | undefined;
  readonly blobs: readonly string[];
  readers: number;
  gone: boolean;
}

export function versionOf(record: ObjectRecord, blobs: readonly string[]): Version {
  const { key, size, etag, lastModified, version, versionId, sequence, isMarker = false, uploadId } = record;
  return {
    key,
    size,
    etag,
    lastModified,
    version,
    versionId,
    sequence,
    isMarker,
    uploadId,
    blobs,
    readers: 0,
    gone: false,
  };
}

/** The versions of all keys of a bucket, in memory. The newest of a key is its current one. */
export class KeyVersions {
  readonly #keys = new Map<string, Version[]>();
  readonly #liveKeys = new Set<string>();
  #live: readonly string[] | undefined;
  #all: readonly string[] | undefined;

  get size(): number {
    return this.#keys.size;
  }

  /** The keys that have an object now, or with `all` those that ever had, in the order of their UTF-8 bytes. */
  sorted({ all = false } = {}): readonly string[] {
    if (all) {
      this.#all ??= [...this.#keys.keys()].sort(compareKeys);
      return this.#all;
    }
    this.#live ??= [...this.#keys].flatMap(([key, [newest]]) => (newest?.isMarker ? [] : key)).sort(compareKeys);
    return this.#live;
  }

  *values(): Generator<Version> {
    for (const versions of this.#keys.values()) yield* versions;
  }

  /** The newest first. */
  of(key: string): readonly Version[] {
    return this.#keys.get(key) ?? [];
  }

  /** The object at a key, unless it is deleted. */
  current(key: string): Version | undefined {
    const newest = this.of(key)[0];
    return newest?.isMarker ? undefined : newest;
  }

  find(key: string, versionId: string): Version | undefined {
    return this.of(key).find((version) => version.versionId === versionId);
  }

  /** What a read gets. @throws S3Error `NoSuchKey`, `NoSuchVersion`, `MethodNotAllowed` for a delete marker by its id */
  readable(key: string, versionId: string | undefined): Version {
    const version = versionId === undefined ? this.of(key)[0] : this.find(key, versionId);
    if (version === undefined && versionId !== undefined)
      throw new S3Error('NoSuchVersion', undefined, { details: { Key: key, VersionId: versionId } });
    if (version !== undefined && !version.isMarker) return version;
    const headers = version && { 'x-amz-delete-marker': 'true', 'x-amz-version-id': version.versionId };
    if (versionId === undefined)
      throw new S3Error('NoSuchKey', undefined, { details: { Key: key }, ...(headers && { headers }) });
    throw new S3Error('MethodNotAllowed', undefined, {
      details: { Method: 'GET', ResourceType: 'DeleteMarker' },
      headers: { ...headers, Allow: 'DELETE', 'Last-Modified': new Date(version?.lastModified ?? 0).toUTCString() },
    });
  }

  add(version: Version): void {
    const versions = this.#keys.get(version.key) ?? [];
    versions.push(version);
    versions.sort((a, b) => b.sequence - a.sequence);
    this.#set(version.key, versions);
  }

  remove(version: Version): void {
    this.#set(
      version.key,
      this.of(version.key).filter((other) => other !== version),
    );
  }

  /** The sorted keys are made anew only if a key came or went: sorting a million takes a second. */
  #set(key: string, versions: Version[]): void {
    const before = { known: this.#keys.has(key), live: this.#liveKeys.has(key) };
    if (versions.length > 0) this.#keys.set(key, versions);
    else this.#keys.delete(key);
    const live = versions.length > 0 && versions[0]?.isMarker !== true;
    if (live) this.#liveKeys.add(key);
    else this.#liveKeys.delete(key);
    if (before.live !== live) this.#live = undefined;
    if (before.known !== versions.length > 0) this.#all = undefined;
  }
}
