import type { FindingCode, Warning } from '../../errors.ts';
import type { Meter } from '../../source/metered.ts';
import { clusterSizeOf } from '../geometry.ts';
import { type AnyImage, isQcow1 } from '../open-any.ts';
import type { ImageCheck } from './check-image.ts';
import type { Counts, Finding } from './findings.ts';

/** What a check comes to: the worst of what it found. */
export type Verdict = 'clean' | 'leaks' | 'corrupt' | 'incomplete';

/** What `qemu-img check --output=json` says, with its keys and meaning: counts of 0 are left out. Ours is under `unqcow`. */
export interface CheckReport {
  readonly 'image-end-offset'?: number;
  readonly 'total-clusters'?: number;
  /** What could not be checked. */
  readonly 'check-errors': number;
  readonly 'allocated-clusters'?: number;
  readonly filename: string;
  readonly format: 'qcow' | 'qcow2';
  readonly leaks?: number;
  readonly corruptions?: number;
  readonly 'fragmented-clusters'?: number;
  readonly 'compressed-clusters'?: number;
  readonly unqcow: {
    readonly verdict: Verdict;
    readonly source: string;
    readonly version: number;
    /** Corruptions that `qemu-img check` does not count. */
    readonly 'own-corruptions': number;
    readonly 'refcount-bits'?: number;
    /** Walks over all tables: more than one where the memory did not suffice for all clusters at once. */
    readonly passes: number;
    readonly 'l2-tables': number;
    readonly snapshots: number;
    readonly bitmaps: number;
    /** Compressed clusters that were decompressed, each once; only if that was asked for. */
    readonly decompressed?: number;
    /** What reading has cost. */
    readonly read: Meter;
    /** How many there are of each code. */
    readonly counts: Readonly<Partial<Record<FindingCode, number>>>;
    /** The first of each code. */
    readonly findings: readonly Finding[];
    readonly warnings: readonly Warning[];
  };
}

export interface CheckCost {
  readonly read: Meter;
  readonly decompressed?: number | undefined;
}

/** Says what a check found. */
export function reportCheck(
  image: AnyImage,
  check: ImageCheck,
  filename: string,
  { read, decompressed }: CheckCost,
): CheckReport {
  const { findings, allocation, imageEnd } = check;
  const { corruptions, ownCorruptions } = findings.counts;
  const { diskSize } = image.geometry;
  const nonZero = <K extends string>(key: K, value: number) => (value === 0 ? {} : { [key]: value });
  return {
    ...nonZero('image-end-offset', imageEnd),
    ...nonZero('total-clusters', Math.ceil(diskSize / clusterSizeOf(image.geometry))),
    'check-errors': findings.counts.errors,
    ...nonZero('allocated-clusters', allocation.allocated),
    filename,
    format: isQcow1(image) ? 'qcow' : 'qcow2',
    ...nonZero('leaks', findings.counts.leaks),
    // QEMU does not check version 1, so that nothing can differ from it.
    ...nonZero('corruptions', isQcow1(image) ? ownCorruptions : corruptions),
    ...nonZero('fragmented-clusters', allocation.fragmented),
    ...nonZero('compressed-clusters', allocation.compressed),
    unqcow: {
      verdict: verdictOf(findings.counts),
      source: image.source.id,
      version: image.header.version,
      'own-corruptions': ownCorruptions,
      ...(check.refcountBits === undefined ? {} : { 'refcount-bits': check.refcountBits }),
      passes: check.passes,
      'l2-tables': check.l2Tables,
      snapshots: check.snapshots,
      bitmaps: check.bitmaps,
      ...(decompressed === undefined ? {} : { decompressed }),
      read,
      counts: findings.byCode(),
      findings: findings.list(),
      warnings: image.warnings.list(),
    },
  };
}

function verdictOf({ errors, corruptions, ownCorruptions, leaks }: Counts): Verdict {
  if (errors > 0) return 'incomplete';
  if (corruptions > 0 || ownCorruptions > 0) return 'corrupt';
  return leaks > 0 ? 'leaks' : 'clean';
}
