import { execFile } from 'node:child_process';
import { open, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { openDisk } from '../../lib/jobs/open-disk.ts';
import { type Probe, probeDisk } from '../../lib/jobs/probe/probe-disk.ts';
import { openFile } from '../../lib/source/file.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { metered, newMeter } from '../../lib/source/metered.ts';
import { KiB, MiB } from '../../lib/units.ts';
import { unqcow } from '../cli/run.ts';
import { useQemu } from '../support/use-qemu.ts';

const execute = promisify(execFile);
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const run = (command: string, ...args: string[]) => execute(command, args, { env });

const qemu = useQemu();
beforeAll(async () => {
  await execute('sh', ['test/view/setup.sh']);
}, 180_000);

let files = 0;
async function rawFile(size: number): Promise<string> {
  files += 1;
  const path = join(qemu.folder, `volume-${files}`);
  await writeFile(path, '');
  await truncate(path, size);
  return path;
}

/** Probes what `qemu-img` made of a raw disk. */
async function probe(raw: string): Promise<Probe> {
  const image = `${raw}.qcow2`;
  await run('qemu-img', 'convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, image);
  const source = await openFile(image);
  const disk = await openDisk(source, { kind: 'file', path: image });
  try {
    return await probeDisk(disk);
  } finally {
    await disk.close();
    await source.close();
  }
}

/** What `blkid` says of a stretch of a file. */
async function blkid(raw: string, ...where: string[]): Promise<Record<string, string>> {
  const { stdout } = await run('blkid', '-p', '-o', 'export', ...where, raw);
  return Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.replaceAll('\\ ', ' ').split(/=(.*)/s).slice(0, 2)),
  );
}

const MAKERS: Readonly<Record<string, (path: string) => readonly string[]>> = {
  ext2: (path) => ['mkfs.ext2', '-q', '-L', 'some label', path],
  ext3: (path) => ['mkfs.ext3', '-q', path],
  ext4: (path) => ['mkfs.ext4', '-q', '-L', 'root', path],
  xfs: (path) => ['mkfs.xfs', '-q', '-L', 'data', path],
  btrfs: (path) => ['mkfs.btrfs', '-q', '-L', 'pool', path],
  ntfs: (path) => ['mkntfs', '-q', '-F', '-Q', path],
  vfat: (path) => ['mkfs.vfat', '-F', '32', '-n', 'EFI', path],
  'vfat-16': (path) => ['mkfs.vfat', '-F', '16', path],
  swap: (path) => ['mkswap', '-q', '-L', 'swap', path],
  luks1: (path) => ['sh', '-c', `echo -n secret | cryptsetup luksFormat -q --type luks1 --iter-time 1 '${path}' -`],
  luks2: (path) => [
    'sh',
    '-c',
    `echo -n secret | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 '${path}' -`,
  ],
};

/** As `blkid` spells it. */
const TYPES: Readonly<Record<string, string>> = { LUKS1: 'crypto_LUKS', LUKS2: 'crypto_LUKS', LVM2: 'LVM2_member' };

describe('probing a volume', () => {
  it.each(Object.keys(MAKERS))('%s: says what blkid says', async (name) => {
    const path = await rawFile(name === 'xfs' ? 320 * MiB : 130 * MiB);
    const [command = '', ...args] = MAKERS[name]?.(path) ?? [];
    await run(command, ...args);
    const { volume } = await probe(path);
    const { TYPE, UUID, LABEL } = await blkid(path);
    expect(volume).toBeDefined();
    expect({ ...volume, type: TYPES[volume?.type as string] ?? volume?.type }).toEqual({
      type: TYPE,
      uuid: UUID,
      ...(LABEL === undefined ? {} : { label: LABEL }),
    });
  });

  it('iso9660: says what blkid says', async () => {
    const path = await rawFile(0);
    await run('genisoimage', '-quiet', '-V', 'CDROM', '-o', path, 'LICENSE');
    const { TYPE, LABEL } = await blkid(path);
    expect((await probe(path)).volume).toEqual({ type: TYPE, label: LABEL });
  });

  it('LVM2: says what blkid says of its label', async () => {
    const path = await rawFile(16 * MiB);
    const file = await open(path, 'r+');
    const label = Buffer.alloc(512);
    label.write('LABELONE', 0, 'latin1');
    label.writeBigUInt64LE(1n, 8);
    label.writeUInt32LE(32, 20);
    label.write('LVM2 001', 24, 'latin1');
    label.write('abcdefGHIJKLmnop0123456789QRSTuv', 32, 'latin1');
    label.writeUInt32LE(lvmCrc(label.subarray(20)), 16);
    await file.write(label, 0, 512, 512);
    await file.close();
    const { TYPE, UUID } = await blkid(path);
    expect({ type: TYPE, uuid: UUID }).toEqual({ type: 'LVM2_member', uuid: (await probe(path)).volume?.uuid });
    expect((await probe(path)).volume?.type).toBe('LVM2');
  });

  it('finds nothing on an empty disk', async () => {
    expect(await probe(await rawFile(16 * MiB))).toEqual({});
  });
});

