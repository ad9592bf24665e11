import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toJson } from '../../../lib/format/json.ts';
import { sliceOf, type TableSlice } from '../../../lib/format/layer.ts';
import { openQcow1 } from '../../../lib/format/qcow1/image.ts';
import { describeQcow1 } from '../../../lib/format/qcow1/info.ts';
import { readQcow1Map } from '../../../lib/format/qcow1/l1.ts';
import { memorySource } from '../../../lib/source/memory.ts';
import { MiB } from '../../../lib/units.ts';
import {
  layoutV1,
  makeQcow1,
  type Qcow1Spec,
  qcow1Bytes,
  qcow1Disk,
  qcow1Extents,
  qcow1MapOf,
  qcow1Part,
  qemu1In,
} from '../../support/hostile-v1.ts';
import { noise } from '../../support/qemu.ts';
import { useQemu } from '../../support/use-qemu.ts';

/** Version 1 images as `qemu-img` writes them. `noise` and `mixed` lie beside them, and make what is converted. */
const RECIPES = {
  empty: ['create -f qcow disk 16M'],
  plain: ['create -f qcow disk 16M', 'io disk write -P 0x66 1M 64k'],
  'several-l2-tables': ['create -f qcow disk 9M', 'io disk write -P 1 1M 3M', 'io disk write -P 2 8M 4k'],
  'written-backwards': ['create -f qcow disk 4M', 'io disk write -P 1 8k 4k', 'io disk write -P 2 4k 4k'],
  'half-clusters': ['create -f qcow disk 4M', 'io disk write -P 1 511 1026', 'io disk write -P 2 2097000 300'],
  'smaller-than-a-cluster': ['create -f qcow disk 1536', 'io disk write -P 1 512 512'],
  'odd-sectors': ['create -f qcow disk 1000448', 'io disk write -P 3 999936 512'],
  'zero-bytes-written': ['create -f qcow disk 4M', 'io disk write -z 0 64k', 'io disk write -P 0 1M 64k'],
  converted: ['convert -f raw -O qcow mixed disk'],
  compressed: ['convert -c -f raw -O qcow mixed disk'],
  'compressed-noise': ['convert -c -f raw -O qcow noise disk'],
  'compressed-to-an-odd-end': ['convert -c -f raw -O qcow odd disk'],
  'written-over-compressed': ['convert -c -f raw -O qcow mixed disk', 'io disk write -P 9 100k 10k'],
  'sparse-8G': ['create -f qcow disk 8G', 'io disk write -P 7 7G 1M'],
} as const;
const NAMES = Object.keys(RECIPES) as (keyof typeof RECIPES)[];

/** What `qemu-img info` tells of the file system. */
const NOT_COMPARED = ['actual-size', 'filename'];

const qemu = useQemu();

async function folderWithInputs() {
  const folder = join(qemu.folder, randomUUID());
  const mixed = Buffer.concat([Buffer.alloc(300_000, 'text '), Buffer.alloc(MiB), noise(200_000), noise(MiB)], 3 * MiB);
  await mkdir(folder);
  await writeFile(join(folder, 'noise'), noise(MiB));
  await writeFile(join(folder, 'mixed'), mixed);
  await writeFile(join(folder, 'odd'), mixed.subarray(0, 300_032 + 512 * 3));
  return folder;
}

describe.concurrent.each(NAMES)('the version 1 image %s', (name) => {
  it('has the bytes, the map and the description that qemu-img gives it', async () => {
    const folder = await folderWithInputs();
    const path = await makeQcow1(folder, RECIPES[name]);
    const oracle = qemu1In(folder);
    const source = memorySource(await readFile(path));
    const theirs = await oracle.info(path);
    const described = describeQcow1(await openQcow1(source), path);
    const compared = Object.entries(theirs).filter(([key]) => !NOT_COMPARED.includes(key));
    expect(JSON.parse(toJson(described))).toMatchObject(Object.fromEntries(compared));
    expect(
      Object.keys(described)
        .filter((key) => key !== 'unqcow')
        .sort(),
    ).toEqual(Object.keys(theirs).sort());
    expect(await qcow1MapOf(source)).toEqual(await oracle.map(path));
    if (name === 'sparse-8G') return;
    const { disk, warnings } = await qcow1Disk(source);
    expect(Buffer.compare(disk, await oracle.raw(path))).toBe(0);
    expect(warnings).toEqual([]);
  });
});

const SIZES = [9, 10, 11, 12, 13, 14, 15, 16].flatMap((clusterBits) =>
  [6, 7, 8, 9, 10, 11, 12, 13].map((l2Bits) => [clusterBits, l2Bits] as const),
);

/** Two L2 tables, with data at the first one's start and end and at the second one's start; the disk ends mid-cluster. */
function imageAcrossTables(clusterBits: number, l2Bits: number): Uint8Array {
  const coverage = 2 ** (clusterBits + l2Bits);
  const base: Qcow1Spec = { clusterBits, l2Bits, size: BigInt(coverage + 2 ** clusterBits * 2 - 512) };
  const { data, l2, clusterSize } = layoutV1(base);
  const first = Array<bigint>(2 ** l2Bits).fill(0n);
  first[1] = BigInt(data);
  first[first.length - 1] = BigInt(data + clusterSize);
  const second = data + 2 * clusterSize;
  const table = Buffer.alloc(2 ** l2Bits * 8);
  table.writeBigUInt64BE(BigInt(data + 512), 8);
  const pieces = [noise(clusterSize, 'a'), noise(clusterSize, 'b'), table];
  return qcow1Bytes({ ...base, l1: [BigInt(l2), BigInt(second)], l2: first, data: pieces });
}

