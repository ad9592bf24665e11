import { type LayerMap, sliceOf, type TableSlice } from '../format/layer.ts';
import { MiB } from '../units.ts';
import { type Part, storedIn } from './parts.ts';
import { PLAN_LIMITS, type PlanLimits } from './s3-limits.ts';

/** A part with all that a worker needs to make it: for data, where the L2 tables lie that map it, layer by layer. */
export type PartTask =
  | Exclude<Part, { readonly kind: 'data' }>
  | (Extract<Part, { readonly kind: 'data' }> & { readonly slices: readonly (TableSlice | null)[] });

/** A copy within the store costs a worker about as much time as this many bytes through it. */
const COPY_COST = 8 * MiB;
/** So many shares at most, unless a share would not fit an item: each one is a Lambda's start and a transition. */
const MAX_SHARES = 1_000;
const BRACKETS = 2;

/** Deals parts out to workers, in shares of about equal cost, each at most 200 KiB of JSON. In the disk's order. */
export function* shareOut(
  parts: readonly Part[],
  maps: readonly LayerMap[],
  limits: PlanLimits = PLAN_LIMITS,
): Generator<PartTask[]> {
  const total = parts.reduce((sum, part) => sum + costOf(part), 0);
  const target = Math.max(2 * limits.dataPart, total / MAX_SHARES);
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

/** Bytes through a worker, down and up. */
export function costOf(part: Part): number {
  return part.kind === 'data' ? storedIn(part) + part.end - part.start : COPY_COST;
}

function asTask(part: Part, maps: readonly LayerMap[]): PartTask {
  return part.kind === 'data' ? { ...part, slices: maps.map((map) => sliceOf(map, part)) } : part;
}
