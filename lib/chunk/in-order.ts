import type { Disk } from '../format/layer.ts';
import { type ByteRange, splitRange } from '../ranges.ts';
import { MiB, SECTOR } from '../units.ts';
import { assemble } from './assemble.ts';

export interface InOrderOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes that are assembled at a time, a multiple of every cluster size; pieces end on multiples of it. */
  readonly stride?: number;
}

/**
 * Any stretch of a disk in order, piece by piece: the next piece is made while the last one is used.
 *
 * Memory: two pieces, and what `assemble` reads at once. Costs what `assemble` does, for each piece.
 *
 * @param range Guest bytes, within the disk; need not be aligned.
 * @throws UnqcowError as `assemble` does.
 */
export async function* assembleInOrder(
  disk: Disk,
  range: ByteRange,
  { signal, stride = 8 * MiB }: InOrderOptions = {},
): AsyncGenerator<Uint8Array> {
  const pieces = piecesOf(range, stride);
  const make = (index: number) => {
    const piece = pieces[index];
    const made = piece && assembleAny(disk, piece, signal);
    // Whoever awaits it sees it fail; until then nobody does.
    made?.catch(() => undefined);
    return made;
  };
  let ahead = make(0);
  for (let index = 1; ahead; index += 1) {
    const bytes = await ahead;
    ahead = make(index);
    yield bytes;
  }
}

/** Cut where multiples of the stride are, so that no compressed cluster lies in two of them. */
function piecesOf({ start, end }: ByteRange, stride: number): ByteRange[] {
  const first = Math.min(end, Math.ceil((start + 1) / stride) * stride);
  const head = start < end ? [{ start, end: first }] : [];
  return first < end ? [...head, ...splitRange({ start: first, end }, stride)] : head;
}

/** Encrypted bytes come in whole sectors, so what is assembled starts and ends on one. */
async function assembleAny(
  disk: Disk,
  { start, end }: ByteRange,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const sectors = {
    start: Math.floor(start / SECTOR) * SECTOR,
    end: Math.min(Math.ceil(end / SECTOR) * SECTOR, disk.size),
  };
  const bytes = await assemble(disk, sectors, { signal });
  return bytes.subarray(start - sectors.start, end - sectors.start);
}
