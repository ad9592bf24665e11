import { readFile } from 'node:fs/promises';
import { UnqcowError } from '../lib/errors.ts';
import type { Gate } from '../lib/jobs/gate.ts';
import type { Passphrases } from '../lib/jobs/unlock.ts';
import { namedOrAll, namedPlace } from '../lib/named.ts';
import { parseLocation } from '../lib/source/location.ts';
import { asUsage, UsageError } from './usage.ts';

/** What the command line says about files that an image names. */
export interface GateFlags {
  readonly passphraseFile?: string[];
  readonly allow?: string[];
  readonly map?: string[];
  readonly backingFormat?: string[];
}

/** @throws UsageError for a `--map` without a name and a place. */
export function gateOf({ allow = [], map = [], backingFormat = [] }: GateFlags): Gate {
  const places = map.map((text) => {
    const named = namedPlace(text);
    if (named === undefined) throw new UsageError(`${text} is not NAME=LOCATION`);
    asUsage(() => parseLocation(named[1]));
    return named;
  });
  return {
    allow,
    places: Object.fromEntries(places),
    backingFormats: Object.fromEntries(backingFormat.map(namedOrAll)),
  };
}

/**
 * Reads the passphrases' files — their exact bytes, a newline at the end too — and overwrites what was read after use.
 *
 * @throws UnqcowError `BAD_REQUEST` if one cannot be read.
 */
export async function withPassphrases<T>(flags: GateFlags, use: (passphrases: Passphrases) => Promise<T>): Promise<T> {
  const passphrases = await readPassphrases(flags);
  try {
    return await use(passphrases);
  } finally {
    for (const bytes of Object.values(passphrases)) bytes.fill(0);
  }
}

async function readPassphrases({ passphraseFile = [] }: GateFlags): Promise<Passphrases> {
  const read = async (text: string) => {
    const [name, path] = namedOrAll(text);
    const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
      throw new UnqcowError('BAD_REQUEST', `the passphrase file ${path} cannot be read (${cause.code})`, { cause });
    });
    return [name, bytes] as const;
  };
  return Object.fromEntries(await Promise.all(passphraseFile.map(read)));
}