describe.concurrent.each(SIZES)(
  'a version 1 image of 2^%i-byte clusters and 2^%i-entry L2 tables',
  (clusterBits, l2Bits) => {
    it('reads as qemu-img reads it', async () => {
      const bytes = imageAcrossTables(clusterBits, l2Bits);
      const oracle = qemu1In(qemu.folder);
      const path = await oracle.imageOf(bytes);
      const source = memorySource(bytes);
      expect(await qcow1MapOf(source)).toEqual(await oracle.map(path));
      if (clusterBits + l2Bits > 22) return;
      expect(Buffer.compare((await qcow1Disk(source)).disk, await oracle.raw(path))).toBe(0);
    });
  },
);

describe('a stretch of a version 1 disk', () => {
  it('is made from the L2 offsets that map it, sent as JSON, without the header or the L1 table', async () => {
    const folder = await folderWithInputs();
    for (const name of ['several-l2-tables', 'compressed'] as const) {
      const source = memorySource(await readFile(await makeQcow1(folder, RECIPES[name])));
      const { disk } = await qcow1Disk(source);
      const image = await openQcow1(source);
      for (const [start, end] of [
        [0, disk.length],
        [MiB + 4096, 2 * MiB + 8192],
        [2 * MiB, disk.length],
      ] as const) {
        const slice = sliceOf(await readQcow1Map(image), { start, end }) as TableSlice;
        const map = { geometry: image.geometry, ...slice };
        expect(map.l2Offsets.length).toBe(Math.ceil(end / (2 * MiB)) - map.firstTable);
        expect(Buffer.compare(await qcow1Part(source, map, { start, end }), disk.subarray(start, end))).toBe(0);
      }
    }
  });
});

describe('a version 1 overlay', () => {
  it('has 512-byte clusters, and lies over its backing file as qemu-img lays it', async () => {
    const folder = await folderWithInputs();
    const base = await readFile(join(folder, 'mixed'));
    const steps = [
      'create -f qcow -b mixed -F raw disk 4M',
      'io disk write -P 5 1000k 1536',
      'io disk write -P 6 3500k 1k',
    ];
    const path = await makeQcow1(folder, steps);
    const oracle = qemu1In(folder);
    const source = memorySource(await readFile(path));
    const image = await openQcow1(source);
    expect(image.backing).toEqual({ name: 'mixed', format: undefined });
    expect(image.geometry).toEqual({ version: 1, clusterBits: 9, l2Bits: 12, diskSize: 4 * MiB, encrypted: false });
    const { 'backing-filename': name, 'full-backing-filename': full } = describeQcow1(image, path);
    expect(await oracle.info(path)).toMatchObject({ 'backing-filename': name, 'full-backing-filename': full });
    const ours = (await qcow1MapOf(source)).filter(({ present }) => present);
    expect(ours).toEqual((await oracle.map(path)).filter(({ depth, present }) => depth === 0 && present));
    const disk = Buffer.concat([base], 4 * MiB);
    const map = await readQcow1Map(image);
    for (const extent of await qcow1Extents(image, map)) {
      if (extent.kind !== 'data') continue;
      disk.set(await source.read({ start: extent.host, end: extent.host + extent.end - extent.start }), extent.start);
    }
    expect(Buffer.compare(disk, await oracle.raw(path))).toBe(0);
  });

  it('maps as qemu-img maps it without its backing file', async () => {
    const folder = await folderWithInputs();
    const path = await makeQcow1(folder, ['create -f qcow -b mixed -F raw disk 4M', 'io disk write -P 5 1000k 3k']);
    const bytes = await readFile(path);
    bytes.fill(0, 8, 20);
    const oracle = qemu1In(folder);
    expect(await qcow1MapOf(memorySource(bytes))).toEqual(await oracle.map(await oracle.imageOf(bytes)));
  });
});

describe('an encrypted version 1 image', () => {
  it('is described and mapped as qemu-img does, with no offsets', async () => {
    const folder = await folderWithInputs();
    const secret = ['--object', 'secret,id=s,data=abc'];
    const opened = 'driver=qcow,file.filename=disk,encrypt.format=aes,encrypt.key-secret=s';
    const created = ['create', '-f', 'qcow', ...secret, '-o', 'encrypt.format=aes,encrypt.key-secret=s', 'disk', '4M'];
    execFileSync('qemu-img', created, { cwd: folder });
    execFileSync('qemu-io', [...secret, '--image-opts', opened, '-c', 'write -P 5 1M 64k'], { cwd: folder });
    const theirs = execFileSync('qemu-img', ['map', '--output=json', ...secret, '--image-opts', opened], {
      cwd: folder,
    });
    const source = memorySource(await readFile(join(folder, 'disk')));
    expect(await qcow1MapOf(source)).toEqual(JSON.parse(theirs.toString()));
    const { encrypted } = await qemu1In(folder).info(join(folder, 'disk'));
    expect(describeQcow1(await openQcow1(source), 'disk').encrypted).toBe(encrypted);
  });
});
