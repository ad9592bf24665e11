/**
 * What a version 2 or 3 image loses when its file is cut, told by a reader of its own that knows nothing but the layout of
 * L1 and L2 tables: standard entries, no data file.
 */

/** For each 512 bytes of disk: whether they are lost. Of a stream that is cut, nobody can say before it is decompressed. */
export type Fate = 'kept' | 'lost' | 'unknown';

export interface Lengths {
  readonly diskSize: number;
  readonly cut: number;
}

const SECTOR = 512;

export function fatesOf(image: Buffer, { diskSize, cut }: Lengths): Fate[] {
  const clusterBits = image.readUInt32BE(20);
  const clusterSize = 2 ** clusterBits;
  const l1 = Number(image.readBigUInt64BE(40));
  const fates: Fate[] = new Array(Math.ceil(diskSize / SECTOR)).fill('kept');
  const set = (start: number, end: number, fate: Fate) =>
    fates.fill(fate, Math.floor(start / SECTOR), Math.ceil(Math.min(end, diskSize) / SECTOR));
  const perTable = clusterSize / 8;
  for (let guest = 0; guest < diskSize; guest += clusterSize) {
    const cluster = guest / clusterSize;
    const l1At = l1 + Math.floor(cluster / perTable) * 8;
    const end = guest + clusterSize;
    if (l1At + 8 > cut) {
      set(guest, end, 'lost');
      continue;
    }
    const table = Number(image.readBigUInt64BE(l1At) & 0x00ff_ffff_ffff_fe00n);
    if (table === 0) continue;
    const at = table + (cluster % perTable) * 8;
    if (at + 8 > cut) {
      set(guest, end, 'lost');
      continue;
    }
    const entry = image.readBigUInt64BE(at);
    if ((entry & (1n << 62n)) !== 0n) set(guest, end, fateOfStream(entry, clusterBits, cut));
    else if ((entry & 1n) === 0n) {
      const host = Number(entry & 0x00ff_ffff_ffff_fe00n);
      // Whole sectors: cuts are made at multiples of them.
      if (host !== 0 && host + clusterSize > cut) set(guest + Math.max(0, cut - host), end, 'lost');
    }
  }
  return fates;
}

function fateOfStream(entry: bigint, clusterBits: number, cut: number): Fate {
  const offsetBits = BigInt(62 - (clusterBits - 8));
  const host = Number(entry & ((1n << offsetBits) - 1n));
  const sectors = Number((entry & ((1n << 62n) - 1n)) >> offsetBits) + 1;
  if (host >= cut) return 'lost';
  return host - (host % SECTOR) + sectors * SECTOR > cut ? 'unknown' : 'kept';
}
