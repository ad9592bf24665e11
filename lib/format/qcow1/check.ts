import type { ByteRange } from '../../ranges.ts';
import { coalesced } from '../../source/coalesced.ts';
import { CHECK_MEMORY, type CheckOptions, type ImageCheck } from '../check/check-image.ts';
import { Findings } from '../check/findings.ts';
import type { Allocation } from '../check/l2-entries.ts';
import { type L2Table, l2Tables } from '../check/l2-tables.ts';
import { spanAt } from '../check/overlay.ts';
import { assertWork, readTables, TABLES_TOGETHER, tablesAtATime } from '../check/read-tables.ts';
import type { MetadataSpan } from '../overlaps.ts';
import { type Qcow1Entry, qcow1Entries, qcow1OffsetOf } from './entries.ts';
import { L2_ENTRY_BYTES, l2BytesNeeded, l2BytesOf, l2TablesOf } from './geometry.ts';
import type { Qcow1Image } from './image.ts';
import { fixedSpans, overlapped } from './metadata.ts';
import { type Claimant, SectorClaims } from './sector-claims.ts';

const L1_TABLE = 'L1 table';

/**
 * Checks a version 1 image, which QEMU cannot. There are no refcounts: what can be wrong is that tables and clusters lie
 * past the end of the file, on each other, or where no cluster can start. Reads no guest data.
 *
 * Who has which sectors is noted for a stretch of the file at a time, a byte a sector: 192 of 256 MiB do for 96 GiB. A
 * longer file is walked once for each stretch.
 *
 * Cost: for each walk, the L1 table by requests of 1 MiB, and L2 tables near each other by requests of 8 MiB.
 *
 * @throws UnqcowError `CHECK_LIMIT`; as the source does.
 */
export async function checkQcow1(image: Qcow1Image, options: CheckOptions = {}): Promise<ImageCheck> {
  return new Qcow1Check(image, options).run();
}

class Qcow1Check {
  readonly #image: Qcow1Image;
  readonly #options: CheckOptions;
  readonly #memory: number;
  readonly #findings = new Findings();
  readonly #allocation: Allocation = { allocated: 0, compressed: 0, fragmented: 0 };
  readonly #claims: SectorClaims;
  readonly #fixed: readonly MetadataSpan[];
  readonly #length: number;
  readonly #sectors: number;
  #imageEnd = 0;
  #l2Count = 0;

  constructor(image: Qcow1Image, options: CheckOptions) {
    const { memory = CHECK_MEMORY } = options;
    this.#image = image;
    this.#options = options;
    this.#memory = memory;
    this.#sectors = Math.ceil(image.fileSize / 512);
    this.#length = Math.max(1, Math.min(Math.floor((memory * 3) / 4), this.#sectors));
    const l1 = spanAt(image.header.l1TableOffset, l2TablesOf(image.geometry) * L2_ENTRY_BYTES);
    const others = fixedSpans(image).filter(({ name }) => name !== L1_TABLE);
    this.#fixed = [...others, { name: L1_TABLE, ...l1 }].filter(({ start, end }) => start < end);
    this.#claims = new SectorClaims(this.#length);
  }

  async run(): Promise<ImageCheck> {
    this.#checkFixed();
    const passes = Math.ceil(this.#sectors / this.#length);
    for (let number = 0; number < passes; number += 1) {
      this.#claims.moveTo(number * this.#length);
      await this.#walk(number, passes);
    }
    const clusterSize = 2 ** this.#image.geometry.clusterBits;
    return {
      findings: this.#findings,
      allocation: this.#allocation,
      imageEnd: Math.ceil(this.#imageEnd / clusterSize) * clusterSize,
      passes,
      l2Tables: this.#l2Count,
      snapshots: 0,
      bitmaps: 0,
    };
  }

  /** The header, the backing file's name and the L1 table lie in one piece each. */
  #checkFixed(): void {
    const { fileSize } = this.#image;
    this.#fixed.forEach((span, i) => {
      this.#reach(span.end);
      const other = overlapped(this.#fixed.slice(0, i), span);
      const at = `file[${span.start}]`;
      if (other) {
        this.#findings.add('METADATA_OVERLAP', () => ({ at, message: `the ${span.name} lies on the ${other.name}` }));
      }
      if (span.name !== L1_TABLE || span.end <= fileSize) return;
      const message = `the L1 table's ${span.end - span.start} bytes at ${span.start} run past the file's ${fileSize}`;
      this.#findings.add('L1_BEYOND_EOF', () => ({ at: 'header.l1_table_offset', message }));
    });
  }

