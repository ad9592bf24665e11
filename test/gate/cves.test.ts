import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHandler as getImage } from '../../functions/get-image.ts';
import { createHandler as onUpload } from '../../functions/on-upload.ts';
import { createHandler as plan } from '../../functions/plan.ts';
import { inspectAny } from '../../lib/format/inspect.ts';
import { openAny } from '../../lib/format/open-any.ts';
import { openFile } from '../../lib/source/file.ts';
import type { Location } from '../../lib/source/location.ts';
import { COPIED, EXT, type ImageSpec, imageBytes, padded } from '../support/hostile.ts';
import { besides, convertTo, openBytes, recorded, refusalOf } from '../support/images.ts';
import { useGateWorld } from './world.ts';

const run = promisify(execFile);
const world = useGateWorld();
const SECRET = 'what only the host may read\n';

let folder: string;
let secret: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-cves-'));
  secret = join(folder, 'secret');
  await writeFile(secret, SECRET.repeat(400));
});
afterAll(() => rm(folder, { recursive: true }));

/** A disk whose bytes lie in another file, of that name. */
const withDataFile = (name: string, more: ImageSpec = {}): Uint8Array =>
  imageBytes({
    size: 0x2000n,
    extensions: [{ type: EXT.dataFile, data: name }],
    header: { incompatibleFeatures: 4n, autoclearFeatures: 2n },
    l2: [COPIED, COPIED | 0x1000n],
    ...more,
  });

