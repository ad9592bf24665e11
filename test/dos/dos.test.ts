import { tmpdir } from 'node:os';
import { zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../lib/chunk/assemble.ts';
import { unlockLuks } from '../../lib/chunk/crypto/unlock.ts';
import { openImage } from '../../lib/format/image.ts';
import { inspect } from '../../lib/format/info.ts';
import { toJson } from '../../lib/format/json.ts';
import { diskBatches } from '../../lib/format/layer.ts';
import { lowerBound } from '../../lib/format/lower-bound.ts';
import { LUKS_HEADER_BYTES, type LuksHeader } from '../../lib/format/luks.ts';
import { snapshotRanges } from '../../lib/format/snapshot-choice.ts';
import { readSnapshots } from '../../lib/format/snapshots.ts';
import { openDisk } from '../../lib/jobs/open-disk.ts';
import { readPartitions } from '../../lib/jobs/probe/partitions.ts';
import type { Location } from '../../lib/source/location.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { GiB, KiB, MiB } from '../../lib/units.ts';
import { COPIED, compressedEntry, deflated, EXT, type ImageSpec, imageBytes, u64s } from '../support/hostile.ts';
import { NO_ICOUNT, SNAPSHOT_TABLE, snapshotBytes, withSnapshots } from '../support/hostile-snapshots.ts';
import { convertTo, mapOf, openBytes, recorded, refusalOf } from '../support/images.ts';
import { expectLinear, exponentOf, workOn } from './growth.ts';

const PLACE = { kind: 'file', path: 'disk' } as const;
const CLUSTER = 4096;
/** Where images keep what is too long for its usual place. */
const FAR = 0x8000;
const COVERAGE = (CLUSTER / 8) * CLUSTER;

/** An image of `count` L1 entries, each of 2 MiB, with its L1 table where there is room. */
function withL1(entries: readonly bigint[], more: ImageSpec = {}): Uint8Array {
  const table = u64s(entries);
  return imageBytes({
    size: BigInt(entries.length * COVERAGE),
    header: { l1Size: entries.length, l1TableOffset: FAR },
    fileSize: FAR + table.length,
    patches: { [FAR]: table },
    ...more,
  });
}

describe('the fit', () => {
  it.each([
    [1, (n: number) => 7 * n],
    [2, (n: number) => n * n],
    [0, () => 5],
  ])('tells growth by a power of %i', (power, work) => {
    expect(exponentOf([1, 2, 4, 8, 16].map((n) => [n, work(n)]))).toBeCloseTo(power);
  });

  it('refuses what grows faster than its input', async () => {
    const squared = expectLinear([1, 2, 4, 8], async (n) => ({ requests: n, bytes: n ** 1.5 }));
    await expect(squared).rejects.toThrow(/bytes/);
  });
});

describe('a few KiB that stand for a large disk', () => {
  const stream = deflated(Buffer.alloc(CLUSTER, 'x'));
  const shared = (count: number) => {
    const l2 = Array.from({ length: CLUSTER / 8 }, () => compressedEntry(0x5000, stream.length));
    return withL1(Array(count).fill(COPIED | 0x4000n), { l2, data: [stream] });
  };

  it('take work in proportion to the disk, by one L2 table and one stream for all of it', async () => {
    const works = await expectLinear([32, 64, 128, 256, 512], (count) => workOn(shared(count)));
    expect(works.at(-1)?.entries).toBe(512 * 512);
    // The table is read once for all of a window, not once for each entry that names it.
    expect(works.at(-1)?.requests).toBeLessThanOrEqual(8);
    expect(works.at(-1)?.bytes).toBeLessThan(256 * KiB);
  });

  it('are refused before their tables are read, if the disk is more than the limit: OUTPUT_LIMIT', async () => {
    const source = recorded(openBytes(shared(512)));
    const refusal = await refusalOf(openDisk(source, PLACE, { outputLimit: GiB - 1 }));
    expect(refusal?.code).toBe('OUTPUT_LIMIT');
    expect(source.requests).toEqual([{ start: 0, end: source.size }]);
  });

  it('are counted as what is converted of them: a snapshot by its own size', async () => {
    const sized = (active: bigint, snapshot: bigint) => {
      const extra = u64s([0n, snapshot, NO_ICOUNT]);
      return openDisk(openBytes(imageBytes(withSnapshots([{ extra }], { size: active }))), PLACE, {
        snapshot: '1',
        outputLimit: 64 * KiB,
      });
    };
    expect((await refusalOf(sized(0x10000n, 0x20000n)))?.code).toBe('OUTPUT_LIMIT');
    expect((await sized(0x20000n, 0x10000n)).size).toBe(64 * KiB);
  });

  it('have subclusters that alternate walked in batches of bounded length', async () => {
    const clusterBits = 14;
    const count = 2 ** clusterBits / 16;
    const entry = [COPIED | 0x14000n, 0xaaaaaaaa_55555555n];
    const image = imageBytes({
      clusterBits,
      size: BigInt(64 * count * 2 ** clusterBits),
      header: { incompatibleFeatures: 16 },
      l1: Array(64).fill(COPIED | 0x10000n),
      l2: Array.from({ length: count }, () => entry).flat(),
    });
    const disk = await openDisk(openBytes(image), PLACE);
    let [all, longest] = [0, 0];
    for await (const { extents } of diskBatches(disk, { start: 0, end: disk.size })) {
      all += extents.length;
      longest = Math.max(longest, extents.length);
    }
    expect(all).toBe(64 * count * 32);
    expect(longest).toBeLessThan(200_000);
  });

  it('have their one stream read once for a stretch of disk', async () => {
    const source = recorded(openBytes(shared(8)));
    const disk = await openDisk(source, PLACE);
    const before = source.requests.length;
    const made = await assemble(disk, { start: 0, end: 16 * MiB });
    expect(Buffer.from(made).equals(Buffer.alloc(16 * MiB, 'x'))).toBe(true);
    expect(source.requests.length - before).toBeLessThanOrEqual(2);
  });
});

describe('a disk of which nothing is there', () => {
  const sparse = (size: bigint, entries: number) =>
    imageBytes({ clusterBits: 21, size, header: { l1Size: entries }, l1: Array(entries).fill(0n), data: [] });

  it('of 1 PiB is described by one request and mapped in one piece, and not converted', async () => {
    const entries = 2048; // of 512 GiB
    const image = sparse(2n ** 50n, entries);
    const source = recorded(openBytes(image));
    expect((await inspect(await openImage(source), 'disk'))['virtual-size']).toBe(2n ** 50n);
    expect(source.requests).toEqual([{ start: 0, end: 64 * KiB }]);
    const map = await mapOf(openBytes(image));
    expect(map).toEqual([expect.objectContaining({ start: 0, length: 2 ** 50, present: false, zero: true })]);
    const conversion = convertTo(tmpdir(), openBytes(image));
    expect((await refusalOf(conversion))?.code).toBe('OUTPUT_LIMIT');
  });

  it('takes work in proportion to its L1 table', async () => {
    await expectLinear([1024, 2048, 4096, 8192, 16_384, 32_768], (count) => workOn(withL1(Array(count).fill(0n))));
  });

  it('with an L1 table of 32 MiB, all but one entry of it past the end, costs what is there', async () => {
    const image = imageBytes({ header: { l1Size: 4_194_304 } });
    const { requests, bytes } = await workOn(image);
    expect(requests).toBeLessThanOrEqual(6);
    expect(bytes).toBeLessThan(2 * image.length + 64 * KiB);
  });
});

describe('a chain of logical partitions', () => {
  it('that names none is not followed to its end', async () => {
    const sectors = 1_000;
    const disk = Buffer.alloc((sectors + 1) * 512);
    for (let at = 0; at <= sectors; at += 1) {
      const entry = at * 512 + 446 + (at === 0 ? 0 : 16);
      disk.writeUInt8(5, entry + 4);
      disk.writeUInt32LE(at === 0 ? 1 : at, entry + 8); // the first from the disk's start, others from the chain's
      disk.writeUInt32LE(sectors, entry + 12);
      disk.writeUInt16LE(0xaa55, at * 512 + 510);
    }
    let reads = 0;
    const table = await readPartitions(async (start, length) => {
      reads += 1;
      return disk.subarray(start, start + length);
    });
    expect(table?.partitions).toEqual([expect.objectContaining({ number: 1, type: '05' })]);
    expect(reads).toBe(61);
  });
});

describe('a list that is long', () => {
  const PAGE = { limit: 1_000, maxBytes: 2 * MiB };
  const describing = async (image: Uint8Array) => {
    const source = recorded(openBytes(image));
    const info = await inspect(await openImage(source), 'disk', PAGE);
    const { length: requests } = source.requests;
    const bytes = source.requests.reduce((sum, { start, end }) => sum + end - start, 0);
    return { requests, bytes, said: toJson(info).length };
  };
  const empty = (count: number) =>
    imageBytes({
      header: { nbSnapshots: count, snapshotsOffset: SNAPSHOT_TABLE },
      fileSize: SNAPSHOT_TABLE + count * 40,
    });
  const named = (count: number) => {
    const table = Buffer.concat(
      Array.from({ length: count }, (_, i) => snapshotBytes({ name: 'n'.repeat(60_000) }, i)),
    );
    const header = { nbSnapshots: count, snapshotsOffset: SNAPSHOT_TABLE };
    return imageBytes({ header, fileSize: SNAPSHOT_TABLE + table.length, patches: { [SNAPSHOT_TABLE]: table } });
  };
  const bitmaps = (count: number) => {
    const entry = Buffer.from('00000000000050000000000100000001011000020000000061000000', 'hex');
    const directory = Buffer.concat(
      Array.from({ length: count }, (_, i) => {
        const bytes = Buffer.concat([entry, Buffer.alloc(4)]);
        bytes.writeUInt16BE(4, 18);
        bytes.writeUInt32BE(i + 1, 24);
        return bytes;
      }),
    );
    const data = Buffer.alloc(24);
    data.writeUInt32BE(count, 0);
    data.writeBigUInt64BE(BigInt(directory.length), 8);
    data.writeBigUInt64BE(BigInt(FAR), 16);
    return imageBytes({
      extensions: [{ type: EXT.bitmaps, data }],
      header: { autoclearFeatures: 1n },
      fileSize: FAR + directory.length,
      patches: { [FAR]: directory },
    });
  };

  it('of up to 65,536 snapshots takes few reads, and is answered by the page', async () => {
    await expectLinear([4096, 8192, 16_384, 32_768, 65_536], (count) => describing(empty(count)));
    const { requests, said } = await describing(empty(65_536));
    expect(requests).toBeLessThanOrEqual(3);
    expect(said).toBeLessThan(MiB);
  });

  it('of snapshots with the longest names is answered by the page, too', async () => {
    await expectLinear([32, 64, 128, 256], (count) => describing(named(count)));
    expect((await describing(named(256))).said).toBeLessThan(6 * MiB);
  });

  it('of up to 65,535 bitmaps takes one read, and is answered by the page', async () => {
    await expectLinear([4096, 8192, 16_384, 32_768, 65_535], (count) => describing(bitmaps(count)));
    const { requests, said } = await describing(bitmaps(65_535));
    expect(requests).toBe(2);
    expect(said).toBeLessThan(MiB);
  });

  describe('of 65,536 snapshots with L1 tables', () => {
    const COUNT = 65_536;
    const withTables = (count: number, placeOf: (i: number) => number, entries: number) => {
      const table = Buffer.alloc(count * 40);
      for (let i = 0; i < count; i += 1) {
        table.writeBigUInt64BE(BigInt(placeOf(i)), i * 40);
        table.writeUInt32BE(entries, i * 40 + 8);
      }
      const header = { nbSnapshots: count, snapshotsOffset: SNAPSHOT_TABLE };
      const fileSize = Math.max(SNAPSHOT_TABLE + table.length, placeOf(0) + entries * 8);
      return imageBytes({ header, fileSize, patches: { [SNAPSHOT_TABLE]: table } });
    };
    /** What each cluster is looked up in. */
    const inactive = async (bytes: Uint8Array) => {
      const image = await openImage(openBytes(bytes));
      const found = snapshotRanges(image, await readSnapshots(image));
      return found.find(({ name }) => name === 'inactive L1 table')?.ranges ?? [];
    };

    it('takes few reads', async () => {
      const works = await expectLinear([1024, 4096, 16_384, COUNT], (count) =>
        workOn(withTables(count, () => 0x3000, 1)),
      );
      expect(works.at(-1)?.requests).toBeLessThanOrEqual(8);
    });

    it('has one place for all that claim the same 32 MiB', async () => {
      const end = SNAPSHOT_TABLE + COUNT * 40;
      expect(await inactive(withTables(COUNT, () => end, 2 ** 22))).toEqual([{ start: end, end: end + 32 * MiB }]);
    });

    it('has a place for each that lies alone, in order, and 17 of them are looked at for a cluster', async () => {
      const end = Math.ceil((SNAPSHOT_TABLE + COUNT * 40) / CLUSTER) * CLUSTER;
      const places = await inactive(withTables(COUNT, (i) => end + (COUNT - 1 - i) * CLUSTER, 1));
      expect(places).toHaveLength(COUNT);
      const looks: unknown[] = [];
      const starts = new Proxy(
        places.map(({ start }) => start),
        {
          get(all, key) {
            looks.push(key);
            return Reflect.get(all, key);
          },
        },
      );
      for (const i of [0, 1, COUNT / 4, COUNT - 1]) {
        looks.length = 0;
        expect(lowerBound(starts, end + i * CLUSTER)).toBe(i);
        expect(looks.length).toBeLessThanOrEqual(1 + 17);
      }
    });
  });

  it('of 260,000 header extensions takes two reads, and 64 of them are told', async () => {
    const extensions = Array.from({ length: 260_000 }, () => ({ type: EXT.unknown }));
    const image = imageBytes({ clusterBits: 21, extensions: extensions.slice(0, 1), data: [] });
    const heads = Buffer.alloc(260_000 * 8);
    for (let at = 0; at < heads.length; at += 8) heads.writeUInt32BE(EXT.unknown, at);
    heads.copy(image, 112);
    const { requests, said } = await describing(image);
    expect(requests).toBe(2);
    expect(said).toBeLessThan(16 * KiB);
  });
});

describe('a chain of backing files', () => {
  const LAST = 'base';
  /** Each file has every other cluster of those that the ones above leave open. */
  const link = (depth: number, count: number): Uint8Array => {
    const step = 2 ** (depth % 8);
    const l2 = Array.from({ length: 256 }, (_, i) => (i % (2 * step) === step - 1 ? COPIED | 0x5000n : 0n));
    const stated = { type: EXT.backingFormat, data: 'qcow2' };
    const last = depth === count - 1;
    return imageBytes({
      size: 0x100000n,
      l2,
      data: [Buffer.alloc(CLUSTER, depth + 1)],
      ...(last ? {} : { backing: `${LAST}${depth + 1}`, extensions: [stated] }),
    });
  };
  const openChain = (count: number, maxDepth?: number) => {
    const sources = new Map<string, ReturnType<typeof recorded>>();
    const sourceOf = (depth: number) => {
      const source = { ...recorded(openBytes(link(depth, count))), id: `link ${depth}` };
      sources.set(source.id, source);
      return source;
    };
    const open = async (location: Location) => {
      if (location.kind !== 'file') throw new Error('a file led to S3');
      return sourceOf(Number(location.path.slice(LAST.length)));
    };
    const gate = { allow: ['.'], places: {}, backingFormats: {} };
    const disk = openDisk(sourceOf(0), PLACE, { gate, open, ...(maxDepth === undefined ? {} : { maxDepth }) });
    return { disk, sources };
  };

  it('takes work in proportion to its files, where each has some of every stretch', async () => {
    await expectLinear([4, 8, 16, 32, 64], async (count) => {
      const { disk, sources } = openChain(count);
      const opened = await disk;
      await assemble(opened, { start: 0, end: opened.size });
      await opened.close();
      const requests = [...sources.values()].flatMap((source) => source.requests);
      return { requests: requests.length, bytes: requests.reduce((sum, { start, end }) => sum + end - start, 0) };
    });
  });

  it('of 260 files is refused when 64 of them were opened: BACKING_TOO_DEEP', async () => {
    const { disk, sources } = openChain(260);
    expect((await refusalOf(disk))?.code).toBe('BACKING_TOO_DEEP');
    expect(sources.size).toBeLessThanOrEqual(65);
  });

  it('of 260 files is read where the caller allows so many', async () => {
    const { disk } = openChain(260, 300);
    expect((await disk).layers).toHaveLength(260);
  });
});

describe('a key that takes too long to derive', () => {
  const slot = { active: false, iterations: 0, salt: new Uint8Array(32), offset: CLUSTER, stripes: 4000 };
  const header = (iterations: readonly number[], digestIterations: number): LuksHeader => ({
    cipherName: 'aes',
    mode: 'xts',
    ivGenerator: 'plain64',
    ivHash: undefined,
    hash: 'sha256',
    payloadOffset: 2 * MiB,
    keyBytes: 32,
    digest: new Uint8Array(20),
    digestSalt: new Uint8Array(32),
    digestIterations,
    uuid: '',
    slots: iterations.map((each) => ({ ...slot, active: true, iterations: each })),
  });

  it.each([
    ['by one slot', [100_000_000], 1],
    ['by the digest', [1], 100_000_000],
    ['by both', [60_000_000], 40_000_001],
    ['by the largest number that there is', [0xffffffff], 0xffffffff],
  ])('%s is refused before anything of it is read: KEY_TOO_COSTLY', async (_, iterations, digest) => {
    const source = recorded(memorySource(new Uint8Array(MiB + LUKS_HEADER_BYTES)));
    const work = unlockLuks(source, header(iterations, digest), 0, Buffer.from('sesame'));
    expect((await refusalOf(work))?.code).toBe('KEY_TOO_COSTLY');
    expect(source.requests).toEqual([]);
  });

  it('is refused once slots that were tried and those that are left come to too many', async () => {
    const source = recorded(memorySource(new Uint8Array(MiB + LUKS_HEADER_BYTES)));
    const work = unlockLuks(source, header([99_999_000, 1000, 1000], 1), 0, Buffer.from('sesame'));
    expect((await refusalOf(work))?.code).toBe('KEY_TOO_COSTLY');
    expect(source.requests).toHaveLength(2);
  });
});

describe('a stream that grows', () => {
  /** Memory outside of the heap at its most, while a disk of so many clusters is made. */
  const peakOf = async (stream: Uint8Array, compressionType: 0 | 1) => {
    const image = imageBytes({
      clusterBits: 16,
      size: 0x100000n,
      data: [stream],
      l2: Array.from({ length: 16 }, () => compressedEntry(0x50000, stream.length, 16)),
      header: compressionType === 1 ? { incompatibleFeatures: 8n, compressionType } : {},
    });
    const disk = await openDisk(openBytes(image), PLACE);
    const before = process.memoryUsage();
    const outcome = await refusalOf(assemble(disk, { start: 0, end: disk.size }));
    const after = process.memoryUsage();
    return { code: outcome?.code, bytes: after.external + after.arrayBuffers - before.external - before.arrayBuffers };
  };

  it.each([1, 16, 64])('by deflate to %i MiB is read up to one cluster, in little memory', async (mebibytes) => {
    const { code, bytes } = await peakOf(deflated(Buffer.alloc(mebibytes * MiB), 15), 0);
    expect(code).toBeUndefined();
    expect(bytes).toBeLessThan(16 * MiB);
  });

  it.each([1, 16, 64])('by zstd to %i MiB is refused, in little memory', async (mebibytes) => {
    const { code, bytes } = await peakOf(zstdCompressSync(Buffer.alloc(mebibytes * MiB)), 1);
    expect(code).toBe('DECOMPRESS_FAILED');
    expect(bytes).toBeLessThan(16 * MiB);
  });

  it('by zstd with a window of 2 GiB is refused: DECOMPRESS_FAILED', async () => {
    const frame = Buffer.from('28b52ffd00a8010000', 'hex'); // window descriptor 21 << 3: 2^31 bytes
    const { code, bytes } = await peakOf(frame, 1);
    expect(code).toBe('DECOMPRESS_FAILED');
    expect(bytes).toBeLessThan(16 * MiB);
  });
});
