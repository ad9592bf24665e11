import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { checkDisk } from '../../lib/jobs/check-disk.ts';
import { openFile } from '../../lib/source/file.ts';
import { openS3 } from '../../lib/source/s3.ts';
import { MiB } from '../../lib/units.ts';
import { COMPRESSED_ROWS } from '../format/hostile/compressed-rows.ts';
import { FEATURE_RECIPES, RECIPES, SNAPSHOT_DISKS } from '../recipes.ts';
import { AT, compressedEntry, compressedSectors, deflated, imageBytes } from '../support/hostile.ts';
import { AT_V1, compressedV1, qcow1Bytes } from '../support/hostile-v1.ts';
import { openBytes, recorded } from '../support/images.ts';
import { noise } from '../support/qemu.ts';
import { useStore } from '../support/store.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();
const store = useStore();

const deep = (bytes: Uint8Array) => checkDisk(openBytes(bytes), { filename: 'disk', deep: true });
const STREAM = deflated(Buffer.from(noise(2048).toString('hex')));

describe('a deep check', () => {
  it.each([
    ['compressed-by-convert', RECIPES['compressed-by-convert']],
    ['zstd-of-text-4k', FEATURE_RECIPES['zstd-of-text-4k']],
    ['extl2-zstd-16k', FEATURE_RECIPES['extl2-zstd-16k']],
  ] as const)('finds nothing wrong with %s', async (name, recipe) => {
    const report = await deep(await readFile(await qemu.made(name, recipe ?? [])));
    expect(report.unqcow).toMatchObject({ verdict: 'clean', findings: [] });
    expect(report.unqcow.decompressed).toBeGreaterThan(16);
    expect(report.unqcow.decompressed).toBe(report['compressed-clusters']);
  });

  it('decompresses what only snapshots have, too', async () => {
    const recipe = SNAPSHOT_DISKS['compressed-zlib-extl2-off'] ?? [];
    const report = await deep(await readFile(await qemu.made('snapshots', recipe)));
    expect(report['compressed-clusters']).toBeUndefined();
    expect(report.unqcow.decompressed).toBe(32);
  });

  it.each([
    ['comp_garbage', 'DECOMPRESS_FAILED'],
    ['comp_zlib_header', 'DECOMPRESS_FAILED'],
    ['comp_short_output', 'DECOMPRESS_SHORT'],
    ['comp_truncated_stream', 'DECOMPRESS_SHORT'],
    ['comp_off_eof', 'CLUSTER_BEYOND_EOF'],
  ] as const)('finds %s, which a check of tables alone does not', async (name, code) => {
    const bytes = imageBytes(COMPRESSED_ROWS[name]?.image);
    const shallow = await checkDisk(openBytes(bytes), { filename: 'disk' });
    expect(shallow.unqcow.counts).not.toHaveProperty(code);
    const report = await deep(bytes);
    expect(report.unqcow.counts).toMatchObject({ [code]: 1 });
    expect(report.unqcow.verdict).toBe('corrupt');
    expect(report.corruptions).toBe(shallow.corruptions);
    expect(report.unqcow.findings.find((each) => each.code === code)?.at).toBe('l2[0][0]');
  });

  it('decompresses a stream that 512 entries share once', async () => {
    const entry = compressedEntry(AT.data, STREAM.length);
    const bytes = imageBytes({ size: 0x200000n, l2: Array<bigint>(512).fill(entry), data: [STREAM] });
    const source = recorded(openBytes(bytes));
    const report = await checkDisk(source, { filename: 'disk', deep: true });
    expect(report.unqcow.decompressed).toBe(1);
    expect(report.unqcow.counts).toEqual({ REFCOUNT_TOO_LOW: 1 });
    expect(source.requests.length).toBeLessThan(12);
  });

  it('refuses streams that lie on each other, which could inflate to any number of bytes', async () => {
    // 500 of 64 KiB, each a byte after the one before, in a file of 12 MiB: each stands for a cluster of 2 MiB.
    const [data, sectors] = [5 * 2 * MiB, 127];
    const l2 = Array.from({ length: 500 }, (_, i) => compressedSectors(data + i, sectors, 21));
    const image = { clusterBits: 21, size: 2n ** 30n, l2, data: [Buffer.alloc(2 * MiB, 0x62)] };
    await expect(deep(imageBytes(image))).rejects.toMatchObject({ code: 'CHECK_LIMIT' });
  });

  it('takes as many streams of few bytes as qemu-img puts into a file, many to a sector', async () => {
    const path = await qemu.made('small-streams', [
      'create -f qcow2 source 16M',
      'io write -P 0x44 0 16M',
      'convert -c -O qcow2 -o cluster_size=512 source disk',
    ]);
    const bytes = await readFile(path);
    // By the sectors that they touch they have many times the file's bytes.
    expect(bytes.length).toBeLessThan(2 * MiB);
    const report = await deep(bytes);
    expect(report.unqcow).toMatchObject({ verdict: 'clean', findings: [], decompressed: 32_768 });
  });

  it('decompresses a version 1 image, by lengths in bytes', async () => {
    const good = { data: [STREAM], l2: [compressedV1(AT_V1.data, STREAM.length)] };
    expect((await deep(qcow1Bytes(good))).unqcow).toMatchObject({ verdict: 'clean', decompressed: 1 });
    const cut = { ...good, l2: [compressedV1(AT_V1.data, STREAM.length - 500)] };
    expect((await deep(qcow1Bytes(cut))).unqcow.counts).toEqual({ DECOMPRESS_SHORT: 1 });
  });

  it('says the same of an object as of a file, by few requests', async () => {
    const path = await qemu.image('compressed-by-convert');
    const body = await readFile(path);
    await store.s3.put('disk', body);
    const source = await openS3(store.stores.reader, { bucket: store.s3.bucket, key: 'disk' });
    const options = { filename: path, deep: true };
    const [{ unqcow: there, ...theirs }, { unqcow: here, ...ours }] = [
      await checkDisk(source, options),
      await checkDisk(await openFile(path), options),
    ];
    expect(theirs).toEqual(ours);
    expect({ ...there, source: here.source }).toEqual(here);
    expect(there.read.requests).toBeLessThan(12);
    expect(there.read.bytes).toBeLessThan(2 * body.length + 512 * 1024);
  });

  it('stops when it is told to', async () => {
    const body = await readFile(await qemu.image('compressed-by-convert'));
    const stopped = { filename: 'disk', deep: true, signal: AbortSignal.abort(new Error('enough')) };
    await expect(checkDisk(openBytes(body), stopped)).rejects.toThrow('enough');
  });
});
