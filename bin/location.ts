import { type Location, parseLocation } from '../lib/source/location.ts';
import { asUsage, UsageError } from './usage.ts';

/** Where what the command line names lies. @throws UsageError for what names nothing. */
export function locationOf(text: string): Location {
  if (text === '') throw new UsageError('an empty name is neither a path nor s3://bucket/key');
  return asUsage(() => parseLocation(text));
}

/** The same of what is to be written. @throws UsageError also for `-`, which elsewhere is stdout. */
export function targetLocation(text: string): Location {
  if (text !== '-') return locationOf(text);
  throw new UsageError('a raw disk does not go to stdout: `unqcow serve` serves it, and ./- is a file of that name');
}
