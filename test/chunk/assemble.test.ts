import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../lib/chunk/assemble.ts';
import { openImage } from '../../lib/format/image.ts';
import { readL1 } from '../../lib/format/l1.ts';
import type { Disk } from '../../lib/format/layer.ts';
import type { ByteRange } from '../../lib/ranges.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { KiB } from '../../lib/units.ts';
import type { RecipeName } from '../recipes.ts';
import { AT, compressedImage, type ImageSpec, imageBytes } from '../support/hostile.ts';
import { recorded } from '../support/images.ts';
import { noise } from '../support/qemu.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();

/** An image, its map, and a record of the reads from here on. */
async function opened(bytes: Uint8Array) {
  const image = await openImage(memorySource(bytes));
  const map = { geometry: image.geometry, firstTable: 0, l2Offsets: await readL1(image) };
  const source = recorded(memorySource(bytes));
  const size = image.geometry.diskSize;
  const disk: Disk = { size, layers: [{ map, source, data: source }] };
  return { disk, source, whole: { start: 0, end: size } };
}
const openedSpec = (spec: ImageSpec) => opened(imageBytes(spec));
const openedRecipe = async (name: RecipeName) => opened(await readFile(await qemu.image(name)));
const lengthsOf = (requests: readonly ByteRange[]) => requests.map(({ start, end }) => end - start);

describe('assembling a part', () => {
  it.each(['fragmented', 'compressed-among-plain', 'last-cluster-partial-compressed', 'many-l2-tables'] as const)(
    'gives the same bytes however the disk is cut: %s',
    async (name) => {
      const { disk, whole } = await openedRecipe(name);
      const theirs = await readFile(await qemu.raw(await qemu.image(name)));
      for (const length of [64 * KiB, 192 * KiB, whole.end]) {
        for (let start = 0; start < whole.end; start += length) {
          const part = { start, end: Math.min(start + length, whole.end) };
          expect(theirs.subarray(part.start, part.end).equals(await assemble(disk, part))).toBe(true);
        }
      }
    },
  );

  it('costs the entries of an L2 table and one read, however fragmented a small disk is', async () => {
    const { disk, source, whole } = await openedRecipe('fragmented');
    await assemble(disk, whole);
    expect(lengthsOf(source.requests)).toEqual([32 * 8, 14 * 64 * KiB]);
  });

  it('reads of its own table entries only, and its own data only', async () => {
    const { disk, source } = await openedRecipe('fragmented');
    await assemble(disk, { start: 13 * 64 * KiB, end: 14 * 64 * KiB });
    expect(lengthsOf(source.requests)).toEqual([8, 64 * KiB]);
  });

  it('reads nothing for a stretch without a table', async () => {
    const { disk, source } = await openedRecipe('second-l2-table-only');
    const zeros = await assemble(disk, { start: 0, end: 64 * KiB });
    expect(zeros).toEqual(new Uint8Array(64 * KiB));
    expect(source.requests).toEqual([]);
  });

  it('fetches a stream that many clusters share by one request', async () => {
    const { disk, source, whole } = await openedRecipe('compressed-small-clusters');
    await assemble(disk, whole);
    expect(source.requests).toHaveLength(2);
  });

  it('asks for no byte past the end of the file', async () => {
    const { disk, source } = await openedSpec({ fileSize: 0x6800 });
    const bytes = await assemble(disk, { start: 0, end: 0x2000 });
    expect(source.requests.at(-1)).toEqual({ start: AT.data, end: 0x6800 });
    expect(bytes.subarray(0x1800)).toEqual(new Uint8Array(0x800));
    expect(Buffer.from(bytes.subarray(0, 0x1000))).toEqual(noise(4096, 'first'));
  });

  it('says where on the disk a stream is damaged', async () => {
    const { l2, ...spec } = compressedImage(Buffer.alloc(512, 0xff));
    const { disk, whole } = await openedSpec({ ...spec, l2: [0n, 0n, ...(l2 ?? [])] });
    const refusal = { code: 'DECOMPRESS_FAILED', at: 'disk[8192]' };
    await expect(assemble(disk, whole)).rejects.toMatchObject(refusal);
  });

  it('stops with the reason of its signal', async () => {
    const { disk, source, whole } = await openedSpec({});
    const reason = new Error('enough');
    await expect(assemble(disk, whole, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(source.requests).toEqual([]);
  });
});
