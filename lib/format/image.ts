import { UnqcowError } from '../errors.ts';
import type { ByteSource } from '../source/byte-source.ts';
import { HEAD_LENGTH } from '../source/with-head.ts';
import { backingName } from './backing-name.ts';
import { checkFacts, type Facts, hasBacking, nameOfFeature, type OpenOptions } from './checks.ts';
import { lastOf, readExtensions, text } from './extensions.ts';
import { featuresOf } from './features.ts';
import type { Qcow2Geometry } from './geometry.ts';
import { parseHeader } from './header.ts';
import { knownFormat } from './known-formats.ts';
import { Warnings } from './warnings.ts';

/** An image whose header was read and found sound. No table and no guest data was read yet. */
export interface Image extends Facts {
  readonly source: ByteSource;
  readonly geometry: Qcow2Geometry;
  readonly backing: { readonly name: string; readonly format: string | undefined } | undefined;
  readonly dataFile: { readonly name: string | undefined; readonly raw: boolean } | undefined;
  readonly warnings: Warnings;
}

/**
 * Reads and checks the header and its extensions: one read of 64 KiB, a second one where extensions or the backing
 * file's name lie further on.
 *
 * @throws UnqcowError as `parseHeader`, `readExtensions` and `checkFacts` do.
 */
export async function openImage(source: ByteSource, options: OpenOptions = {}): Promise<Image> {
  const warnings = new Warnings();
  const head = await source.read({ start: 0, end: Math.min(HEAD_LENGTH, source.size) });
  const header = parseHeader(head, source.size, warnings.add);
  const extensions = await readExtensions(source, header, head);
  const facts: Facts = { header, features: featuresOf(header), extensions, fileSize: source.size };
  checkFacts(facts, warnings.add, options);
  const other = knownFormat(head);
  if (other) warnings.add({ code: 'MULTIPLE_FORMATS', message: `the file also carries the signature of ${other}` });
  const diskSize = Number(header.size - (header.size % 512n));
  return {
    ...facts,
    source,
    geometry: {
      version: header.version as 2 | 3,
      clusterBits: header.clusterBits,
      diskSize,
      extendedL2: facts.features.extendedL2,
      compression: header.compressionType === 1 ? 'zstd' : 'deflate',
      dataFile: facts.features.dataFile,
      encrypted: header.cryptMethod !== 0,
    },
    backing: await backingOf(source, facts, head, warnings),
    dataFile: dataFileOf(facts),
    warnings,
  };
}

async function backingOf(
  source: ByteSource,
  { header, extensions }: Facts,
  head: Uint8Array,
  warnings: Warnings,
): Promise<Image['backing']> {
  if (!hasBacking(header)) return undefined;
  const start = Number(header.backingFileOffset);
  const end = start + header.backingFileSize;
  if (end > source.size) {
    throw new UnqcowError('BAD_BACKING_NAME', 'the name lies past the end of the file', {
      at: 'header.backing_file_offset',
    });
  }
  const format = lastOf(extensions, 'backing format');
  const bytes = end <= head.length ? head.subarray(start, end) : await source.read({ start, end });
  const name = backingName(bytes, warnings.add);
  // An empty one states nothing.
  return name === undefined ? undefined : { name, format: (format && text(format.data)) || undefined };
}

function dataFileOf({ features, extensions }: Facts): Image['dataFile'] {
  if (!features.dataFile) return undefined;
  const name = lastOf(extensions, 'data file name');
  return { name: name && text(name.data), raw: features.rawDataFile };
}

/**
 * Refuses an image whose guest bytes cannot be located, before any of them is read.
 *
 * @throws UnqcowError `UNSUPPORTED_FEATURE`, `BAD_DATA_FILE`.
 */
export function assertMappable({ features, extensions }: Image): void {
  if (features.unknownIncompatible.length > 0) {
    const names = features.unknownIncompatible.map((bit) => nameOfFeature(extensions, 'incompatible', bit));
    throw new UnqcowError('UNSUPPORTED_FEATURE', `the image needs ${names.join(', ')}`, {
      at: 'header.incompatible_features',
    });
  }
  if (features.rawDataFile && !features.dataFile) {
    throw new UnqcowError('BAD_DATA_FILE', 'the raw data file bit is set without a data file', {
      at: 'header.autoclear_features',
    });
  }
}
