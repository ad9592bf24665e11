import type { Extent } from '../format/extent.ts';
import { extentBatches, type GuestMap } from '../format/extents.ts';
import { assertConvertible, type Image, openImage } from '../format/image.ts';
import { readL1 } from '../format/l1.ts';
import { readMetadata } from '../format/metadata.ts';
import { Cells } from '../plan/cells.ts';
import { assertOutputFits, PLAN_LIMITS } from '../plan/s3-limits.ts';
import type { ByteSource } from '../source/byte-source.ts';
import { coalesced } from '../source/coalesced.ts';
import { KiB, MiB } from '../units.ts';

/** The image's small tables often lie side by side. */
const TABLES_TOGETHER = { maxGap: 256 * KiB, maxLength: 8 * MiB };

/**
 * Opens an image that is to be converted, and refuses it if it cannot be, or is too large.
 *
 * @throws UnqcowError as `openImage`, `assertConvertible`, `assertOutputFits` do.
 */
export async function openConvertible(source: ByteSource, outputLimit?: number): Promise<Image> {
  const image = await openImage(source);
  assertConvertible(image);
  assertOutputFits(image.geometry.diskSize, outputLimit);
  return image;
}

export interface Survey {
  readonly map: GuestMap;
  readonly cells: Cells;
}

/**
 * Walks the whole map of an image once and checks every entry, before a byte is converted. Costs a request for the L1
 * and refcount tables, and few for the L2 tables.
 *
 * @throws UnqcowError `METADATA_OVERLAP`; as `readL1`, `extentBatches` do.
 */
export async function survey(image: Image, signal?: AbortSignal): Promise<Survey> {
  const { geometry, source } = image;
  const together: Image = { ...image, source: coalesced(source, TABLES_TOGETHER) };
  const l1 = readL1(together, signal);
  const metadata = await readMetadata(together, l1, signal);
  const map: GuestMap = { geometry, firstTable: 0, l2Offsets: await l1 };
  const cells = new Cells(geometry.diskSize, source.size, PLAN_LIMITS.cell);
  const take = (extent: Extent) => {
    metadata.assertClear(extent);
    cells.add(extent);
  };
  const whole = { start: 0, end: geometry.diskSize };
  for await (const batch of extentBatches(source, map, whole, { signal, warn: image.warnings.add }))
    batch.forEach(take);
  return { map, cells };
}
