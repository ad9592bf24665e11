import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { CURES } from '../../lib/cures.ts';
import { ErrorCodes } from '../../lib/errors.ts';
import { crc32Of } from '../../lib/sink/crc32.ts';
import { MiB } from '../../lib/units.ts';
import { COPIED, compressedEntry, deflated, imageBytes } from '../support/hostile.ts';
import { withSnapshots } from '../support/hostile-snapshots.ts';
import { qcow1Bytes } from '../support/hostile-v1.ts';
import { noise } from '../support/qemu.ts';
import { useQemu } from '../support/use-qemu.ts';
import { type Outcome, unqcow } from './run.ts';

const qemu = useQemu();
/** A folder of the test's own, which must hold only what the test expects. */
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(qemu.folder, 'test-'));
});

/** What a refusal says with `--json`: one object on stderr, nothing on stdout. */
function refusalIn({ code, stdout, stderr }: Outcome): { code: string; message: string; at?: string } {
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  const refusal = JSON.parse(stderr);
  expect(Object.keys(ErrorCodes)).toContain(refusal.code);
  expect(refusal.message).not.toBe('');
  return refusal;
}

const bash = (line: string, ...args: string[]) => promisify(execFile)('bash', ['-c', line, ...args]);

async function imageFile(bytes: Uint8Array): Promise<string> {
  const path = join(folder, 'disk.qcow2');
  await writeFile(path, bytes);
  return path;
}

describe('unqcow convert --estimate', () => {
  it('says what the cloud would take, and writes nothing', async () => {
    const image = await qemu.image('compressed-among-plain');
    const { code, stdout } = await unqcow(['convert', image, 's3://none/none', '--estimate', '--json']);
    expect(code).toBe(0);
    const { bytes, requests, dollars } = JSON.parse(stdout);
    expect(bytes.uploaded + bytes.copied).toBe((await qemu.info(image))['virtual-size']);
    expect(requests.put).toBeGreaterThan(0);
    expect(dollars.total).toBeGreaterThan(dollars.lambda);
    expect((await unqcow(['convert', image, 's3://none/none', '--estimate'])).stdout).toMatch(/^in all +\$0\./m);
  });
});

describe('unqcow info', () => {
  it('says with --json what qemu-img says', async () => {
    const image = await qemu.image('compressed-among-plain');
    const { code, stdout, stderr } = await unqcow(['info', '--json', image]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { 'actual-size': _, ...theirs } = await qemu.info(image);
    expect(JSON.parse(stdout)).toMatchObject({ ...theirs, filename: image });
  });

  it('says why it says nothing where stdout is full', async () => {
    const failed = await bash('bin/unqcow info "$0" >/dev/full', await qemu.image('clusters-64k')).catch((why) => why);
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringMatching(/^unqcow: stdout: ENOSPC.*\n$/) });
  });

  it('says it in lines without, and warnings on stderr', async () => {
    const { code, stdout, stderr } = await unqcow(['info', await imageFile(imageBytes({ size: 1000n }))]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^file format: qcow2, version 3$/m);
    expect(stdout).toMatch(/^virtual size: 512 B \(512 bytes\)$/m);
    expect(stderr).toMatch(/^warning: SIZE_NOT_512: .*\(header\.size\)$/m);
  });

  it('prints every digit of a 64-bit field', async () => {
    const image = await imageFile(imageBytes({ header: { autoclearFeatures: 2n ** 63n + 4n } }));
    const { stdout } = await unqcow(['info', '--json', image]);
    expect(stdout).toContain('"autoclearFeatures": 9223372036854775812');
  });

  // It prints names as they are: a name can move the cursor of whoever reads it.
  it('prints no control bytes of a name in the image', async () => {
    const { stdout } = await unqcow(['info', await imageFile(imageBytes({ backing: 'a\u001b[2Jb' }))]);
    expect(stdout).not.toContain('\u001b');
  });

  it('refuses what is no QCOW by one JSON object on stderr', async () => {
    const outcome = await unqcow([
      'info',
      '--json',
      await imageFile(Buffer.from('\x1f\x8b\x08\x00 and so on', 'latin1')),
    ]);
    expect(refusalIn(outcome)).toMatchObject({ code: 'NOT_QCOW', at: 'header.magic' });
  });

  it('refuses in a sentence without --json, with what it means and what to do', async () => {
    const { code, stdout, stderr } = await unqcow(['info', join(folder, 'nothing')]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(/^unqcow: SOURCE_NOT_FOUND: /),
      `        ${ErrorCodes.SOURCE_NOT_FOUND.means}`,
      `        ${CURES.SOURCE_NOT_FOUND}`,
      '',
    ]);
  });

  it('refuses a folder', async () => {
    expect(refusalIn(await unqcow(['info', '--json', folder])).code).toBe('SOURCE_DENIED');
  });
});

