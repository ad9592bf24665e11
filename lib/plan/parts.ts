import { UnqcowError } from '../errors.ts';
import { formatBytes } from '../units.ts';
import type { Cell, Cells } from './cells.ts';
import { PLAN_LIMITS, S3_LIMITS } from './s3-limits.ts';

interface PartRange {
  /** 1 to 10,000, without gaps. */
  readonly number: number;
  /** Guest bytes `[start, end)`. */
  readonly start: number;
  readonly end: number;
}

/**
 * One part of the multipart upload.
 *
 * - `zero`: copied from the object of zeros; no byte moves through us.
 * - `copy`: copied from the image itself, where it lies at `host` in one piece; no byte moves through us.
 * - `data`: assembled by a worker out of `stored` bytes of the image.
 */
export type Part =
  | (PartRange & { readonly kind: 'zero' })
  | (PartRange & { readonly kind: 'copy'; readonly host: number })
  | (PartRange & { readonly kind: 'data'; readonly stored: number });

export interface PartOptions {
  /** Whether the store can copy ranges of the image into the upload. */
  readonly copyParts: boolean;
  /** Whether the store can copy ranges of an object of zeros. */
  readonly zeroParts: boolean;
}

/**
 * Turns cells into parts within S3's limits. Cells that are all zeros, and cells that continue one another in the image,
 * become one part of up to 512 MiB; all others are data parts of a cell each. If that makes more than 10,000, copies may
 * grow to 5 GiB, and then two cells are taken for one, until they fit.
 *
 * A pure function of its arguments. @throws UnqcowError `DESTINATION_LIMIT` if data parts would outgrow memory.
 */
export function planParts(cells: Cells, options: PartOptions): Part[] {
  const preferred = foldCells(cells, 1, PLAN_LIMITS.maxCopyPart, options);
  if (preferred.length <= S3_LIMITS.maxParts) return preferred;
  for (let perPart = 1; perPart * PLAN_LIMITS.cell <= PLAN_LIMITS.maxDataPart; perPart *= 2) {
    const parts = foldCells(cells, perPart, S3_LIMITS.maxPart, options);
    if (parts.length <= S3_LIMITS.maxParts) return parts;
  }
  const limit = formatBytes(PLAN_LIMITS.maxDataPart);
  throw new UnqcowError(
    'DESTINATION_LIMIT',
    `the disk does not fit ${S3_LIMITS.maxParts} parts of at most ${limit} of data`,
  );
}

function foldCells(cells: Cells, perPart: number, maxCopy: number, options: PartOptions): Part[] {
  const parts: Part[] = [];
  for (let index = 0; index < cells.count; index += perPart) {
    let part = asPart(parts.length + 1, cells.at(index), options);
    for (let next = index + 1; next < Math.min(index + perPart, cells.count); next += 1) {
      const more = asPart(part.number, cells.at(next), options);
      part = joined(part, more) ?? asData(part, more);
    }
    const last = parts.at(-1);
    const longer = last && joined(last, part);
    if (longer && longer.end - longer.start <= maxCopy) parts[parts.length - 1] = longer;
    else parts.push(part);
  }
  return parts;
}

function asPart(number: number, { start, end, stored, host }: Cell, { copyParts, zeroParts }: PartOptions): Part {
  if (stored === 0 && zeroParts) return { kind: 'zero', number, start, end };
  if (host !== undefined && copyParts) return { kind: 'copy', number, start, end, host };
  return { kind: 'data', number, start, end, stored };
}

/** One part out of two neighbours that move no bytes and continue one another, or nothing. */
function joined(left: Part, right: Part): Part | undefined {
  if (left.kind === 'zero' && right.kind === 'zero') return { ...left, end: right.end };
  const continues =
    left.kind === 'copy' && right.kind === 'copy' && right.host === left.host + right.start - left.start;
  return continues ? { ...left, end: right.end } : undefined;
}

function asData(left: Part, right: Part): Part {
  const { number, start } = left;
  return { kind: 'data', number, start, end: right.end, stored: storedIn(left) + storedIn(right) };
}

/** Bytes of the image that the part is made of. */
export function storedIn(part: Part): number {
  if (part.kind === 'zero') return 0;
  return part.kind === 'copy' ? part.end - part.start : part.stored;
}
