import type { ByteSource } from '../../source/byte-source.ts';
import { coalesced } from '../../source/coalesced.ts';
import { zeroPadded } from '../../source/zero-padded.ts';
import { MiB } from '../../units.ts';
import { hasL1ReservedBits, hostOffsetOf } from '../entry-bits.ts';
import { clusterSizeOf } from '../geometry.ts';
import { assertMappable, type Image } from '../image.ts';
import { viewOf } from '../struct.ts';
import { bytesPerCluster, ClusterWindow, USE } from './cluster-window.ts';
import { Findings } from './findings.ts';
import { type Allocation, L2Walk } from './l2-entries.ts';
import { type GatherOptions, type L1Entry, type L2Table, l2Tables } from './l2-tables.ts';
import { overlay } from './overlay.ts';
import { findOwned, type Owned } from './owned.ts';
import { Pass, type Scope } from './pass.ts';
import { assertWork, readTables, TABLES_TOGETHER, tablesAtATime } from './read-tables.ts';
import { checkEntries, Refcounts } from './refcounts.ts';

export interface CheckOptions {
  /** Bytes that may be held: for counters, and for the list of L2 tables. Reads in flight take 32 MiB more. */
  readonly memory?: number;
  readonly signal?: AbortSignal | undefined;
  /** Bytes of L2 tables that were looked at, out of how many there are to be looked at. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface ImageCheck {
  readonly findings: Findings;
  readonly allocation: Readonly<Allocation>;
  /** Host offset of the end of the last cluster in use, in bytes. */
  readonly imageEnd: number;
  readonly refcountBits?: number;
  /** Walks over all tables. */
  readonly passes: number;
  /** L2 tables, each counted once. */
  readonly l2Tables: number;
  readonly snapshots: number;
  readonly bitmaps: number;
}

export const CHECK_MEMORY = 256 * MiB;

/**
 * Checks an image's tables and refcounts as `qemu-img check` does, and finds metadata that lies on metadata besides. Reads
 * no guest data.
 *
 * References are counted for a window of the file's clusters at a time, as large as `memory` allows: 8 bytes a cluster by
 * 16-bit refcounts, so that 256 MiB do for 1.5 TiB of 64 KiB clusters. A longer file is walked once for each window. A
 * table that is named many times is read once in each walk, and what it names is counted as often as it is named.
 *
 * Cost: for each walk, the L1 tables by requests of 1 MiB, L2 tables that lie near each other by requests of 8 MiB, and
 * the refcount blocks once.
 *
 * @throws UnqcowError `BAD_REFCOUNT_ORDER`, `BAD_REFTABLE`, `CHECK_LIMIT`; as `assertMappable` and the source do.
 */
export async function checkImage(image: Image, options: CheckOptions = {}): Promise<ImageCheck> {
  assertMappable(image);
  const source = coalesced(image.source, TABLES_TOGETHER);
  const refcounts = await Refcounts.read(image, source, options.signal);
  return new Check(image, source, refcounts, options).run();
}

class Check {
  readonly #image: Image;
  readonly #source: ByteSource;
  readonly #refcounts: Refcounts;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: CheckOptions['onProgress'];
  readonly #findings = new Findings();
  readonly #allocation: Allocation = { allocated: 0, compressed: 0, fragmented: 0 };
  readonly #scope: Scope;
  /** Clusters that can be referred to: those of the file, and one that begins past its end. */
  readonly #clusters: number;
  readonly #windowLength: number;
  readonly #memory: number;
  #l2Count = 0;

