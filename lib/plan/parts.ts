import { UnqcowError } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import { AWS_MODEL } from './aws-model.ts';
import type { Run, Runs } from './runs.ts';
import { PLAN_LIMITS, type PlanLimits, S3_LIMITS } from './s3-limits.ts';
import { type Stretch, stretchesOf } from './stretches.ts';

interface PartRange extends ByteRange {
  /** 1 to 10,000, without gaps. */
  readonly number: number;
}

/**
 * One part of the multipart upload: guest bytes `[start, end)`.
 *
 * - `zero`: copied from an object of zeros; no byte moves through us.
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
  /** The longest zero part, unless 10,000 parts do not suffice. */
  readonly maxZeroPart?: number;
}

/** How large parts may be, and on which grid runs are cut off before they get parts of their own. In bytes. */
interface Scale {
  readonly data: number;
  readonly copy: number;
  readonly zero: number;
  readonly grid: number;
}

const { dataPart, maxDataPart, maxCopyPart } = PLAN_LIMITS;

/**
 * Turns a disk's runs into parts within S3's limits: zeros and plain pieces into parts of up to 512 MiB that the store
 * copies, the rest into data parts of up to 64 MiB.
 *
 * Where that makes more than 10,000, parts grow: of all pairs of a data part's and a copy's size that fit, the one whose
 * slowest part is fastest by the cost model. Data parts over 512 MiB, which are streamed, only where nothing else fits.
 *
 * A pure function of its arguments. @throws UnqcowError `DESTINATION_LIMIT` if 10,000 parts of 5 GiB do not hold the disk.
 */
export function planParts(runs: Runs, options: PartOptions, limits: PlanLimits = PLAN_LIMITS): Part[] {
  const { maxZeroPart = limits.maxCopyPart } = options;
  const preferred = { data: limits.dataPart, copy: limits.maxCopyPart, zero: maxZeroPart, grid: NO_GRID };
  const pieces =
    cutAll(runs, preferred, options) ?? fastest(runs, ASSEMBLED, options) ?? fastest(runs, STREAMED, options);
  if (pieces) return asParts(pieces, runs.list());
  throw new UnqcowError('DESTINATION_LIMIT', `the disk does not fit ${S3_LIMITS.maxParts} parts of 5 GiB`);
}

type DataScale = Pick<Scale, 'data' | 'grid'>;

const NO_GRID = 1;
/** Data parts on a grid of their own size: runs then leave no scraps, and 10,000 cells of 5 GiB hold any disk. */
const onGrid = (data: number): DataScale => ({ data, grid: data });
const ASSEMBLED: readonly DataScale[] = [
  { data: dataPart, grid: NO_GRID },
  ...[dataPart, 2 * dataPart, 4 * dataPart, maxDataPart].map(onGrid),
];
const STREAMED = [2 * maxDataPart, 4 * maxDataPart, 8 * maxDataPart, S3_LIMITS.maxPart].map(onGrid);

/** The plan whose slowest part is fastest, of those with one of these sizes of data parts; nothing if none fits. */
function fastest(runs: Runs, scales: readonly DataScale[], options: PartOptions): Stretch[] | undefined {
  let best: { readonly pieces: Stretch[]; readonly seconds: number } | undefined;
  for (const scale of scales) {
    const own = (2 * scale.data) / AWS_MODEL.lambda.bytesPerSecond;
    if (best && own >= best.seconds) break;
    const found = smallestCopies(runs, scale, options);
    if (!found) continue;
    const seconds = Math.max(own, found.copy / AWS_MODEL.s3.copyBytesPerSecond);
    if (!best || seconds < best.seconds) best = { pieces: found.pieces, seconds };
  }
  return best?.pieces;
}

/** The smallest copies with which the parts fit, in steps of 64 MiB: larger ones never make more parts, so by halving. */
function smallestCopies(runs: Runs, scale: DataScale, options: PartOptions) {
  const within = (steps: number) => {
    const copy = steps * dataPart;
    const pieces = cutAll(runs, { ...scale, copy, zero: copy }, options);
    return pieces && { copy, pieces };
  };
  let [low, high] = [maxCopyPart / dataPart, S3_LIMITS.maxPart / dataPart];
  let best = within(high);
  while (best && low < high) {
    const middle = Math.floor((low + high) / 2);
    const smaller = within(middle);
    if (smaller) [high, best] = [middle, smaller];
    else low = middle + 1;
  }
  return best;
}

/** All parts' pieces, or nothing if they are too many. */
function cutAll(runs: Runs, scale: Scale, options: PartOptions): Stretch[] | undefined {
  const stretches = stretchesOf(runs.list(), { ...options, grid: scale.grid, unit: runs.unit });
  const pieces = stretches.flatMap((stretch) => cut(stretch, scale, runs.unit));
  return pieces.length <= S3_LIMITS.maxParts ? pieces : undefined;
}

/**
 * Cuts a stretch where it is longer than a part may be; what is left at its end is no less than a part may be, either.
 *
 * @param unit Where to cut: so that no two workers decompress the same cluster.
 */
function cut(stretch: Stretch, scale: Scale, unit: number): Stretch[] {
  const longest = scale[stretch.kind];
  const pieces: Stretch[] = [];
  let { start } = stretch;
  const { end } = stretch;
  while (end - start > longest && end - start >= 2 * S3_LIMITS.minPart) {
    const cramped = end - start < longest + S3_LIMITS.minPart;
    const to = Math.floor((cramped ? (start + end) / 2 : start + longest) / unit) * unit;
    pieces.push(piece(stretch, start, to));
    start = to;
  }
  pieces.push(piece(stretch, start, end));
  return pieces;
}

function piece(stretch: Stretch, start: number, end: number): Stretch {
  return stretch.kind === 'copy'
    ? { ...stretch, start, end, host: stretch.host + start - stretch.start }
    : { ...stretch, start, end };
}

function asParts(pieces: readonly Stretch[], runs: readonly Run[]): Part[] {
  let first = 0; // of the runs that reach into the piece
  return pieces.map((each, i) => {
    const { start, end } = each;
    while ((runs[first] as Run).end <= start) first += 1;
    if (each.kind !== 'data') return { ...each, number: i + 1 };
    let stored = 0;
    for (let at = first; at < runs.length && (runs[at] as Run).start < end; at += 1) {
      stored += storedBetween(runs[at] as Run, start, end);
    }
    return { kind: 'data', number: i + 1, start, end, stored: Math.round(stored) };
  });
}

function storedBetween(run: Run, start: number, end: number): number {
  if (run.kind === 'zero') return 0;
  const length = Math.min(run.end, end) - Math.max(run.start, start);
  return run.kind === 'copy' ? length : run.stored * (length / (run.end - run.start));
}

/** Bytes of the image that the part is made of. */
export function storedIn(part: Part): number {
  if (part.kind === 'zero') return 0;
  return part.kind === 'copy' ? part.end - part.start : part.stored;
}

/** Length of the longest zero part, in bytes; 0 if there is none. */
export function longestZero(parts: readonly Part[]): number {
  return parts.reduce((max, { kind, start, end }) => (kind === 'zero' ? Math.max(max, end - start) : max), 0);
}

/** How many there are of each. */
export function countByKind(parts: readonly Part[]): Record<Part['kind'], number> {
  const counts = { data: 0, zero: 0, copy: 0 };
  for (const { kind } of parts) counts[kind] += 1;
  return counts;
}