/** CRC-32 without its last inversion, from a start of LVM's own. */
function lvmCrc(bytes: Buffer): number {
  let crc = 0xf597a6cf;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return crc >>> 0;
}

interface Sfdisk {
  partitiontable: {
    label: string;
    partitions: { start: number; size: number; type: string; name?: string; uuid?: string }[];
  };
}

describe('probing a partition table', () => {
  const TABLES = {
    gpt: 'label: gpt\nsize=10M, type=uefi, name="EFI System"\nsize=40M, type=linux, name="wüst"\nsize=5M, type=swap\n',
    dos: 'label: dos\nsize=10M, type=c, bootable\nsize=40M, type=83\nsize=30M, type=5\nsize=5M, type=8e\nsize=10M, type=83\nsize=6M, type=82\n',
  };

  it.each(Object.entries(TABLES))(
    '%s: says what sfdisk says, and of each partition what blkid says',
    async (kind, script) => {
      const path = await rawFile(128 * MiB);
      await run('sh', '-c', `printf '%s' '${script}' | sfdisk -q '${path}'`);
      const { partitiontable: theirs }: Sfdisk = JSON.parse((await run('sfdisk', '-J', path)).stdout);
      const ext4 = theirs.partitions[1];
      const at = (ext4?.start ?? 0) * 512;
      await run('mkfs.ext4', '-q', '-L', 'root', '-E', `offset=${at}`, path, '40M');
      const { partitionTable, partitions = [] } = await probe(path);
      expect(partitionTable).toEqual({ kind: kind === 'dos' ? 'mbr' : 'gpt', sectorSize: 512 });
      expect(partitions.map(({ start, length }) => [start / 512, length / 512])).toEqual(
        theirs.partitions.map(({ start, size }) => [start, size]),
      );
      expect(partitions.map(({ type }) => type.toUpperCase().replace(/^0(?=.$)/, ''))).toEqual(
        theirs.partitions.map(({ type }) => type.toUpperCase()),
      );
      if (kind === 'gpt') {
        expect(partitions.map(({ name, uuid }) => [name, uuid?.toUpperCase()])).toEqual(
          theirs.partitions.map(({ name, uuid }) => [name, uuid]),
        );
      }
      const { TYPE, UUID, LABEL } = await blkid(path, '-O', String(at), '-S', String((ext4?.size ?? 0) * 512));
      expect(partitions[1]?.volume).toEqual({ type: TYPE, uuid: UUID, label: LABEL });
    },
  );

  it('reads little of a large disk', async () => {
    const path = await rawFile(512 * MiB);
    await run('sh', '-c', `printf '%s' '${TABLES.gpt}' | sfdisk -q '${path}'`);
    await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', path, `${path}.qcow2`);
    const source = await openFile(`${path}.qcow2`);
    const meter = newMeter();
    const disk = await openDisk(metered(source, meter), { kind: 'file', path });
    const opened = { ...meter };
    await probeDisk(disk);
    expect(meter.bytes - opened.bytes).toBeLessThan(2 * MiB);
    await disk.close();
    await source.close();
  });

  it('whatever the bytes, finds a table or none, and never more than it may', async () => {
    const bytes = fc.uint8Array({ minLength: 512, maxLength: 8 * KiB, size: 'max' });
    await fc.assert(
      fc.asyncProperty(bytes, async (disk) => {
        disk.set([0x55, 0xaa], 510);
        const source = memorySource(disk);
        const map = { geometry: { version: 'raw' as const, diskSize: disk.length } };
        const { partitions = [] } = await probeDisk({ size: disk.length, layers: [{ map, source, data: source }] });
        expect(partitions.length).toBeLessThanOrEqual(256);
      }),
      { numRuns: 200 },
    );
  });
});

describe('unqcow info --probe', () => {
  it('tells people and programs', async () => {
    const path = await rawFile(128 * MiB);
    await run('mkfs.ext4', '-q', '-L', 'root', path);
    const image = `${path}.cli.qcow2`;
    await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', path, image);
    expect((await unqcow(['info', '--probe', image])).stdout).toMatch(/^on the disk: ext4 "root" [0-9a-f-]{36}$/m);
    const { unqcow: ours } = JSON.parse((await unqcow(['info', '--probe', '--json', image])).stdout);
    expect(ours.probe.volume).toMatchObject({ type: 'ext4', label: 'root' });
  });

  it('says in words what partitions are for, and of a type that it does not know the type', async () => {
    const path = await rawFile(128 * MiB);
    const unknown = '12345678-9abc-4def-8012-3456789abcde';
    const script = `label: gpt\nsize=10M, type=uefi\nsize=40M, type=linux\nsize=5M, type=lvm\nsize=5M, type=${unknown}\n`;
    await run('sh', '-c', `printf '%s' '${script}' | sfdisk -q '${path}'`);
    await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', path, `${path}.types.qcow2`);
    const { stdout } = await unqcow(['info', '--probe', `${path}.types.qcow2`]);
    const said = [...stdout.matchAll(/^partition \d: .* at \d+, (.*)$/gm)].map(([, type]) => type);
    expect(said).toEqual(['EFI system', 'Linux', 'Linux LVM', `type ${unknown}`]);
  });
});