/** Writes an image beside the secret. */
async function written(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

/** Converts a file whose caller lets it reach the files beside it, and notes what it wants to have opened. */
async function convert(path: string) {
  const opened: Location[] = [];
  const { open, ...options } = besides(path);
  const source = await openFile(path);
  const noted = async (location: Location) => {
    opened.push(location);
    return (open as (location: Location) => ReturnType<typeof openFile>)(location);
  };
  const refusal = await refusalOf(convertTo(folder, source, undefined, { ...options, open: noted }));
  await source.close();
  return { code: refusal?.code, opened };
}

const qemuRaw = async (path: string) => {
  await run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', path, `${path}.qemu`], { cwd: folder });
  return readFile(`${path}.qemu`, 'latin1');
};

describe('CVE-2024-32498: an image whose data file is a file of the host', () => {
  it('is converted by qemu-img, secret and all: the attack is real', async () => {
    expect(await qemuRaw(await written('stolen', withDataFile(secret)))).toContain(SECRET);
  });

  it.each([
    ['absolutely', () => secret],
    ['by a URL', () => `file://${secret}`],
    ['by a protocol of QEMU', () => `file:${secret}`],
    ['in JSON', () => `json:{"driver":"file","filename":"${secret}"}`],
    ['by steps up', () => `../${folder.split('/').at(-1)}/secret`],
    ['by none', () => ''],
  ])('is refused where it names it %s, and opens nothing', async (_, name) => {
    const path = await written('data-file', withDataFile(name()));
    expect(await convert(path)).toEqual({ code: 'EXTERNAL_REF_DENIED', opened: [] });
  });

  it('is refused without the raw bit, and as a backing file, too', async () => {
    const header = { incompatibleFeatures: 4n };
    expect(await convert(await written('not-raw', withDataFile(secret, { header })))).toMatchObject({ opened: [] });
    const stated = [{ type: EXT.backingFormat, data: 'raw' }];
    const backed = await written('backed', imageBytes({ backing: secret, extensions: stated }));
    expect(await convert(backed)).toEqual({ code: 'EXTERNAL_REF_DENIED', opened: [] });
  });

  it('is described without that file being opened', async () => {
    const source = recorded(openBytes(withDataFile(secret)));
    const info = JSON.stringify(await inspectAny(await openAny(source), 'disk'), (_, each) =>
      typeof each === 'bigint' ? `${each}` : each,
    );
    expect(info).toContain(`"data-file":"${secret}"`);
    expect(info).not.toContain(SECRET);
    expect(source.requests).toEqual([{ start: 0, end: source.size }]);
  });

  it('has the functions open nothing', async () => {
    const source = { bucket: 'images', key: 'in/disk.qcow2' };
    await world.put(source.bucket, source.key, withDataFile('/etc/passwd'));
    const request = { source, destination: { bucket: 'raw', key: 'out/disk' }, gate: { allow: ['s3://images/in/'] } };
    const planned = plan(world.deps)({ job: 'job', request }, world.context());
    await expect(planned).rejects.toMatchObject({ code: 'EXTERNAL_REF_DENIED' });
    expect(world.log()).toEqual(['GET images/in/disk.qcow2']);
  });
});

describe('CVE-2024-4467: an image whose data file is a json: description of block devices', () => {
  const NAMES = [
    'json:{"driver":"null-co","size":"9223372036854775807"}',
    'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}',
    `json:${'{"driver":"raw","file":'.repeat(100)}1${'}'.repeat(100)}`,
    'json:{"driver":"nbd","server":{"type":"inet","host":"127.0.0.1","port":"1"}}',
  ];

  it.each(NAMES)('is described by what is in it, and nothing more: %s', async (name) => {
    const source = recorded(openBytes(withDataFile(name)));
    const info = await inspectAny(await openAny(source), 'disk');
    expect(info).toMatchObject({ 'format-specific': { data: { 'data-file': name } } });
    expect(source.requests).toEqual([{ start: 0, end: source.size }]);
  });

  it.each(NAMES)('is refused when it is to be converted: %s', async (name) => {
    expect(await convert(await written('json', withDataFile(name)))).toEqual({
      code: 'EXTERNAL_REF_DENIED',
      opened: [],
    });
  });
});

describe('CVE-2026-24708: a raw disk into which a guest wrote a QCOW header', () => {
  /** What a guest writes to the start of its disk: an image that names a file of the host. */
  const guest = () => padded(withDataFile(secret), 0x8000);
  /** A QCOW2 image of that disk, as its owner would upload it. */
  const disk = () => {
    const clusters = guest().length / 4096;
    return imageBytes({
      size: BigInt(guest().length),
      l2: Array.from({ length: clusters }, (_, i) => COPIED | BigInt(0x5000 + i * 4096)),
      data: [guest()],
    });
  };

  it('is taken by qemu-img for what its header says, where nobody says that it is raw: the attack is real', async () => {
    const path = await written('guest', guest());
    const { stdout } = await run('qemu-img', ['info', '--output=json', path], { cwd: folder });
    expect(JSON.parse(stdout)).toMatchObject({ format: 'qcow2', 'format-specific': { data: { 'data-file': secret } } });
  });

  it('comes out of a conversion as it is, byte for byte', async () => {
    const path = await written('owner', disk());
    const source = await openFile(path);
    const converted = await convertTo(folder, source);
    await source.close();
    expect((await readFile(converted.path)).equals(guest())).toBe(true);
  });

  it('is bytes where an image states that its backing file is raw', async () => {
    await written('base', guest());
    const overlay = { backing: 'base', extensions: [{ type: EXT.backingFormat, data: 'raw' }], l2: [], data: [] };
    const path = await written('overlay', imageBytes({ ...overlay, size: BigInt(guest().length) }));
    const source = await openFile(path);
    const converted = await convertTo(folder, source, undefined, besides(path));
    await source.close();
    expect((await readFile(converted.path)).equals(guest())).toBe(true);
  });

  it('is not probed where an image does not say what its backing file is: BACKING_FORMAT_REQUIRED', async () => {
    await written('base', guest());
    const path = await written('unstated', imageBytes({ backing: 'base' }));
    expect(await convert(path)).toEqual({ code: 'BACKING_FORMAT_REQUIRED', opened: [] });
  });

  it('starts no conversion as an upload of a raw disk', async () => {
    await world.put('images', 'in/guest.raw', guest());
    const record = {
      eventSource: 'aws:s3',
      eventName: 'ObjectCreated:Put',
      s3: { bucket: { name: 'images' }, object: { key: 'in/guest.raw', eTag: '0', sequencer: '1' } },
    };
    const triggered = await onUpload(world.deps)({ Records: [record] }, world.context());
    expect(triggered).toEqual([expect.objectContaining({ outcome: 'ignored' })]);
    expect(world.started).toEqual([]);
    expect(world.log()).toEqual([]);
  });

  it('is refused if somebody takes it for an image after all, and opens nothing', async () => {
    expect(await convert(await written('taken', guest()))).toEqual({ code: 'EXTERNAL_REF_DENIED', opened: [] });
    await world.put('images', 'in/guest.raw', guest());
    world.log();
    await getImage(world.deps)(
      {
        rawPath: '/',
        headers: { accept: '*/*' },
        requestContext: { requestId: 'id', stage: '$default', http: { method: 'GET', path: '/' } },
        pathParameters: { bucket: 'images', key: 'in/guest.raw' },
      } as never,
      world.context(),
    );
    expect(world.log()).toEqual(['GET images/in/guest.raw']);
  });
});
