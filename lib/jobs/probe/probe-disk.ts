import { assembleInOrder } from '../../chunk/in-order.ts';
import type { Disk } from '../../format/layer.ts';
import { type Partition, type PartitionTable, readPartitions } from './partitions.ts';
import { probeVolume, type ReadVolume, type Volume } from './volume.ts';

/** What is on a disk, as far as a few KiB of it tell. */
export interface Probe {
  readonly partitionTable?: Omit<PartitionTable, 'partitions'>;
  readonly partitions?: readonly (Partition & { readonly volume?: Volume })[];
  /** Of a disk without a partition table. */
  readonly volume?: Volume;
}

/**
 * Tells a disk's partitions, and what file system or other volume is on each. Costs a few reads of at most 4 KiB for each
 * partition, and the L2 tables that map them.
 *
 * @throws UnqcowError as `assemble` does.
 */
export async function probeDisk(disk: Disk, signal?: AbortSignal): Promise<Probe> {
  const within = (start: number, length: number) => readerOf(disk, start, length, signal);
  const whole = within(0, disk.size);
  // A boot sector of FAT or NTFS ends as an MBR does.
  const volume = await probeVolume(whole);
  const table = volume ? undefined : await readPartitions(whole);
  if (!table) return volume ? { volume } : {};
  const { partitions, ...partitionTable } = table;
  const probed: (Partition & { volume?: Volume })[] = [];
  for (const partition of partitions) {
    const found = await probeVolume(within(partition.start, partition.length));
    probed.push({ ...partition, ...(found ? { volume: found } : {}) });
  }
  return { partitionTable, partitions: probed };
}

/** Reads within one stretch of a disk. What lies outside of it, or of the disk, is zeros. */
function readerOf(disk: Disk, start: number, length: number, signal: AbortSignal | undefined): ReadVolume {
  const limit = Math.min(start + length, disk.size);
  return async (from, count) => {
    const bytes = Buffer.alloc(count);
    const range = { start: Math.min(start + from, limit), end: Math.min(start + from + count, limit) };
    let at = 0;
    for await (const piece of assembleInOrder(disk, range, { signal })) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  };
}
