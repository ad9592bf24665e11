import { access, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openImage } from '../../lib/index.ts';
import { Losses } from '../../lib/jobs/losses.ts';
import { unqcow } from '../cli/run.ts';
import { useS3 } from '../s3/support/use-s3.ts';
import { useQemu } from '../support/use-qemu.ts';

const s3 = useS3();
const qemu = useQemu();
let folder: string;
/** 16 MiB of disk, of which the file has all but 128 KiB at 1 MiB and 64 KiB at 8 MiB. */
let cut: string;
let expected: Buffer;
beforeAll(async () => {
  folder = await mkdtemp(join(qemu.folder, 'salvage-'));
  const steps = ['create -f qcow2 disk 16M', 'io write -P 1 0 256k', 'io write -P 2 1M 256k', 'io write -P 3 8M 64k'];
  const image = await qemu.made('to-be-cut', steps);
  const bytes = await readFile(image);
  cut = join(folder, 'cut.qcow2');
  await writeFile(cut, bytes.subarray(0, bytes.length - 3 * 65_536));
  expected = await readFile(await qemu.raw(image));
  expected.fill(0, 1_179_648, 1_310_720).fill(0, 8_388_608, 8_454_144);
  const { endpoint, region, credentials } = s3.target;
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  });
});

const LOST = [
  { start: 1_179_648, length: 131_072, depth: 0, code: 'CLUSTER_BEYOND_EOF', at: 'l2[0][18]' },
  { start: 8_388_608, length: 65_536, depth: 0, code: 'CLUSTER_BEYOND_EOF', at: 'l2[0][128]' },
];

describe('unqcow convert --salvage', () => {
  it('converts what there is to a file, lists what is lost, and exits with 3', async () => {
    const target = join(folder, 'out.raw');
    const { code, stdout, stderr } = await unqcow(['convert', cut, target, '--salvage', '-q']);
    expect(code).toBe(3);
    expect(stderr.match(/^lost: .*$/gm)).toEqual([
      expect.stringMatching(/^lost: 131072 bytes from 1179648 on: CLUSTER_BEYOND_EOF: .* \(l2\[0\]\[18\]\)$/),
      expect.stringMatching(/^lost: 65536 bytes from 8388608 on: CLUSTER_BEYOND_EOF: .* \(l2\[0\]\[128\]\)$/),
    ]);
    expect(stdout).toContain('16 MiB, of which 192 KiB are lost');
    expect((await readFile(target)).equals(expected)).toBe(true);
  });

  it('does the same from S3 to S3, says so under "lost", and marks the object', async () => {
    await s3.put('cut.qcow2', await readFile(cut));
    const [from, to] = [`s3://${s3.bucket}/cut.qcow2`, `s3://${s3.bucket}/out.raw`];
    const { code, stdout } = await unqcow(['convert', from, to, '--salvage', '--json']);
    expect(code).toBe(3);
    expect(JSON.parse(stdout).lost).toMatchObject({ bytes: 196_608, extents: LOST, more: 0 });
    const { body, Metadata } = await s3.get('out.raw');
    expect(body.equals(expected)).toBe(true);
    expect(Metadata).toMatchObject({ 'unqcow-lost-bytes': '196608' });
  });

  it('of a sound image exits with 0 and marks nothing', async () => {
    const image = await qemu.image('compressed-among-plain');
    const to = `s3://${s3.bucket}/sound.raw`;
    const { code, stdout } = await unqcow(['convert', image, to, '--salvage', '--json']);
    expect({ code, lost: JSON.parse(stdout).lost }).toEqual({ code: 0, lost: { bytes: 0, extents: [], more: 0 } });
    expect((await s3.head('sound.raw')).Metadata).not.toHaveProperty('unqcow-lost-bytes');
  });

  it('still refuses what no stretch of disk can be lost for, and leaves nothing', async () => {
    const header = join(folder, 'header.qcow2');
    await writeFile(header, (await readFile(cut)).subarray(0, 60));
    const target = join(folder, 'none.raw');
    const { code, stderr } = await unqcow(['convert', header, target, '--salvage', '--json']);
    expect({ code, refusal: JSON.parse(stderr).code }).toEqual({ code: 1, refusal: 'TRUNCATED_HEADER' });
    await expect(access(target)).rejects.toThrow();
  });

  it.each([[['--estimate']], [['--state-machine', 'arn:aws:states:us-east-1:000000000000:stateMachine:unqcow']]])(
    'is for this machine only: %j',
    async (more) => {
      const { code, stderr } = await unqcow(['convert', cut, join(folder, 'x'), '--salvage', '--json', ...more]);
      expect({ code, refusal: JSON.parse(stderr).code }).toEqual({ code: 2, refusal: 'BAD_REQUEST' });
    },
  );
});

describe('the library', () => {
  it('opens a damaged image if it is told to, and reports with each conversion', async () => {
    await using strict = await openImage(cut);
    await expect(strict.convert(join(folder, 'no.raw'))).rejects.toThrow(/lies past/);
    await using image = await openImage(cut, { salvage: true });
    const target = join(folder, 'library.raw');
    const { lost } = await image.convert(target, { overwrite: 'always' });
    expect(lost).toMatchObject({ bytes: 196_608, extents: LOST });
    expect((await readFile(target)).equals(expected)).toBe(true);
    expect(expected.equals(await image.read({ start: 0, end: image.size }))).toBe(true);
  });
});

describe('the report', () => {
  const fault = { message: 'it is gone', at: undefined };

  it('joins neighbours that are lost for one reason', () => {
    const losses = new Losses();
    losses.add(0, { kind: 'lost', start: 0, end: 10, code: 'L2_BEYOND_EOF', ...fault });
    losses.add(0, { kind: 'lost', start: 10, end: 20, code: 'L2_BEYOND_EOF', ...fault });
    losses.add(1, { kind: 'lost', start: 20, end: 30, code: 'L2_BEYOND_EOF', ...fault });
    losses.add(1, { kind: 'lost', start: 30, end: 40, code: 'L2_UNALIGNED', ...fault });
    losses.add(1, { kind: 'lost', start: 50, end: 60, code: 'L2_UNALIGNED', ...fault });
    const { bytes, extents } = losses.report();
    expect(bytes).toBe(50);
    expect(extents.map(({ start, length, depth }) => [start, length, depth])).toEqual([
      [0, 20, 0],
      [20, 10, 1],
      [30, 10, 1],
      [50, 10, 1],
    ]);
  });

  it('lists a thousand, and counts the rest', () => {
    const losses = new Losses();
    for (let i = 0; i < 5000; i += 1) {
      losses.add(0, { kind: 'lost', start: i * 20, end: i * 20 + 10, code: 'L2_BEYOND_EOF', ...fault });
    }
    const { bytes, extents, more } = losses.report();
    expect({ bytes, listed: extents.length, more }).toEqual({ bytes: 50_000, listed: 1000, more: 4000 });
  });
});
