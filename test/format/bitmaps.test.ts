import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BitmapList, describeBitmaps, readBitmaps } from '../../lib/format/bitmaps.ts';
import { openImage } from '../../lib/format/image.ts';
import { toJson } from '../../lib/format/json.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { KiB } from '../../lib/units.ts';
import { EXT, type ImageSpec, imageBytes, padded, u64s } from '../support/hostile.ts';
import { recorded, refusalOf } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';

const run = promisify(execFile);
const qemu = useQemu();

/** Where hand-made directories lie, and the table that all their bitmaps share: two clusters of data come before. */
const DIRECTORY = 0x7000;
const TABLE = 0x6000;

interface Entry {
  readonly table?: bigint;
  readonly tableSize?: number;
  readonly flags?: number;
  readonly type?: number;
  readonly granularityBits?: number;
  readonly name?: string | Uint8Array;
  /** What it says of lengths, where that is not the truth. */
  readonly nameSize?: number;
  readonly extraSize?: number;
}

function entryBytes(entry: Entry, index: number): Buffer {
  const name = Buffer.from((entry.name ?? `bitmap ${index}`) as string);
  const head = Buffer.alloc(24);
  head.writeBigUInt64BE(entry.table ?? BigInt(TABLE), 0);
  head.writeUInt32BE(entry.tableSize ?? 1, 8);
  head.writeUInt32BE(entry.flags ?? 2, 12);
  head.writeUInt8(entry.type ?? 1, 16);
  head.writeUInt8(entry.granularityBits ?? 16, 17);
  head.writeUInt16BE(entry.nameSize ?? name.length, 18);
  head.writeUInt32BE(entry.extraSize ?? 0, 20);
  return padded(Buffer.concat([head, name]), 8);
}

interface Extension {
  readonly count?: number;
  readonly reserved?: number;
  readonly size?: bigint;
  readonly offset?: bigint;
}

/** An image that has these bitmaps. */
function withEntries(entries: readonly Entry[], extension: Extension = {}, spec: ImageSpec = {}): ImageSpec {
  const directory = Buffer.concat(entries.map(entryBytes));
  const {
    count = entries.length,
    reserved = 0,
    size = BigInt(directory.length),
    offset = BigInt(DIRECTORY),
  } = extension;
  const data = u64s([(BigInt(count) << 32n) | BigInt(reserved), size, offset]);
  return {
    extensions: [{ type: EXT.bitmaps, data }],
    fileSize: DIRECTORY + directory.length,
    patches: { [TABLE]: Buffer.alloc(4096), [DIRECTORY]: directory },
    data: [Buffer.alloc(4096)],
    ...spec,
    header: { autoclearFeatures: 1, ...spec.header },
  };
}

interface Listed {
  readonly list: BitmapList;
  readonly codes: readonly string[];
  readonly info: ReturnType<typeof describeBitmaps>;
}

async function listed(bytes: Uint8Array): Promise<Listed> {
  const image = await openImage(memorySource(bytes));
  const list = await readBitmaps(image);
  return { list, codes: image.warnings.list().map(({ code }) => code), info: describeBitmaps(list) };
}

/** What `qemu-img info` has under `bitmaps`. @throws if it refuses the image. */
async function theirsOf(image: string): Promise<unknown> {
  const info = (await qemu.info(image)) as { 'format-specific': { data: { bitmaps?: unknown } } };
  return info['format-specific'].data.bitmaps ?? [];
}

