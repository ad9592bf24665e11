import { openStores, type Stores } from '../lib/jobs/stores.ts';
import type { OpenSource } from '../lib/source/byte-source.ts';
import { openFile } from '../lib/source/file.ts';
import { parseLocation } from '../lib/source/location.ts';
import type { Meter } from '../lib/source/metered.ts';
import { openS3, type S3Pin } from '../lib/source/s3.ts';

let stores: Stores | undefined;

/** The clients, made when S3 is first spoken to. */
export function theStores(): Stores {
  stores ??= openStores();
  return stores;
}

export interface Opened {
  readonly source: OpenSource;
  /** Where it lies in S3, if it does. */
  readonly pin: S3Pin | undefined;
}

/** Opens what the command line names: a path, or `s3://bucket/key[?versionId=]`. */
export async function openNamed(name: string, meter?: Meter): Promise<Opened> {
  const location = parseLocation(name);
  if (location.kind === 'file') return { source: await openFile(location.path), pin: undefined };
  const source = await openS3(theStores().reader, location, meter ? { meter } : {});
  return { source, pin: source.pin };
}