  constructor(image: Image, source: ByteSource, refcounts: Refcounts, options: CheckOptions) {
    const { memory = CHECK_MEMORY, signal, onProgress } = options;
    const clusterSize = clusterSizeOf(image.geometry);
    const fileLength = Math.ceil(image.fileSize / 512) * 512;
    this.#image = image;
    this.#source = source;
    this.#refcounts = refcounts;
    this.#signal = signal;
    this.#onProgress = onProgress;
    this.#clusters = Math.ceil(fileLength / clusterSize) + 1;
    this.#memory = memory;
    const affordable = (memory * 3) / 4 / bytesPerCluster(refcounts.bits);
    this.#windowLength = Math.max(8, 8 * Math.floor(Math.min(affordable, this.#clusters + 7) / 8));
    const window = new ClusterWindow(this.#windowLength, clusterSize, refcounts, this.#findings);
    const { dataFile } = image.geometry;
    this.#scope = { clusterSize, fileLength, dataFile, refcounts, findings: this.#findings, window };
  }

  async run(): Promise<ImageCheck> {
    const { window, clusterSize } = this.#scope;
    const owned = await findOwned(this.#image, this.#findings, this.#signal);
    checkEntries(this.#refcounts, this.#findings);
    const passes = Math.ceil(this.#clusters / this.#windowLength);
    let highest = 0;
    for (let number = 0; number < passes; number += 1) {
      await window.moveTo(number * this.#windowLength, this.#clusters, this.#signal);
      const pass = new Pass(this.#scope, number === 0);
      await this.#count(pass, owned, (bytes) =>
        this.#onProgress?.(number * this.#l2Bytes + bytes, passes * this.#l2Bytes),
      );
      pass.referBlocks();
      highest = window.compare(pass.clusters) ?? highest;
    }
    return {
      findings: this.#findings,
      allocation: this.#allocation,
      imageEnd: (highest + 1) * clusterSize,
      refcountBits: this.#refcounts.bits,
      passes,
      l2Tables: this.#l2Count,
      snapshots: owned.snapshots,
      bitmaps: owned.bitmaps,
    };
  }

  get #l2Bytes(): number {
    return this.#l2Count * this.#scope.clusterSize;
  }

  async #count(pass: Pass, owned: Owned, progress: (bytes: number) => void): Promise<void> {
    for (const { use, at, ...range } of owned.regions) pass.refer(range, use, 1, () => at);
    await this.#countBitmaps(pass, owned);
    const l1 = { active: owned.activeL1, inactive: owned.inactiveL1 };
    const gather: GatherOptions = {
      most: tablesAtATime(this.#memory),
      offsetOf: hostOffsetOf,
      onEntry: pass.isFirst ? (entry, place) => this.#checkL1Entry(entry, place) : undefined,
      onBeyond: (table) => this.#countTable(pass, table),
      signal: this.#signal,
    };
    const walk = new L2Walk(this.#image.geometry, pass, this.#findings, this.#allocation);
    let done = 0;
    for await (const tables of l2Tables(this.#image.source, l1, gather)) {
      if (pass.isFirst) this.#admit(tables.length);
      for await (const [table, view] of readTables(this.#source, tables, {
        bytes: this.#scope.clusterSize,
        signal: this.#signal,
      })) {
        this.#countTable(pass, table);
        walk.walk(table, view);
        await pass.settle(this.#signal);
        done += this.#scope.clusterSize;
        progress(done);
      }
    }
    await pass.settle(this.#signal);
  }

  #checkL1Entry({ hi, lo, times, offset }: L1Entry, at: string): void {
    if (!hasL1ReservedBits(hi, lo)) return;
    const message = `reserved bits are set, beside the offset ${offset}`;
    this.#findings.add('L1E_RESERVED_BITS', () => ({ at, message }), times);
  }

  #countTable(pass: Pass, table: L2Table): void {
    const { offset, active, inactive, l1Index } = table;
    const { clusterSize } = this.#scope;
    const range = { start: offset, end: offset + clusterSize };
    const place = () => (l1Index === undefined ? `file[${offset}]` : `l1[${l1Index}]`);
    if (active > 0) pass.refer(range, USE.activeL2, active, place);
    if (inactive > 0) pass.refer(range, USE.inactiveL2, inactive, place);
    pass.checkTable(table);
    if (!pass.isFirst || offset % clusterSize === 0) return;
    const message = `the L2 table at ${offset} does not start on a cluster`;
    this.#findings.add('L2_UNALIGNED', () => ({ at: place(), message }), active + inactive);
  }

  #admit(tables: number): void {
    this.#l2Count += tables;
    assertWork(this.#l2Count, this.#l2Bytes, this.#scope.fileLength);
  }

  /** Bitmaps' tables name clusters of bits. What bitmaps share, and QEMU never does, is read once. */
  async #countBitmaps(pass: Pass, { bitmapTables }: Owned): Promise<void> {
    const padded = zeroPadded(this.#image.source);
    const { clusterSize } = this.#scope;
    for (const { start, end, times } of overlay(bitmapTables)) {
      const last = Math.min(end, Math.ceil(this.#image.fileSize / 8) * 8);
      for (let at = start; at < last; at += MiB) {
        const range = { start: at, end: Math.min(at + MiB, last) };
        const view = viewOf(await padded.read(range, { signal: this.#signal }));
        for (let i = 0; i < view.byteLength; i += 8) {
          const [hi, lo] = [view.getUint32(i), view.getUint32(i + 4)];
          const offset = hostOffsetOf(hi, lo);
          const place = () => `file[${at + i}]`;
          if (!isBitmapEntry(hi, lo, offset, clusterSize)) {
            const message = `0x${hi.toString(16)}:${lo.toString(16)} is no entry of a bitmap's table`;
            if (pass.isFirst) this.#findings.add('BITMAPS_UNREADABLE', () => ({ at: place(), message }), times);
          } else if (offset !== 0) {
            pass.refer({ start: offset, end: offset + clusterSize }, USE.bitmapData, times, place);
          }
        }
      }
    }
  }
}

/** qcow2.rst § Bitmap table: reserved bits are 0, and bit 0 says that all bits are set only where there is no cluster. */
function isBitmapEntry(hi: number, lo: number, offset: number, clusterSize: number): boolean {
  if ((hi & 0xff000000) !== 0 || (lo & 0x1fe) !== 0) return false;
  return offset === 0 || ((lo & 1) === 0 && offset % clusterSize === 0);
}