describe('unqcow map', () => {
  it('prints with --json what qemu-img prints', async () => {
    const image = await qemu.image('compressed-among-plain');
    const { code, stdout } = await unqcow(['map', '--json', image]);
    expect(code).toBe(0);
    const entries: { compressed: boolean }[] = JSON.parse(stdout);
    expect(entries.map(({ compressed: _, ...entry }) => entry)).toEqual(await qemu.map(image));
    expect(entries.some(({ compressed }) => compressed)).toBe(true);
  });

  it('prints a table without', async () => {
    const { stdout } = await unqcow(['map', await qemu.image('clusters-64k')]);
    expect(stdout).toMatch(/^start +length +kind +host offset\n/);
    expect(stdout).toMatch(/^1048576 +65536 +data +327680$/m);
  });

  it('prints an empty list for a disk of 0 bytes', async () => {
    const { stdout } = await unqcow(['map', '--json', await qemu.image('size-0')]);
    expect(JSON.parse(stdout)).toEqual([]);
  });

  it('refuses an image that continues in another file', async () => {
    const outcome = await unqcow(['map', '--json', await imageFile(imageBytes({ backing: 'base.raw' }))]);
    expect(refusalIn(outcome).code).toBe('BACKING_FORMAT_REQUIRED');
  });
});

describe('an image of version 1', () => {
  it.each([
    ['BACKING_FORMAT_REQUIRED', { backing: 'base.raw' }],
    ['KEY_REQUIRED', { header: { cryptMethod: 1 } }],
  ] as const)('is described, and not converted: %s', async (code, spec) => {
    const image = await imageFile(qcow1Bytes(spec));
    expect((await unqcow(['info', '--json', image])).code).toBe(0);
    const outcome = await unqcow(['convert', '--json', image, join(folder, 'disk.raw')]);
    expect(refusalIn(outcome).code).toBe(code);
  });
});

