import { realpathSync } from 'node:fs';
import { posix } from 'node:path';
import { UnqcowError } from '../errors.ts';
import { besides, isPlainRelative } from '../relative-name.ts';
import { type Location, parseLocation } from '../source/location.ts';

/** What a caller lets an image reach. */
export interface Gate {
  /** Folders and prefixes, `s3://bucket/prefix/` or paths, under which files that an image names may be opened. */
  readonly allow: readonly string[];
  /** Where a name inside an image lies, whatever it looks like. */
  readonly places: Readonly<Record<string, string>>;
  /** The formats of backing files that state none: by name, or for all under the empty name. */
  readonly backingFormats: Readonly<Record<string, string>>;
}

export const CLOSED: Gate = { allow: [], places: {}, backingFormats: {} };

/**
 * Where a name from inside an image leads: to the place that the caller gave for that very name, or, like a relative key,
 * beside the image that names it, if that is under a prefix that the caller allows. Nothing else is ever opened.
 *
 * @throws UnqcowError `EXTERNAL_REF_DENIED` for all other names: absolute ones, schemes, `..`, and what leads elsewhere.
 */
export function resolve(gate: Gate, from: Location, name: string, at: string): Location {
  const given = Object.hasOwn(gate.places, name) ? gate.places[name] : undefined;
  if (given !== undefined) return parseLocation(given);
  const denied = (why: string) =>
    new UnqcowError('EXTERNAL_REF_DENIED', `the image names another file, ${JSON.stringify(name)}, ${why}`, { at });
  if (!isPlainRelative(name)) throw denied('which is not a plain relative name; say where it lies (--map) to allow it');
  const place = placeBeside(from, name);
  if (gate.allow.some((prefix) => isUnder(place, prefix))) return place;
  throw denied('which is not under an allowed prefix (--allow)');
}

function placeBeside(from: Location, name: string): Location {
  if (from.kind === 's3') return { kind: 's3', bucket: from.bucket, key: besides(from.key, name) };
  return { kind: 'file', path: besides(withoutParents(from.path), name) };
}

/** A path whose folder can be compared as it is written: what `..` leads to, after a link, only the file system can say. */
function withoutParents(path: string): string {
  const folder = posix.dirname(path);
  if (!folder.split('/').includes('..')) return path;
  return posix.join(physical(folder), posix.basename(path));
}

function physical(folder: string): string {
  try {
    // Node's own would take `..` away first.
    return realpathSync.native(folder);
  } catch {
    return folder; // there is none: nor is anything in it
  }
}

function isUnder(place: Location, prefix: string): boolean {
  if (place.kind === 's3') {
    const [, bucket = '', folder = ''] = /^s3:\/\/([^/]+)\/?(.*)$/s.exec(prefix) ?? [];
    const start = folder === '' || folder.endsWith('/') ? folder : `${folder}/`;
    return bucket === place.bucket && place.key.startsWith(start);
  }
  if (/^[a-z0-9]+:\/\//i.test(prefix)) return false;
  const folder = posix.resolve(withoutParents(`${prefix}/.`));
  const relative = posix.relative(folder, posix.resolve(place.path));
  return relative !== '' && relative.split('/')[0] !== '..';
}

/** The format that the caller states for a backing file which does not say it itself. */
export function formatFor({ backingFormats }: Gate, name: string): string | undefined {
  return Object.hasOwn(backingFormats, name) ? backingFormats[name] : backingFormats[''];
}
