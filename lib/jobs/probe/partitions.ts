import { crc32Of } from '../../sink/crc32.ts';
import type { ReadVolume } from './volume.ts';

export interface Partition {
  readonly number: number;
  /** Bytes of disk. */
  readonly start: number;
  readonly length: number;
  /** Two hexadecimal digits in an MBR, a GUID in a GPT. */
  readonly type: string;
  readonly name?: string;
  readonly uuid?: string;
}

export interface PartitionTable {
  readonly kind: 'mbr' | 'gpt';
  readonly sectorSize: 512 | 4096;
  readonly partitions: readonly Partition[];
}

const ENTRY = 16;
const FIRST_ENTRY = 446;
const EXTENDED = [0x05, 0x0f, 0x85];
/** Sectors in a chain of logical partitions, and entries of a GPT: as many as anybody has, since the disk is not to be trusted. */
const MAX_LOGICAL = 60;
const MAX_ENTRIES = 256;

/** Reads a disk's partition table. Costs one read for an MBR, one for each logical partition; two or three for a GPT. */
export async function readPartitions(read: ReadVolume): Promise<PartitionTable | undefined> {
  const mbr = await read(0, 512);
  if (mbr.readUInt16LE(510) !== 0xaa55) return undefined;
  const entries = entriesOf(mbr);
  if (entries.some(({ flag }) => flag !== 0 && flag !== 0x80)) return undefined;
  if (entries.some(({ type }) => type === 0xee)) {
    for (const sectorSize of [512, 4096] as const) {
      const partitions = await readGpt(read, sectorSize);
      if (partitions) return { kind: 'gpt', sectorSize, partitions };
    }
  }
  const primary = entries.flatMap(({ type, first, count }, i) =>
    type === 0 || count === 0 ? [] : [{ number: i + 1, start: first * 512, length: count * 512, type: hex(type) }],
  );
  if (primary.length === 0) return undefined;
  const extended = entries.find(({ type }) => EXTENDED.includes(type));
  const logical = extended ? await readLogical(read, extended.first) : [];
  return { kind: 'mbr', sectorSize: 512, partitions: [...primary, ...logical] };
}

const hex = (type: number) => type.toString(16).padStart(2, '0');

function entriesOf(sector: Buffer) {
  return Array.from({ length: 4 }, (_, i) => {
    const at = FIRST_ENTRY + i * ENTRY;
    return {
      flag: sector.readUInt8(at),
      type: sector.readUInt8(at + 4),
      first: sector.readUInt32LE(at + 8),
      count: sector.readUInt32LE(at + 12),
    };
  });
}

/** Each sector of the chain has one logical partition, relative to itself, and the next, relative to the whole chain. */
async function readLogical(read: ReadVolume, base: number): Promise<Partition[]> {
  const found: Partition[] = [];
  for (let at = base, steps = 0; steps < MAX_LOGICAL; steps += 1) {
    const sector = await read(at * 512, 512);
    if (sector.readUInt16LE(510) !== 0xaa55) break;
    const [own, next] = entriesOf(sector);
    if (own && own.type !== 0) {
      found.push({
        number: 5 + found.length,
        start: (at + own.first) * 512,
        length: own.count * 512,
        type: hex(own.type),
      });
    }
    // A chain only ever goes on.
    if (!next || !EXTENDED.includes(next.type) || base + next.first <= at) break;
    at = base + next.first;
  }
  return found;
}

/** UEFI specification, § 5.3. A header whose CRC-32 is wrong is none. */
async function readGpt(read: ReadVolume, sectorSize: number): Promise<Partition[] | undefined> {
  const header = await read(sectorSize, 512);
  const headerSize = header.readUInt32LE(12);
  if (header.toString('latin1', 0, 8) !== 'EFI PART' || headerSize < 92 || headerSize > 512) return undefined;
  const summed = Buffer.from(header.subarray(0, headerSize));
  summed.writeUInt32LE(0, 16);
  if (crc32Of(summed) !== header.readUInt32LE(16)) return undefined;
  const [count, size] = [header.readUInt32LE(80), header.readUInt32LE(84)];
  const at = Number(header.readBigUInt64LE(72)) * sectorSize;
  if (size < 128 || size > 4096 || !Number.isSafeInteger(at)) return undefined;
  const entries = await read(at, Math.min(count, MAX_ENTRIES) * size);
  return Array.from({ length: entries.length / size }, (_, i) => {
    return gptEntry(entries.subarray(i * size, (i + 1) * size), i + 1, sectorSize);
  }).filter((entry) => entry !== undefined);
}

function gptEntry(entry: Buffer, number: number, sectorSize: number): Partition | undefined {
  const type = guidAt(entry, 0);
  if (type === '00000000-0000-0000-0000-000000000000') return undefined;
  const [first, last] = [Number(entry.readBigUInt64LE(32)), Number(entry.readBigUInt64LE(40))];
  if (!(last >= first)) return undefined;
  const name = entry.toString('utf16le', 56, 128).replace(/\0.*$/s, '');
  return {
    number,
    start: first * sectorSize,
    length: (last - first + 1) * sectorSize,
    type,
    uuid: guidAt(entry, 16),
    ...(name === '' ? {} : { name }),
  };
}

/** The first three fields are little-endian. */
function guidAt(bytes: Buffer, at: number): string {
  const [a, b, c] = [bytes.readUInt32LE(at), bytes.readUInt16LE(at + 4), bytes.readUInt16LE(at + 6)];
  const digits = (value: number, length: number) => value.toString(16).padStart(length, '0');
  const rest = bytes.toString('hex', at + 8, at + 16);
  return `${digits(a, 8)}-${digits(b, 4)}-${digits(c, 4)}-${rest.slice(0, 4)}-${rest.slice(4)}`;
}