  async #walk(pass: number, passes: number): Promise<void> {
    const { geometry, source } = this.#image;
    const { signal, onProgress } = this.#options;
    const active = spanAt(this.#image.header.l1TableOffset, l2TablesOf(geometry) * L2_ENTRY_BYTES);
    const isFirst = pass === 0;
    const bytes = l2BytesOf(geometry);
    const gather = {
      most: tablesAtATime(this.#memory),
      offsetOf: qcow1OffsetOf,
      onBeyond: (table: L2Table) => isFirst && this.#beyond(table),
      signal,
    };
    const read = coalesced(source, TABLES_TOGETHER);
    let done = 0;
    for await (const tables of l2Tables(source, { active, inactive: [] }, gather)) {
      if (isFirst) this.#l2Count += tables.length;
      assertWork(this.#l2Count, this.#l2Count * bytes, this.#image.fileSize);
      for await (const [table, view] of readTables(read, tables, { bytes, signal })) {
        this.#table(table, view, isFirst);
        done += 1;
        onProgress?.((pass * this.#l2Count + done) * bytes, passes * this.#l2Count * bytes);
      }
    }
  }

  #beyond({ offset, l1Index }: L2Table): void {
    const message = `the L2 table at ${offset} runs past the file's ${this.#image.fileSize} bytes`;
    this.#findings.add('L2_BEYOND_EOF', () => ({ at: `l1[${l1Index}]`, message }));
  }

  #table(table: L2Table, view: DataView, isFirst: boolean): void {
    const { offset, l1Index = 0, active } = table;
    const at = `l1[${l1Index}]`;
    const end = offset + l2BytesNeeded(this.#image.geometry, l1Index);
    if (isFirst && end > this.#image.fileSize) this.#beyond(table);
    if (isFirst && active > 1) {
      const message = `the L2 table at ${offset} is used ${active} times`;
      this.#findings.add('CLUSTER_SHARED', () => ({ at, message }), active - 1);
    }
    this.#claim({ start: offset, end }, 'l2', isFirst, () => at);
    this.#reach(end);
    let follows = 0;
    for (const entry of qcow1Entries(view, end - offset, this.#image.geometry)) {
      const place = () => `l2[${l1Index}][${entry.index}]`;
      if (isFirst) this.#checkEntry(entry, follows, place);
      if (!entry.isCompressed) follows = entry.host + entry.length;
      const { host, length, isCompressed } = entry;
      if (host >= this.#image.fileSize) continue;
      this.#claim({ start: host, end: host + length }, isCompressed ? 'compressed' : 'data', isFirst, place);
    }
  }

  #checkEntry({ host, length, isCompressed }: Qcow1Entry, follows: number, place: () => string): void {
    const { fileSize } = this.#image;
    this.#allocation.allocated += 1;
    if (isCompressed) this.#allocation.compressed += 1;
    if (isCompressed || (follows !== 0 && host !== follows)) this.#allocation.fragmented += 1;
    if (!isCompressed && host % 512 !== 0) {
      const message = `the cluster at ${host} does not start on a sector`;
      this.#findings.add('CLUSTER_OFF_SECTOR', () => ({ at: place(), message }));
    }
    // A stream's length is exact; of a data cluster, the file may lack the end.
    if (host < fileSize && (!isCompressed || host + length <= fileSize)) {
      this.#reach(host + length);
      return;
    }
    const message = `the cluster at ${host} runs past the file's ${fileSize} bytes`;
    this.#findings.add('CLUSTER_BEYOND_EOF', () => ({ at: place(), message }));
  }

  #claim(range: ByteRange, by: Claimant, isFirst: boolean, place: () => string): void {
    const what = by === 'l2' ? 'L2 table' : 'cluster';
    const fixed = isFirst && overlapped(this.#fixed, range);
    if (fixed) {
      const message = `the ${what} at ${range.start} lies on the ${fixed.name}`;
      this.#findings.add('METADATA_OVERLAP', () => ({ at: place(), message }));
    }
    const met = this.#claims.claim(range, by);
    if (!met) return;
    const message = `the ${what} at ${range.start} and ${met === 'table' ? 'an L2 table' : 'another cluster'} share bytes`;
    this.#findings.add(met === 'table' ? 'METADATA_OVERLAP' : 'CLUSTER_SHARED', () => ({ at: place(), message }));
  }

  #reach(end: number): void {
    this.#imageEnd = Math.max(this.#imageEnd, Math.min(end, this.#sectors * 512));
  }
}