describe('unqcow convert', () => {
  const convert = (image: string, ...args: string[]) =>
    unqcow(['convert', '--json', image, join(folder, 'disk.raw'), ...args]);

  it('writes the bytes that qemu-img writes, and says so in one JSON object', async () => {
    const image = await qemu.image('clusters-4k');
    const { code, stdout, stderr } = await convert(image, '--checksum');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const raw = await readFile(join(folder, 'disk.raw'));
    expect(raw.equals(await readFile(await qemu.raw(image)))).toBe(true);
    expect(JSON.parse(stdout)).toMatchObject({
      target: join(folder, 'disk.raw'),
      size: raw.length,
      crc32: crc32Of(raw).toString(16).padStart(8, '0'),
      warnings: [],
    });
    expect(await readdir(folder)).toEqual(['disk.raw']);
  });

  it('says it in a line without --json, and progress and warnings on stderr', async () => {
    const image = await imageFile(imageBytes({ header: { incompatibleFeatures: 1 } }));
    const { code, stdout, stderr } = await unqcow(['convert', image, join(folder, 'disk.raw')]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^.*disk\.raw: 64 KiB, parts: 1 data; read \d+ KiB in \d+ requests, [\d.]+ s\n$/);
    expect(stderr).toMatch(/^100%: 64 KiB of 64 KiB/m);
    expect(stderr).toMatch(/^warning: DIRTY: /m);
  });

  it('is quiet with -q', async () => {
    const { stderr } = await unqcow(['convert', '-q', await qemu.image('clusters-512'), join(folder, 'disk.raw')]);
    expect(stderr).toBe('');
  });

  it('leaves holes where the disk is zeros', async () => {
    await convert(await qemu.image('second-l2-table'));
    const { size, blocks } = await stat(join(folder, 'disk.raw'));
    expect(size).toBe(600 * MiB);
    expect(blocks * 512).toBeLessThan(4 * MiB); // of which 3 MiB are data
  });

  it('leaves holes where clusters of data are zeros', async () => {
    await convert(await qemu.image('zero-written'));
    expect((await stat(join(folder, 'disk.raw'))).blocks * 512).toBeLessThan(64 * 1024);
  });

  it('replaces a target that exists', async () => {
    await writeFile(join(folder, 'disk.raw'), 'longer than nothing');
    expect((await convert(await qemu.image('size-0'))).code).toBe(0);
    expect((await stat(join(folder, 'disk.raw'))).size).toBe(0);
  });

  it('refuses to with --no-overwrite', async () => {
    await writeFile(join(folder, 'disk.raw'), 'precious');
    const outcome = await convert(await qemu.image('clusters-512'), '--no-overwrite');
    expect(refusalIn(outcome).code).toBe('DESTINATION_EXISTS');
    expect(await readFile(join(folder, 'disk.raw'), 'utf8')).toBe('precious');
  });

  it('writes a target that does not exist with --no-overwrite', async () => {
    expect((await convert(await qemu.image('clusters-512'), '--no-overwrite')).code).toBe(0);
  });

  it('leaves the target as it was, and nothing beside it, where a cluster is damaged midway', async () => {
    const l2 = [0, 1].map((at) => COPIED | BigInt((5 + at) * 4096));
    const damaged = imageBytes({
      data: [noise(4096), noise(4096), Buffer.alloc(512, 0xff)],
      l2: [...l2, compressedEntry(7 * 4096, 512)],
    });
    await writeFile(join(folder, 'disk.raw'), 'precious');
    const outcome = await convert(await imageFile(damaged));
    expect(refusalIn(outcome)).toMatchObject({ code: 'DECOMPRESS_FAILED', at: 'disk[8192]' });
    expect(await readFile(join(folder, 'disk.raw'), 'utf8')).toBe('precious');
    expect((await readdir(folder)).sort()).toEqual(['disk.qcow2', 'disk.raw']);
  });

  /** 4 GiB that are not zeros, which take a while, out of a few hundred KiB. */
  const longImage = () => {
    // Every entry of every L2 table names one stream.
    const cluster = Buffer.alloc(65_536, noise(4096));
    const [stream, entries] = [deflated(cluster, 15), 8192];
    return imageBytes({
      clusterBits: 16,
      size: 4n << 30n,
      l1: Array.from({ length: 8 }, () => 4n << 16n),
      l2: Array.from({ length: entries }, () => compressedEntry(5 << 16, stream.length, 16)),
      data: [stream],
    });
  };

  it.each([
    ['SIGINT', 1],
    ['SIGTERM', 1],
    ['SIGHUP', 3], // a shell passes it on, and the kernel sends it, too
  ] as const)('leaves nothing behind after %s', async (signal, times) => {
    const outcome = await unqcow(
      ['convert', '--json', await imageFile(longImage()), join(folder, 'disk.raw')],
      async (child) => {
        while (child.exitCode === null && (await readdir(folder)).length < 2) await sleep(5);
        for (let i = 0; i < times; i += 1) child.kill(signal);
      },
    );
    expect(refusalIn(outcome).code).toBe('ABORTED');
    expect(await readdir(folder)).toEqual(['disk.qcow2']);
  });

  it('ends as it would where nobody reads how far it is', async () => {
    const image = await qemu.image('clusters-64k');
    await bash('bin/unqcow convert "$0" "$1" 2> >(true)', image, join(folder, 'disk.raw'));
    expect(await readdir(folder)).toEqual(['disk.raw']);
  });

  it('refuses a disk larger than --output-limit before it writes', async () => {
    const outcome = await convert(await qemu.image('clusters-64k'), '--output-limit', String(16 * MiB - 1));
    expect(refusalIn(outcome).code).toBe('OUTPUT_LIMIT');
    expect(await readdir(folder)).toEqual([]);
    expect((await convert(await qemu.image('clusters-64k'), '--output-limit', '16MiB')).code).toBe(0);
  });

  it('writes the active disk and every snapshot with --all-snapshots, and answers a list', async () => {
    const image = await imageFile(imageBytes(withSnapshots([{ name: 'a/b' }])));
    const { code, stdout } = await unqcow(['convert', '--all-snapshots', '--json', image, `${image}-{name}.raw`]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject([
      { snapshot: null, target: `${image}-active.raw`, size: 0x10000 },
      { snapshot: { index: 0, id: '1', name: 'a/b' }, target: `${image}-a%2Fb.raw`, size: 0x10000 },
    ]);
    expect((await readFile(`${image}-a%2Fb.raw`)).equals(await readFile(`${image}-active.raw`))).toBe(true);
  });

  it('refuses a snapshot that there is not', async () => {
    const outcome = await convert(await qemu.image('snapshot'), '--snapshot', 'none of that name');
    expect(refusalIn(outcome).code).toBe('SNAPSHOT_NOT_FOUND');
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses an image that continues in another file, and does not open that', async () => {
    const image = await imageFile(imageBytes({ backing: '/dev/zero' }));
    expect(refusalIn(await convert(image)).code).toBe('BACKING_FORMAT_REQUIRED');
  });

  it('refuses a target in a folder that does not exist', async () => {
    const image = await qemu.image('clusters-512');
    const outcome = await unqcow(['convert', '--json', image, join(folder, 'none', 'disk.raw')]);
    expect(refusalIn(outcome).code).toBe('DESTINATION_NOT_FOUND');
  });

  it('refuses a target that is a folder', async () => {
    await mkdir(join(folder, 'disk.raw'));
    expect(refusalIn(await convert(await qemu.image('clusters-512'))).code).toBe('DESTINATION_DENIED');
  });

  it('refuses to put the disk where the image is, which would be gone', async () => {
    const image = await imageFile(imageBytes());
    const before = await readFile(image);
    expect(refusalIn(await unqcow(['convert', '--json', image, image])).code).toBe('BAD_REQUEST');
    expect((await readFile(image)).equals(before)).toBe(true);
  });
});

describe.concurrent('unqcow used wrongly', () => {
  it.each([
    ['no command', []],
    ['an unknown command', ['unconvert']],
    ['an unknown flag', ['info', '--frobnicate', 'disk.qcow2']],
    ['no image', ['info']],
    ['workers that are no number', ['convert', '--workers', 'many', 'disk.qcow2', 'disk.raw']],
    ['a limit that is a share', ['convert', '--output-limit', '50%', 'disk.qcow2', 'disk.raw']],
  ])('exits with 2 and says how: %s', async (_, args) => {
    const { code, stdout, stderr } = await unqcow(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).not.toBe('');
  });

  it.each(['--help', '--version'])('exits with 0 when asked: %s', async (args) => {
    const { code, stdout, stderr } = await unqcow(args.split(' '));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).not.toBe('');
  });
});