describe('bitmaps that qemu-img made', () => {
  const add = (path: string, name: string, ...args: string[]) =>
    run('qemu-img', ['bitmap', '--add', ...args, path, name]);
  const create = async (title: string, size: string, options = 'compat=1.1') => {
    const path = join(qemu.folder, title);
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', options, path, size]);
    return path;
  };

  it.each([
    ['64 KiB clusters', '10M', 'compat=1.1'],
    ['512-byte clusters', '10M', 'cluster_size=512'],
    ['2 MiB clusters', '5G', 'cluster_size=2M'],
    ['a size of odd sectors', '1311232', 'cluster_size=1k'],
    ['512 bytes', '512', 'compat=1.1'],
    ['extended L2', '1G', 'extended_l2=on'],
  ])('are listed as qemu-img info lists them: %s', async (title, size, options) => {
    const path = await create(title, size, options);
    await add(path, 'one', '-g', '512');
    await add(path, 'Grüße, 世界 🐄', '-g', '2M');
    await add(path, 'off', '--disable', '-g', '64k');
    await add(path, 'x'.repeat(1023), '-g', '2G');
    await add(path, 'gone');
    await run('qemu-img', ['bitmap', '--remove', path, 'gone']);
    await add(path, 'on again', '--disable');
    await run('qemu-img', ['bitmap', '--enable', path, 'on again']);
    await run('qemu-img', ['bitmap', '--disable', path, 'one']);
    const { info, codes, list } = await listed(await readFile(path));
    expect(info.qemu).toHaveLength(5);
    expect(info.qemu).toEqual(await theirsOf(path));
    expect([codes, list.stale]).toEqual([[], false]);
  });

  it('are listed at the disk’s new size', async () => {
    const path = await create('resized', '10M', 'cluster_size=512');
    await add(path, 'b', '-g', '512');
    await run('qemu-img', ['resize', '-q', path, '100M']);
    const { info, codes } = await listed(await readFile(path));
    expect(info.qemu).toEqual(await theirsOf(path));
    expect([info.qemu.length, codes]).toEqual([1, []]);
  });

  it('that were in use when a writer died are listed so', async () => {
    const path = await create('in use', '10M');
    await add(path, 'b');
    const bytes = await readFile(path);
    bytes.writeUInt32BE(3, Number((await listed(bytes)).list.directory?.start) + 12);
    const { info } = await listed(bytes);
    expect(info.qemu).toEqual([{ flags: ['in-use', 'auto'], name: 'b', granularity: 64 * KiB }]);
    expect(info.qemu).toEqual(await theirsOf(await qemu.imageOf(bytes)));
  });

  it('and that another writer did not keep up to date are stale: listed by us only', async () => {
    const path = await create('stale', '10M');
    await add(path, 'b');
    const bytes = await readFile(path);
    bytes.writeBigUInt64BE(0n, 88);
    const { info, codes, list } = await listed(bytes);
    expect(await theirsOf(await qemu.imageOf(bytes))).toEqual([]);
    expect([info.qemu, info.stale, info.bitmaps.map(({ name }) => name)]).toEqual([[], true, ['b']]);
    expect([codes, list.directory]).toEqual([['BITMAPS_STALE'], undefined]);
  });
});

