import { UnqcowError, type Warning } from '../errors.ts';
import { SECTOR } from '../units.ts';
import type { ExtentJoiner } from './extent.ts';

/** An L2 entry of any version. */
export interface L2Entry {
  readonly hi: number;
  readonly lo: number;
  /** Guest bytes of its cluster, cut off at the disk's end. */
  readonly start: number;
  readonly end: number;
  readonly l1Index: number;
  readonly index: number;
}

export const placeOf = ({ l1Index, index }: L2Entry): string => `l2[${l1Index}][${index}]`;

/** What decoders of every version know of a file and of how its damage is met. */
export interface DecodeContext {
  /** Length of the file that holds the clusters, in bytes. */
  readonly fileSize: number;
  readonly warn: (warning: Warning) => void;
  /** Whether damage makes lost extents, instead of being refused. */
  readonly salvage?: boolean | undefined;
}

interface PlainContext extends DecodeContext {
  readonly geometry: { readonly encrypted: boolean };
}

/**
 * Adds the bytes of one cluster, or of a part of it. They must start within the file; that less than a cluster of them is
 * missing is a warning, unless there is something to decrypt. With `salvage`, what is missing is lost.
 *
 * @throws UnqcowError `CLUSTER_BEYOND_EOF`, before anything is added.
 */
export function addPlain(
  into: ExtentJoiner,
  start: number,
  end: number,
  host: number,
  entry: L2Entry,
  context: PlainContext,
): void {
  const { fileSize, geometry, warn, salvage } = context;
  if (host + end - start <= fileSize) {
    into.data(start, end, host);
  } else if (salvage) {
    const unit = geometry.encrypted ? SECTOR : 1;
    const there = start + Math.floor(Math.max(0, fileSize - host) / unit) * unit;
    if (there > start) into.data(start, there, host);
    into.lost(there, end, beyondFile(host, fileSize, entry));
  } else {
    if (host >= fileSize || geometry.encrypted) throw beyondFile(host, fileSize, entry);
    warn({ code: 'TAIL_ZERO_PADDED', message: `the file ends inside the cluster at ${host}`, at: placeOf(entry) });
    into.data(start, end, host);
  }
}

export function beyondFile(host: number, fileSize: number, entry: L2Entry): UnqcowError {
  const message =
    host < fileSize
      ? `the file's ${fileSize} bytes end inside the cluster at ${host}`
      : `the cluster at ${host} lies past the file's ${fileSize} bytes`;
  return new UnqcowError('CLUSTER_BEYOND_EOF', message, { at: placeOf(entry) });
}

type Decode<E, C> = (entry: E, context: C, into: ExtentJoiner) => void;

/**
 * How one entry is decoded: with `salvage` so that what would be refused is lost. Nothing of an entry may have been added
 * when it is refused.
 */
export function decoderFor<E extends L2Entry, C extends DecodeContext>(
  decode: Decode<E, C>,
  { salvage }: DecodeContext,
): Decode<E, C> {
  if (!salvage) return decode;
  return (entry, context, into) => {
    try {
      decode(entry, context, into);
    } catch (error) {
      if (!(error instanceof UnqcowError)) throw error;
      into.lost(entry.start, entry.end, error);
    }
  };
}
