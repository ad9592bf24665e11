import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../lib/errors.ts';
import { COMPRESSED_ROWS, ZSTD_ROWS } from '../format/hostile/compressed-rows.ts';
import { ENCRYPTION_ROWS } from '../format/hostile/extension-rows.ts';
import { EXTL2_ROWS } from '../format/hostile/extl2-rows.ts';
import { FEATURE_ROWS, HEADER_ROWS } from '../format/hostile/header-rows.ts';
import { L1_ROWS, L2_ROWS } from '../format/hostile/table-rows.ts';
import { imageBytes, type RefusedRow, type Rows } from '../support/hostile.ts';
import { convertTo, openBytes, refusalOf } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';
import { expectKept, lostSectors, salvage } from './support.ts';

const qemu = useQemu();

const refusals = (rows: Rows) =>
  Object.entries(rows).flatMap(([name, row]): [string, RefusedRow][] => ('code' in row ? [[name, row]] : []));

/** What is told of a header, and is no damage that a stretch of disk could be lost by. */
const OF_THE_HEADER = new Set<ErrorCode>([
  'L1_TOO_LARGE',
  'L1_TOO_SMALL',
  'BAD_L1_OFFSET',
  'L1_OVERLAPS_HEADER',
  'BAD_CLUSTER_BITS',
  'UNSUPPORTED_COMPRESSION',
  'BAD_COMPRESSION_TYPE',
  'EXTERNAL_REF_DENIED',
  'UNSUPPORTED_FEATURE',
]);

const TABLES = Object.assign({}, L1_ROWS, L2_ROWS, EXTL2_ROWS, COMPRESSED_ROWS, ZSTD_ROWS);

describe('a damaged image', () => {
  it.each(refusals(TABLES).filter(([, { code }]) => !OF_THE_HEADER.has(code)))(
    'loses what it would be refused for: %s',
    async (_, { image, code, snapshot }) => {
      const { lost } = await salvage(qemu.folder, imageBytes(image), { snapshot });
      expect(lost.extents.map((each) => each.code)).toContain(code);
    },
  );

  it.each([
    ...refusals(TABLES).filter(([, { code }]) => OF_THE_HEADER.has(code)),
    ...refusals({ ...HEADER_ROWS, ...FEATURE_ROWS, ...ENCRYPTION_ROWS }).filter(
      ([, row]) => row.code !== 'L1_BEYOND_EOF',
    ),
  ])('is refused where its header is damaged, or something is missing that it needs: %s', async (_, row) => {
    const refusal = await refusalOf(salvage(qemu.folder, imageBytes(row.image), { snapshot: row.snapshot }));
    expect(refusal?.code).toBe(row.code);
  });
});

const CLUSTER = 4096;
const CLUSTERS = 64;

/** 64 clusters of 4 KiB by turns: plain, compressed, plain, unallocated. All L2 entries are in one table. */
async function sound(): Promise<{ image: Buffer; raw: Buffer; table: number }> {
  const writes = Array.from({ length: CLUSTERS }, (_, i) => {
    const at = `-P ${i + 1} ${i * CLUSTER} ${CLUSTER}`;
    return [`io write ${at}`, `io write -c ${at}`, `io write ${at}`, ''][i % 4] as string;
  }).filter((step) => step !== '');
  const path = await qemu.made('sound', [`create -f qcow2 -o cluster_size=4k disk ${CLUSTERS * CLUSTER}`, ...writes]);
  const image = await readFile(path);
  const l1 = Number(image.readBigUInt64BE(40));
  const table = Number(image.readBigUInt64BE(l1) & 0x00ff_ffff_ffff_fe00n);
  return { image, raw: await readFile(await qemu.raw(path)), table };
}

/** Ways to damage the entry of one cluster, or what it names. */
const DAMAGES = {
  beyond: (image: Buffer, at: number) => image.writeBigUInt64BE((1n << 63n) | 0x7f_0000_0000n, at),
  unaligned: (image: Buffer, at: number) => image.writeBigUInt64BE((1n << 63n) | 0x5200n, at),
  onTheHeader: (image: Buffer, at: number) => image.writeBigUInt64BE((1n << 62n) | 8n, at),
  onMetadata: (image: Buffer, at: number) => image.writeBigUInt64BE((1n << 63n) | 0x1000n, at),
  /** Of a compressed cluster its stream; of any other nothing. */
  stream(image: Buffer, at: number) {
    const entry = image.readBigUInt64BE(at);
    if ((entry & (1n << 62n)) === 0n) return;
    image[Number(entry & ((1n << 58n) - 1n))] = 0xff; // a block of a type that does not exist
  },
} as const;
type Damage = keyof typeof DAMAGES;
const isHit = (damage: Damage, cluster: number) => damage !== 'stream' || cluster % 4 === 1;

describe('damage to single clusters, in any number and mix', () => {
  it('costs those clusters, and no byte of any other', async () => {
    const { image, raw, table } = await sound();
    const damages = fc.dictionary(
      fc.integer({ min: 0, max: CLUSTERS - 1 }).map(String),
      fc.constantFrom(...(Object.keys(DAMAGES) as Damage[])),
      { maxKeys: 12 },
    );
    await fc.assert(
      fc.asyncProperty(damages, async (chosen) => {
        const damaged = Buffer.from(image);
        for (const [cluster, damage] of Object.entries(chosen)) DAMAGES[damage](damaged, table + Number(cluster) * 8);
        const salvaged = await salvage(qemu.folder, damaged);
        expectKept(salvaged, raw);
        const lost = lostSectors(salvaged.lost, raw.length);
        const hit = Object.entries(chosen).filter(([cluster, damage]) => isHit(damage, Number(cluster)));
        const clusters = Array.from({ length: CLUSTERS }, (_, i) => lost[(i * CLUSTER) / 512]);
        const expected = Array.from({ length: CLUSTERS }, (_, i) => hit.some(([cluster]) => Number(cluster) === i));
        expect(clusters).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('is refused without being asked to salvage, by the code of one of them', async () => {
    const { image, table } = await sound();
    DAMAGES.unaligned(image, table);
    expect((await refusalOf(convertTo(qemu.folder, openBytes(image))))?.code).toBe('CLUSTER_UNALIGNED');
  });
});