describe('a bitmap directory', () => {
  it('is read entry by entry', async () => {
    const bytes = imageBytes(
      withEntries([
        { flags: 0, granularityBits: 9, name: 'é' },
        { flags: 3, tableSize: 7, name: Buffer.from('61ff0062', 'hex') },
      ]),
    );
    const { info, list } = await listed(bytes);
    expect(info).toEqual({
      stale: false,
      count: 2,
      qemu: [
        { flags: [], name: 'é', granularity: 512 },
        { flags: ['in-use', 'auto'], name: 'a\ufffd', granularity: 65_536 },
      ],
      bitmaps: [
        { flags: [], name: 'é', granularity: 512, table: { offset: BigInt(TABLE), entries: 1 } },
        {
          flags: ['in-use', 'auto'],
          name: 'a\ufffd',
          'name-bytes': '61ff0062',
          granularity: 65_536,
          table: { offset: BigInt(TABLE), entries: 7 },
        },
      ],
    });
    expect(list.directory).toEqual({ start: DIRECTORY, end: bytes.length });
    expect(describeBitmaps(list, { offset: 1, limit: 5 }).bitmaps).toEqual(info.bitmaps.slice(1));
    expect(describeBitmaps(list, { limit: 1 }).qemu).toEqual(info.qemu.slice(0, 1));
  });

  const NAMED = { name: 'same' };
  const SOUND: Readonly<Record<string, ImageSpec>> = {
    'the finest and the coarsest granularity': withEntries([{ granularityBits: 9 }, { granularityBits: 31 }]),
    'a name of 1023 bytes, and none': withEntries([{ name: 'n'.repeat(1023) }, { name: '' }]),
    'a name with a NUL': withEntries([{ name: 'a\0b' }, { name: 'a\u0001b' }]),
    'a name that an entry in use repeats': withEntries([NAMED, { ...NAMED, flags: 1 }, { ...NAMED, flags: 3 }]),
    'a table past the end of the file': withEntries([{ table: 2n ** 40n }]),
    'the last table that there can be': withEntries([{ table: 2n ** 63n - 2n ** 30n - 4096n }]),
    'in use, with a table past all that can be read': withEntries([{ flags: 1, table: 2n ** 64n - 4096n }]),
    'in use, with a table of another size': withEntries([{ flags: 1, tableSize: 131_072 }]),
    'a table of several clusters': withEntries(
      [{ granularityBits: 9, tableSize: 2 }],
      {},
      { size: 0x1000n * 8n * 512n + 512n, l1: [0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n], l2: [] },
    ),
    'many entries': withEntries(Array.from({ length: 1000 }, () => ({}))),
  };
  it.each(Object.entries(SOUND))('is listed as qemu-img info lists it: %s', async (_, spec) => {
    const bytes = imageBytes(spec);
    const { info, codes } = await listed(bytes);
    expect(info.qemu.length).toBeGreaterThan(0);
    expect(info.qemu).toEqual(await theirsOf(await qemu.imageOf(bytes)));
    expect(codes).toEqual([]);
  });

  const ENTRIES: Readonly<Record<string, readonly [says: RegExp, image: ImageSpec]>> = {
    bitmap_garbage: [
      /flags|type|extra|ends/,
      withEntries([{}], {}, { patches: { [DIRECTORY]: Buffer.alloc(32, 0xcc) } }),
    ],
    bitmap_zeros: [/type 0/, withEntries([{}], {}, { patches: {} })],
    bitmap_fewer: [/has 1 bitmaps, not 2/, withEntries([{ name: 'n'.repeat(100) }], { count: 2 })],
    bitmap_more: [/more than 1/, withEntries([{}, {}], { count: 1 })],
    bitmap_cut_entry: [
      /ends inside bitmap 1/,
      withEntries([{ name: 'n'.repeat(40) }], { count: 2, size: 72n }, { fileSize: DIRECTORY + 100 }),
    ],
    bitmap_name_past_end: [/ends inside bitmap 0/, withEntries([{ nameSize: 100 }])],
    bitmap_extra: [/extra data/, withEntries([{ name: 'n'.repeat(8), extraSize: 8, nameSize: 0 }])],
    bitmap_extra_max: [/ends inside bitmap 0/, withEntries([{ extraSize: 0xffffffff }])],
    bitmap_type_0: [/type 0/, withEntries([{ type: 0 }])],
    bitmap_type_2: [/type 2/, withEntries([{ type: 2 }])],
    bitmap_flags_4: [/0x4/, withEntries([{ flags: 4 }])],
    bitmap_flags_max: [/0xfffffffe/, withEntries([{ flags: 0xfffffffe }])],
    bitmap_granularity_8: [/2\^8/, withEntries([{ granularityBits: 8 }])],
    bitmap_granularity_32: [/2\^32/, withEntries([{ granularityBits: 32 }])],
    bitmap_name_1024: [/1024 bytes/, withEntries([{ name: 'n'.repeat(1024) }, {}])],
    bitmap_table_at_0: [/table at 0/, withEntries([{ table: 0n }])],
    bitmap_table_unaligned: [/table at 24064/, withEntries([{ table: 0x5e00n }])],
    bitmap_table_past_2_63: [/table at/, withEntries([{ table: 2n ** 63n }])],
    bitmap_table_past_reads: [/table at/, withEntries([{ table: 2n ** 63n - 2n ** 30n }])],
    bitmap_table_empty: [/0 clusters/, withEntries([{ tableSize: 0 }])],
    bitmap_table_empty_in_use: [/0 clusters/, withEntries([{ tableSize: 0, flags: 1 }])],
    bitmap_table_huge: [/131073 clusters/, withEntries([{ tableSize: 131_073, flags: 1 }])],
    bitmap_table_max: [/4294967295 clusters/, withEntries([{ tableSize: 0xffffffff, flags: 1 }])],
    bitmap_table_large: [/2 clusters of bits, not 1/, withEntries([{ tableSize: 2 }])],
    bitmap_table_small: [
      /1 clusters of bits, not 2/,
      withEntries(
        [{ granularityBits: 9 }],
        {},
        { size: 0x1000n * 8n * 512n + 512n, l1: [0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n], l2: [] },
      ),
    ],
    bitmap_same_name: [/bitmap 1 has the name/, withEntries([NAMED, NAMED])],
    bitmap_same_name_by_nul: [/bitmap 1 has the name/, withEntries([{ name: 'a\0b' }, { name: 'a\0c' }])],
    bitmap_second_bad: [/bitmap 1 is of type/, withEntries([{}, { type: 9 }])],
  };
  const EXTENSIONS: Readonly<Record<string, readonly [says: RegExp, image: ImageSpec]>> = {
    bitmap_nb65536: [/65536/, withEntries([{}], { count: 65_536 })],
    bitmap_nb_0: [/0 bitmaps/, withEntries([{}], { count: 0 })],
    bitmap_res: [/reserved/, withEntries([{}], { reserved: 1 })],
    bitmap_unaligned: [/cannot lie/, withEntries([{}], { offset: BigInt(DIRECTORY + 8) })],
    bitmap_dirbig: [/67107848/, withEntries([{}], { count: 65_535, size: 67_107_848n })],
    bitmap_dirmax: [/bytes/, withEntries([{}], { size: 2n ** 64n - 1n })],
    bitmap_dir_0: [/0 bytes/, withEntries([{}], { size: 0n })],
    bitmap_dir_small: [/47 bytes/, withEntries([{}], { count: 2, size: 47n })],
    bitmap_dir_large: [/1049 bytes/, withEntries([{}], { size: 1049n })],
    bitmap_eof: [/past the file/, withEntries([{}], { offset: 0x10000000n })],
    bitmap_far_eof: [/past the file/, withEntries([{}], { offset: 2n ** 64n - 4096n })],
    bitmap_one_byte_eof: [
      /past the file/,
      withEntries([{ name: 'eightchr' }], {}, { fileSize: DIRECTORY + 31, patches: {} }),
    ],
    bitmap_len: [/4 bytes/, withEntries([{}], {}, { extensions: [{ type: EXT.bitmaps, data: Buffer.alloc(4) }] })],
    bitmap_len_32: [/32 bytes/, withEntries([{}], {}, { extensions: [{ type: EXT.bitmaps, data: Buffer.alloc(32) }] })],
  };

  it.each([
    ...Object.entries(ENTRIES).map(([name, row]) => [name, 1, ...row] as const),
    ...Object.entries(EXTENSIONS).map(([name, row]) => [name, 0, ...row] as const),
  ])('that qemu-img refuses is listed as none, with a warning: %s', async (_, reads, says, spec) => {
    const bytes = imageBytes(spec);
    const source = recorded(memorySource(bytes));
    const image = await openImage(source);
    const opened = source.requests.length;
    const list = await readBitmaps(image);
    expect(image.warnings.list()).toEqual([
      { code: 'BITMAPS_INVALID', message: expect.stringMatching(says), at: 'header.extensions.bitmaps' },
    ]);
    expect(describeBitmaps(list)).toEqual({ qemu: [], stale: false, count: 0, bitmaps: [] });
    expect(source.requests.length - opened).toBe(reads);
    await expect(qemu.info(await qemu.imageOf(bytes))).rejects.toThrow(/bitmap/i);
    await readBitmaps(image);
    expect(image.warnings.list()[0]?.message).not.toMatch(/more\)/);
  });

  it.each([...Object.entries(ENTRIES), ...Object.entries(EXTENSIONS)])(
    'that is stale warns of that alone, and is listed if it passes for one: %s',
    async (_, [, spec]) => {
      const { info, codes, list } = await listed(imageBytes({ ...spec, header: { autoclearFeatures: 0 } }));
      expect([info.qemu, info.stale, list.directory]).toEqual([[], true, undefined]);
      expect(info.bitmaps.length).toBeLessThanOrEqual(1);
      expect(codes).toEqual(['BITMAPS_STALE']);
    },
  );

  it('of version 2 is stale: it has no bit to say that it is not', async () => {
    const { info, codes } = await listed(imageBytes({ ...withEntries([{}]), version: 2, header: {} }));
    expect([info.qemu, info.stale, info.bitmaps.length, codes]).toEqual([[], true, 1, ['BITMAPS_STALE']]);
  });

  it('that the bit promises and no extension tells of is none', async () => {
    const { info, codes, list } = await listed(imageBytes({ header: { autoclearFeatures: 1 } }));
    expect([info.qemu, info.stale, list.directory]).toEqual([[], false, undefined]);
    expect(codes).toEqual(['BITMAPS_MISSING']);
  });

  it('passes on what is wrong with the source', async () => {
    const image = await openImage(memorySource(imageBytes(withEntries([{}]))));
    await expect(readBitmaps(image, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  });
});

describe('reading bitmaps', () => {
  const costOf = async (spec: ImageSpec) => {
    const source = recorded(memorySource(imageBytes(spec)));
    const image = await openImage(source);
    const opened = source.requests.length;
    await readBitmaps(image);
    return source.requests.slice(opened);
  };

  it('costs nothing where there are none', async () => {
    expect(await costOf({})).toEqual([]);
  });

  it('costs one read, of the directory', async () => {
    expect(await costOf(withEntries([{}, {}]))).toEqual([{ start: DIRECTORY, end: DIRECTORY + 64 }]);
  });

  it('costs one read for 65,535 of them', async () => {
    const spec = withEntries(Array.from({ length: 65_535 }, (_, i) => ({ name: `${i}` })));
    expect(await costOf(spec)).toHaveLength(1);
    expect((await listed(imageBytes(spec))).info.qemu).toHaveLength(65_535);
  });
});

describe('a bitmap directory whose bytes are anything', () => {
  const SOUND = imageBytes(withEntries([{}, { flags: 1, name: 'two' }, { flags: 0, granularityBits: 20 }]));
  const value = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 4 }),
    fc.constantFrom(Uint8Array.of(0xff), Uint8Array.of(0x80), Uint8Array.of(0), new Uint8Array(8).fill(0xff)),
  );
  const edits = (place: fc.Arbitrary<number>) => fc.array(fc.tuple(place, value), { minLength: 1, maxLength: 3 });
  const directory = fc.integer({ min: DIRECTORY, max: SOUND.length - 1 });
  const damaged = (patches: readonly [number, Uint8Array][], cut = 0) => {
    const bytes = Buffer.concat([SOUND, Buffer.alloc(8)]);
    for (const [at, patch] of patches) Buffer.from(patch).copy(bytes, at);
    return bytes.subarray(0, SOUND.length - cut);
  };

  it('is listed, or warned of', async () => {
    const extension = fc.integer({ min: 112, max: 144 });
    const cuts = fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(120) });
    let none = 0;
    await fc.assert(
      fc.asyncProperty(edits(fc.oneof(directory, extension, fc.constant(95))), cuts, async (patches, cut) => {
        const bytes = damaged(patches, cut);
        if (await refusalOf(openImage(memorySource(bytes)))) return;
        const { info, codes } = await listed(bytes);
        JSON.parse(toJson(info));
        if (info.bitmaps.length > 0) return;
        none += 1;
        expect(codes.some((code) => code.startsWith('BITMAPS_') || code === 'UNKNOWN_EXTENSION')).toBe(true);
      }),
      { numRuns: 2000 },
    );
    expect(none).toBeGreaterThan(200);
  });

  it('is listed as qemu-img info lists it, and not where qemu-img refuses it', async () => {
    let both = 0;
    await fc.assert(
      fc.asyncProperty(edits(directory), async (patches) => {
        const bytes = damaged(patches);
        const image = await qemu.imageOf(bytes);
        const theirs = await theirsOf(image).catch(() => undefined);
        const { info } = await listed(bytes);
        expect(info.qemu).toEqual(theirs ?? []);
        if (theirs) both += 1;
      }),
      { numRuns: 300 },
    );
    expect(both).toBeGreaterThan(20);
  });
});
