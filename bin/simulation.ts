import type { Compression } from '../lib/format/geometry.ts';
import type { LayerMap } from '../lib/format/layer.ts';
import { estimate } from '../lib/plan/estimate.ts';
import { planParts } from '../lib/plan/parts.ts';
import { Runs } from '../lib/plan/runs.ts';
import { PLAN_LIMITS } from '../lib/plan/s3-limits.ts';
import { shareOut } from '../lib/plan/shares.ts';
import { GiB, KiB, MiB } from '../lib/units.ts';

/** A disk that nobody has, as a mould of one that somebody might. */
export interface Mould {
  /** Bytes of disk. */
  readonly virtual: number;
  /** How much of it is allocated, 0 to 1. */
  readonly allocated: number;
  /** Bytes of each allocated run; runs and gaps lie evenly over the disk. */
  readonly run: number;
  /** Stored bytes for one of the disk's; 1 is a plain image. */
  readonly ratio: number;
  readonly compression: Compression;
  readonly workers: number;
  /** Bytes. */
  readonly memory: number;
}

const CLUSTER = 64 * KiB;
const L2_COVERAGE = (CLUSTER / 8) * CLUSTER;

/** Runs the planner over such a disk, and forecasts its conversion. Costs 24 bytes for each 64 MiB of disk. */
export function simulate(mould: Mould) {
  const { virtual, compression, workers, memory } = mould;
  const runs = new Runs({ diskSize: virtual, fileSize: virtual, unit: CLUSTER });
  for (const extent of extentsOf(mould)) runs.add(extent);
  const parts = planParts(runs, { copyParts: true, zeroParts: true });
  const tables = Math.ceil(virtual / L2_COVERAGE);
  const map = mapOf(mould, tables);
  const shares = [...shareOut(parts, [map])];
  const planned = { requests: 2 + Math.ceil((tables * CLUSTER) / (8 * MiB)), bytes: 64 * KiB + tables * CLUSTER };
  return { parts, shares, estimate: estimate({ diskSize: virtual, planned, shares, compression, workers, memory }) };
}

function* extentsOf({ virtual, allocated, run, ratio }: Mould) {
  const period = allocated === 0 ? Number.POSITIVE_INFINITY : run / allocated;
  let host = GiB;
  for (let at = 0; at < virtual; at += period) {
    const start = Math.round(at / CLUSTER) * CLUSTER;
    const end = Math.min(start + run, virtual);
    if (allocated === 0 || start >= end) return;
    if (ratio === 1) {
      // Pieces that are too short to be copied.
      for (let each = start; each < end; each += PLAN_LIMITS.shortestRun / 2) {
        const length = Math.min(PLAN_LIMITS.shortestRun / 2, end - each);
        yield { kind: 'data' as const, start: each, end: each + length, host };
        host += length + CLUSTER;
      }
    } else {
      for (let each = start; each < end; each += PLAN_LIMITS.dataPart) {
        const length = Math.min(PLAN_LIMITS.dataPart, end - each);
        // One stream for as much as a part has: the plan only sums them up.
        const clusters = [{ host, length: length * ratio }];
        yield {
          kind: 'compressed' as const,
          start: each,
          end: each + length,
          origin: each,
          clusterSize: PLAN_LIMITS.dataPart,
          clusters,
        };
        host += length * ratio;
      }
    }
  }
}

function mapOf({ virtual, compression }: Mould, tables: number): LayerMap {
  const geometry = {
    version: 3 as const,
    clusterBits: 16,
    diskSize: virtual,
    extendedL2: false,
    compression,
    dataFile: false,
    encrypted: false,
  };
  return { geometry, firstTable: 0, l2Offsets: Array.from({ length: tables }, (_, i) => GiB + i * L2_COVERAGE) };
}
