import type { Stores } from '../lib/jobs/stores.ts';
import type { OpenSource } from '../lib/source/byte-source.ts';
import { openFile } from '../lib/source/file.ts';
import { type Location, parseLocation } from '../lib/source/location.ts';
import type { S3Location, S3Pin } from '../lib/source/s3.ts';

let stores: Stores | undefined;

/** The clients, loaded and made when S3 is first spoken to. */
export async function theStores(): Promise<Stores> {
  const { openStores } = await import('../lib/jobs/stores.ts');
  stores ??= openStores();
  return stores;
}

async function openObject(location: S3Location) {
  const { openS3 } = await import('../lib/source/s3.ts');
  return openS3((await theStores()).reader, location);
}

export interface Opened {
  readonly source: OpenSource;
  readonly location: Location;
  /** Where it lies in S3, if it does. */
  readonly pin: S3Pin | undefined;
}

/** On which terms buckets are read from. */
export type Terms = Pick<S3Pin, 'owner' | 'requestPayer'>;

/** Opens what the command line names: a path, or `s3://bucket/key[?versionId=]`. */
export async function openNamed(name: string, terms: Terms = {}): Promise<Opened> {
  const location = { ...parseLocation(name), ...terms };
  if (location.kind === 'file') return { source: await openFile(location.path), location, pin: undefined };
  const source = await openObject(location);
  return { source, location, pin: source.pin };
}

/** Opens a file that an image names, where the command line lets it. */
export async function openAt(location: Location, terms: Terms = {}): Promise<OpenSource> {
  return location.kind === 'file' ? openFile(location.path) : openObject({ ...location, ...terms });
}
