import { type LayerMap, sliceOf, type TableSlice } from '../format/layer.ts';
import { MiB } from '../units.ts';
import { AWS_MODEL } from './aws-model.ts';
import { type Part, storedIn } from './parts.ts';
import { PLAN_LIMITS, type PlanLimits } from './s3-limits.ts';

/** A part with all that a worker needs to make it: for data, where the L2 tables lie that map it, layer by layer. */
export type PartTask =
  | Exclude<Part, { readonly kind: 'data' }>
  | (Extract<Part, { readonly kind: 'data' }> & { readonly slices: readonly (TableSlice | null)[] });

const { lambda, s3 } = AWS_MODEL;

/** What passes through a worker while the store copies one byte, with so many copies at once. */
const PER_COPIED_BYTE = lambda.bytesPerSecond / (s3.copyBytesPerSecond * PLAN_LIMITS.copiesAtOnce);
/** However short it is, a copy is a request. */
const LEAST_COPY = 8 * MiB;
/**
 * About so many shares, unless a share would not fit an item, or not be done in time: each one is a Lambda's start and a
 * transition.
 */
const SHARES = 1_000;
const BRACKETS = 2;

/**
 * Deals parts out to workers, in shares of about equal cost, each at most 200 KiB of JSON and of 20 GiB through a worker, but
 * for its last part. In the disk's order.
 */
export function* shareOut(
  parts: readonly Part[],
  maps: readonly LayerMap[],
  limits: PlanLimits = PLAN_LIMITS,
): Generator<PartTask[]> {
  const total = parts.reduce((sum, part) => sum + costOf(part), 0);
  const target = Math.min(PLAN_LIMITS.maxShare, Math.max(2 * limits.dataPart, total / SHARES));
  let share: PartTask[] = [];
  let cost = 0;
  let json = BRACKETS;
  for (const part of parts) {
    const task = asTask(part, maps);
    const length = JSON.stringify(task).length + 1; // and a comma
    // Closed when it has enough, not before it has too much: shares of like parts then have as many of them.
    if (share.length > 0 && (cost >= target || json + length > PLAN_LIMITS.maxItemJson)) {
      yield share;
      share = [];
      cost = 0;
      json = BRACKETS;
    }
    share.push(task);
    cost += costOf(part);
    json += length;
  }
  if (share.length > 0) yield share;
}

/** Bytes through a worker, down and up; of a copy, what would pass through it in the same time. */
export function costOf(part: Part): number {
  const length = part.end - part.start;
  return part.kind === 'data' ? storedIn(part) + length : Math.max(LEAST_COPY, length * PER_COPIED_BYTE);
}

function asTask(part: Part, maps: readonly LayerMap[]): PartTask {
  return part.kind === 'data' ? { ...part, slices: maps.map((map) => sliceOf(map, part)) } : part;
}
