import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../lib/errors.ts';
import { COPIED, compressedEntry, type ImageSpec, imageBytes } from '../support/hostile.ts';
import { useQemu } from '../support/use-qemu.ts';
import { unqcow } from './run.ts';

const qemu = useQemu();

/** Not closed properly, which is a warning; and what it is refused for. */
const DIRTY = { incompatibleFeatures: 1 };
const NO_STREAM: ImageSpec = {
  header: DIRTY,
  l2: [compressedEntry(5 * 4096, 512)],
  data: [Buffer.alloc(512, 0xff)],
};
const BEYOND: ImageSpec = { header: DIRTY, l2: [COPIED | 0x100000n] };

describe.concurrent('a refusal', () => {
  it.each<[string, ErrorCode, ImageSpec, string[]]>([
    ['as the disk is opened', 'BACKING_FORMAT_REQUIRED', { header: DIRTY, backing: 'base' }, ['map']],
    ['as its map is walked', 'CLUSTER_BEYOND_EOF', BEYOND, ['map']],
    ['as it is estimated', 'CLUSTER_BEYOND_EOF', BEYOND, ['convert', '--estimate', 'TARGET']],
    ['as it is surveyed', 'CLUSTER_BEYOND_EOF', BEYOND, ['convert', 'TARGET']],
    ['as it is made', 'DECOMPRESS_FAILED', NO_STREAM, ['convert', 'TARGET']],
    ['as all disks are made', 'DECOMPRESS_FAILED', NO_STREAM, ['convert', '--all-snapshots', 'TARGET']],
    ['as it is probed', 'DECOMPRESS_FAILED', NO_STREAM, ['info', '--probe']],
    ['as it is checked', 'BAD_REFCOUNT_ORDER', { header: { ...DIRTY, refcountOrder: 7 } }, ['check']],
  ])('%s also tells what was odd about the image: %s', async (_, refusal, spec, [command = '', ...more]) => {
    const image = await qemu.imageOf(imageBytes(spec));
    const args = more.map((each) => (each === 'TARGET' ? `${image}-{id}.raw` : each));
    const { code, stdout, stderr } = await unqcow([command, image, ...args, '--json']);
    expect(code).toBe(1);
    // A map is printed as it is walked.
    if (command !== 'map') expect(stdout).toBe('');
    const { warnings, ...told } = JSON.parse(stderr);
    expect(told.code).toBe(refusal);
    expect(warnings).toContainEqual({ code: 'DIRTY', message: expect.any(String), at: expect.any(String) });
  });

  it('of an image with nothing odd about it tells of none', async () => {
    const { stderr } = await unqcow(['map', await qemu.imageOf(imageBytes({ backing: 'base' })), '--json']);
    expect(Object.keys(JSON.parse(stderr))).toEqual(['code', 'message', 'at']);
  });

  it('tells it in lines, to people', async () => {
    const image = join(qemu.folder, 'lines.qcow2');
    await writeFile(image, imageBytes(NO_STREAM));
    const { stderr } = await unqcow(['convert', '-q', image, `${image}.raw`]);
    expect(stderr).toMatch(/^warning: DIRTY: .*\nunqcow: DECOMPRESS_FAILED: /);
  });
});
