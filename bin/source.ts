import { openStores, type Stores } from '../lib/jobs/stores.ts';
import type { OpenSource } from '../lib/source/byte-source.ts';
import { openFile } from '../lib/source/file.ts';
import { type Location, parseLocation } from '../lib/source/location.ts';
import { openS3, type S3Pin } from '../lib/source/s3.ts';

let stores: Stores | undefined;

/** The clients, made when S3 is first spoken to. */
export function theStores(): Stores {
  stores ??= openStores();
  return stores;
}

export interface Opened {
  readonly source: OpenSource;
  readonly location: Location;
  /** Where it lies in S3, if it does. */
  readonly pin: S3Pin | undefined;
}

/** Opens what the command line names: a path, or `s3://bucket/key[?versionId=]`. */
export async function openNamed(name: string): Promise<Opened> {
  const location = parseLocation(name);
  if (location.kind === 'file') return { source: await openFile(location.path), location, pin: undefined };
  const source = await openS3(theStores().reader, location);
  return { source, location, pin: source.pin };
}

/** Opens a file that an image names, where the command line lets it. */
export async function openAt(location: Location): Promise<OpenSource> {
  return location.kind === 'file' ? openFile(location.path) : openS3(theStores().reader, location);
}
