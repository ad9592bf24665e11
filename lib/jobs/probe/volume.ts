/** What fills a disk or a partition of it, by the signature that it starts with. */
export interface Volume {
  readonly type:
    | 'ext2'
    | 'ext3'
    | 'ext4'
    | 'xfs'
    | 'btrfs'
    | 'ntfs'
    | 'vfat'
    | 'iso9660'
    | 'swap'
    | 'LVM2'
    | 'LUKS1'
    | 'LUKS2';
  readonly uuid?: string;
  readonly label?: string;
}

/** Bytes of a volume, and where in it they start. Past its end there are zeros. */
export type ReadVolume = (start: number, length: number) => Promise<Buffer>;

const SUPERBLOCK = 1024;
const ISO_DESCRIPTOR = 32_768;
const BTRFS_SUPERBLOCK = 65_536;

/** Tells what fills a volume. Costs at most three reads: 4 KiB at its start, and a few hundred bytes at 32 and 64 KiB. */
export async function probeVolume(read: ReadVolume): Promise<Volume | undefined> {
  const head = await read(0, 4096);
  const found = fromHead(head);
  if (found) return found;
  const btrfs = await read(BTRFS_SUPERBLOCK, 560);
  if (btrfs.toString('latin1', 64, 72) === '_BHRfS_M') {
    return { type: 'btrfs', uuid: uuidAt(btrfs, 32), ...labelAt(btrfs, 299, 256) };
  }
  const iso = await read(ISO_DESCRIPTOR, 72);
  if (iso.toString('latin1', 1, 6) === 'CD001') return { type: 'iso9660', ...labelAt(iso, 40, 32) };
  return undefined;
}

function fromHead(head: Buffer): Volume | undefined {
  const says = (at: number, text: string) => head.toString('latin1', at, at + text.length) === text;
  if (says(0, 'LUKS\xba\xbe')) {
    const type = head.readUInt16BE(6) === 1 ? 'LUKS1' : 'LUKS2';
    return { type, ...nonEmpty('uuid', textAt(head, 168, 40)), ...(type === 'LUKS2' ? labelAt(head, 24, 48) : {}) };
  }
  if (says(0, 'XFSB')) return { type: 'xfs', uuid: uuidAt(head, 32), ...labelAt(head, 108, 12) };
  if (says(3, 'NTFS    '))
    return { type: 'ntfs', uuid: head.readBigUInt64LE(72).toString(16).toUpperCase().padStart(16, '0') };
  if (says(82, 'FAT32   ')) return { type: 'vfat', uuid: serialAt(head, 67), ...labelAt(head, 71, 11) };
  if (says(54, 'FAT16   ') || says(54, 'FAT12   '))
    return { type: 'vfat', uuid: serialAt(head, 39), ...labelAt(head, 43, 11) };
  if (says(4086, 'SWAPSPACE2')) return { type: 'swap', uuid: uuidAt(head, 1036), ...labelAt(head, 1052, 16) };
  for (let sector = 0; sector < 4; sector += 1) {
    const at = sector * 512;
    if (says(at, 'LABELONE') && says(at + 24, 'LVM2 001'))
      return { type: 'LVM2', uuid: lvmUuid(textAt(head, at + 32, 32)) };
  }
  return head.readUInt16LE(SUPERBLOCK + 56) === 0xef53 ? extOf(head.subarray(SUPERBLOCK)) : undefined;
}

/** Which of the three it is: whoever needs more than ext2 knows says so by its features. */
function extOf(superblock: Buffer): Volume {
  const hasJournal = (superblock.readUInt32LE(92) & 0x4) !== 0;
  // Extents, 64 bit, flexible groups and the like; huge files, checksums and the like.
  const isExt4 = (superblock.readUInt32LE(96) & ~0x1f) !== 0 || (superblock.readUInt32LE(100) & ~0x7) !== 0;
  const type = isExt4 ? 'ext4' : hasJournal ? 'ext3' : 'ext2';
  return { type, uuid: uuidAt(superblock, 104), ...labelAt(superblock, 120, 16) };
}

function uuidAt(bytes: Buffer, at: number): string {
  return bytes.toString('hex', at, at + 16).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

const serialAt = (bytes: Buffer, at: number) =>
  bytes
    .readUInt32LE(at)
    .toString(16)
    .toUpperCase()
    .padStart(8, '0')
    .replace(/^(.{4})/, '$1-');

const lvmUuid = (text: string) => text.replace(/^(.{6})(.{4})(.{4})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-$5-$6-');

/** Up to a NUL. Labels are whatever their owner typed: bytes that are no UTF-8 come out as U+FFFD. */
function textAt(bytes: Buffer, at: number, length: number): string {
  const text = bytes.subarray(at, at + length);
  const end = text.indexOf(0);
  return text.toString('utf8', 0, end < 0 ? length : end).trimEnd();
}

function labelAt(bytes: Buffer, at: number, length: number): { label?: string } {
  const label = textAt(bytes, at, length);
  return label === 'NO NAME' ? {} : nonEmpty('label', label);
}

function nonEmpty<K extends string>(key: K, text: string): { [P in K]?: string } {
  return (text === '' ? {} : { [key]: text }) as { [P in K]?: string };
}
