import type { ByteSource } from '../../source/byte-source.ts';
import { HEAD_LENGTH } from '../../source/with-head.ts';
import { backingName } from '../backing-name.ts';
import type { OpenOptions } from '../checks.ts';
import { knownFormat } from '../known-formats.ts';
import { Warnings } from '../warnings.ts';
import { diskSizeOf, type Qcow1Geometry } from './geometry.ts';
import { backingNameRange, parseQcow1Header, type Qcow1Header } from './header.ts';

/** A version 1 image whose header was read and found sound. No table and no guest data was read yet. */
export interface Qcow1Image {
  readonly source: ByteSource;
  readonly header: Qcow1Header;
  readonly geometry: Qcow1Geometry;
  /** The image file's length, in bytes. */
  readonly fileSize: number;
  /** The format is never stated: version 1 has no field for it. */
  readonly backing: { readonly name: string; readonly format: undefined } | undefined;
  readonly warnings: Warnings;
}

/**
 * Reads and checks the header: one read of 64 KiB, a second one where the backing file's name lies further on, as QEMU
 * never writes it. The L1 table is not read: it may be 2 GiB long.
 *
 * @throws UnqcowError as `parseQcow1Header` does.
 */
export async function openQcow1(source: ByteSource, options: OpenOptions = {}): Promise<Qcow1Image> {
  const warnings = new Warnings();
  const head = await source.read({ start: 0, end: Math.min(HEAD_LENGTH, source.size) });
  const header = parseQcow1Header(head, source.size, warnings.add, options);
  const other = knownFormat(head);
  if (other) warnings.add({ code: 'MULTIPLE_FORMATS', message: `the file also carries the signature of ${other}` });
  const { clusterBits, l2Bits, cryptMethod } = header;
  return {
    source,
    header,
    geometry: { version: 1, clusterBits, l2Bits, diskSize: diskSizeOf(header), encrypted: cryptMethod !== 0 },
    fileSize: source.size,
    backing: await backingOf(source, header, head, warnings),
    warnings,
  };
}

async function backingOf(
  source: ByteSource,
  header: Qcow1Header,
  head: Uint8Array,
  warnings: Warnings,
): Promise<Qcow1Image['backing']> {
  const range = backingNameRange(header);
  if (!range) return undefined;
  const bytes = range.end <= head.length ? head.subarray(range.start, range.end) : await source.read(range);
  const name = backingName(bytes, warnings.add);
  return name === undefined ? undefined : { name, format: undefined };
}
