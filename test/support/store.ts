import { createHash } from 'node:crypto';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { afterAll } from 'vitest';
import { openStores, type Stores } from '../../lib/jobs/stores.ts';
import type { Upload } from '../../lib/sink/s3-target.ts';
import { type TestS3, useS3 } from '../s3/support/use-s3.ts';
import { targetKind } from '../s3/target.ts';

/** What the store under test leaves undone of what AWS documents. Ours, as AWS, leaves nothing. */
export const STORE = {
  /** Computes and checks CRC32s, of parts and of whole objects. */
  checksums: targetKind !== 'ceph' && targetKind !== 'swift',
  /** Refuses to replace an object where an upload is completed with `If-None-Match: *`. */
  conditionalComplete: targetKind !== 'ceph',
  /** Refuses to copy from an object with another ETag than the one asked for. */
  pinnedCopies: targetKind !== 'ceph',
  /** Says that an upload is gone to whoever wants to complete it, rather than 500. */
  knowsGoneUploads: targetKind !== 'ceph',
  /** Takes a body whose checksum comes after it. */
  trailers: targetKind !== 'ceph' && targetKind !== 'swift',
  /** Decodes the name of a copy's source once. Twice, `%25` is read as `%`. */
  decodesCopySourceOnce: targetKind !== 'ceph',
} as const;

export interface TestStore {
  /** A plain client with a bucket of its own: what the tests themselves put, get and look at. */
  readonly s3: TestS3;
  /** What the code under test reads and writes with. */
  readonly stores: Stores;
  /** The same, by way of a proxy. */
  storesAt(endpoint: string): Stores;
  /** The multipart uploads that are open in the bucket. */
  openUploads(): Promise<Upload[]>;
}

/**
 * An S3 with an empty bucket for one file of tests: ours, started for the occasion, or the real one that
 * `UNQCOW_TEST_S3_ENDPOINT` names. Usable inside tests only.
 */
export function useStore(): TestStore {
  const s3 = useS3();
  const opened = new Map<string, Stores>();
  afterAll(() => {
    for (const { reader, writer } of opened.values()) {
      reader.destroy();
      writer.destroy();
    }
  });
  const storesAt = (endpoint: string) => {
    const { region, credentials } = s3.target;
    const stores = opened.get(endpoint) ?? openStores({ endpoint, region, credentials });
    opened.set(endpoint, stores);
    return stores;
  };
  return {
    s3,
    get stores() {
      return storesAt(s3.target.endpoint);
    },
    storesAt,
    async openUploads() {
      const { Uploads = [] } = await s3.client.send(new ListMultipartUploadsCommand({ Bucket: s3.bucket }));
      return Uploads.map(({ Key = '', UploadId = '' }) => ({ bucket: s3.bucket, key: Key, uploadId: UploadId }));
    },
  };
}

/** Bytes that are the same each time and repeat nowhere, so that none can pass for others. */
export function distinctBytes(length: number, seed = 1): Buffer {
  return createHash('shake256', { outputLength: length }).update(String(seed)).digest();
}
