import type { Stores } from '../lib/jobs/stores.ts';
import type { OpenSource } from '../lib/source/byte-source.ts';
import { openFile } from '../lib/source/file.ts';
import type { Location } from '../lib/source/location.ts';
import type { S3Location, S3Pin, S3Terms } from '../lib/source/s3.ts';
import { locationOf } from './location.ts';

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
  /** Opens a file that it names, where the command line lets it, on the same terms. */
  readonly open: (place: Location) => Promise<OpenSource>;
}

/** Opens what the command line names: a path, or `s3://bucket/key[?versionId=]`. */
export async function openNamed(name: string, terms: S3Terms): Promise<Opened> {
  const location = locationOf(name);
  const open = (place: Location) => (place.kind === 'file' ? openFile(place.path) : openObject({ ...place, ...terms }));
  if (location.kind === 'file') return { source: await openFile(location.path), location, pin: undefined, open };
  const source = await openObject({ ...location, ...terms });
  return { source, location, pin: source.pin, open };
}
