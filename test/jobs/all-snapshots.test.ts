import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { aesKey } from '../../lib/chunk/crypto/unlock.ts';
import { type AllRequest, convertAllHere } from '../../lib/jobs/convert-all-here.ts';
import { openFile } from '../../lib/source/file.ts';
import { KiB, MiB } from '../../lib/units.ts';
import type { Recipe } from '../recipes.ts';
import { imageBytes } from '../support/hostile.ts';
import { type SnapshotEntry, withSnapshots } from '../support/hostile-snapshots.ts';
import { qcow1Bytes } from '../support/hostile-v1.ts';
import { besides, differenceOf, refusalOf } from '../support/images.ts';
import { useStore } from '../support/store.ts';
import { useQemu } from '../support/use-qemu.ts';

const store = useStore();
const qemu = useQemu();

/** 6 MiB of noise that three snapshots share, and little of their own; the disk has grown since. */
const sharing = (megabytes: number): Recipe => [
  `create -f qcow2 disk ${megabytes}M`,
  ...Array.from({ length: 6 }, (_, i) => `io write -s noise ${i}M 1M`),
  'snapshot -c first disk',
  'io write -P 1 2M 100k',
  'snapshot -c second disk',
  `io write -c -P 2 ${megabytes - 2}M 64k`,
  'snapshot -c third disk',
  `resize disk ${megabytes + 2}M`,
  `io write -P 3 ${megabytes + 1}M 64k`,
];
const NAMES = ['active', 'first', 'second', 'third'];

async function convertAll(image: string, more: Partial<AllRequest>) {
  const source = await openFile(image);
  const request: AllRequest = {
    ...besides(image),
    location: { kind: 'file', path: image },
    source,
    copySource: undefined,
    template: join(dirname(image), '{name}.raw'),
    targetOf: (path) => ({ kind: 'file', path }),
    options: { overwrite: 'always', copyParts: false, zeroParts: false },
    workers: 4,
    ...more,
  };
  return convertAllHere(request).finally(() => source.close());
}

const expected = async (image: string, name: string) =>
  readFile(await qemu.raw(name === 'active' ? image : await qemu.reverted(image, name)));

describe('converting an image with all its snapshots', () => {
  it('makes of each what qemu-img makes once it goes back to it, and reads once what they share', async () => {
    const image = await qemu.made('all-to-files', sharing(80));
    const seen: number[] = [];
    const results = await convertAll(image, { onProgress: (done, total) => seen.push(done / total) });
    expect(results.map(({ target }) => basename(target))).toEqual(NAMES.map((name) => `${name}.raw`));
    expect(results.map(({ snapshot }) => snapshot?.name)).toEqual([undefined, 'first', 'second', 'third']);
    expect(results.map(({ size }) => size / MiB)).toEqual([82, 80, 80, 80]);
    for (const { target } of results) {
      const theirs = await expected(image, basename(target, '.raw'));
      expect(differenceOf(await readFile(target), theirs)).toBeUndefined();
    }
    // One disk by itself takes as much; four by themselves take four times that.
    const { size } = await stat(image);
    const [{ read }] = results as [(typeof results)[0]];
    expect(read.bytes).toBeLessThan(size + 512 * KiB);
    expect(read.requests).toBeLessThan(30);
    expect(seen.at(-1)).toBe(1);
  });

  it('uploads each to S3, and leaves no upload open', async () => {
    const image = await qemu.made('all-to-s3', sharing(10));
    const { bucket } = store.s3;
    const results = await convertAll(image, {
      template: 'all/{index}.raw',
      targetOf: (key) => ({ kind: 's3', stores: store.stores, target: { bucket, key }, work: undefined }),
    });
    expect(results.map(({ target }) => target)).toEqual(
      ['active', 0, 1, 2].map((name) => `s3://${bucket}/all/${name}.raw`),
    );
    for (const [i, name] of NAMES.entries()) {
      const made = await store.s3.get(`all/${i === 0 ? 'active' : i - 1}.raw`);
      expect(differenceOf(made.body, await expected(image, name))).toBeUndefined();
    }
    const { size } = await stat(image);
    expect(results[0]?.read.bytes).toBeLessThan(size + 512 * KiB);
    expect(await store.openUploads()).toEqual([]);
  });

  it('opens a backing file once, and reads it once', async () => {
    const image = await qemu.made('all-over-base', [
      'create -f qcow2 base 16M',
      ...['0', '4M', '8M', '12M'].map((at) => `io write -s noise ${at} 1M`),
      'create -f qcow2 -b base -F qcow2 disk 16M',
      'io write -P 1 1M 64k',
      'snapshot -c first disk',
      'io write -P 2 9M 64k',
    ]);
    const opened: string[] = [];
    const open: AllRequest['open'] = async (place) => {
      opened.push(basename((place as { path: string }).path));
      return openFile((place as { path: string }).path);
    };
    const results = await convertAll(image, { open });
    expect(opened).toEqual(['base']);
    const [both, base] = [await stat(image), await stat(join(dirname(image), 'base'))];
    expect(results[0]?.read.bytes).toBeLessThan(both.size + base.size + 512 * KiB);
    for (const { target } of results) {
      expect(differenceOf(await readFile(target), await expected(image, basename(target, '.raw')))).toBeUndefined();
    }
  });

  it('asks for a key once', async () => {
    const image = await qemu.imageOf(imageBytes(withSnapshots([{}, {}], { header: { cryptMethod: 1 } })));
    const asked: string[] = [];
    const keyOf: AllRequest['keyOf'] = async ({ source }) => {
      asked.push(source.id);
      return aesKey(Buffer.from('secret'));
    };
    const results = await convertAll(image, { keyOf, template: `${image}.{index}` });
    expect([results.length, asked.length]).toEqual([3, 1]);
  });

  it('is the active disk alone where there are no snapshots, in version 1 too', async () => {
    const [image, old] = [await qemu.imageOf(imageBytes()), await qemu.imageOf(qcow1Bytes({}))];
    for (const each of [image, old]) {
      const results = await convertAll(each, { template: `${each}.{id}` });
      expect(results.map(({ target, snapshot }) => [target, snapshot])).toEqual([[`${each}.active`, null]]);
    }
  });
});

describe('converting with all snapshots, if one cannot be', () => {
  const DAMAGED: Record<string, readonly SnapshotEntry[]> = {
    BAD_SNAPSHOT_L1: [{}, { l1Size: 0 }],
    SNAPSHOT_EXTRA_TOO_LARGE: [{}, { extraSize: 0xffffffff }],
  };

  it.each(Object.entries(DAMAGED))('refuses, and leaves nothing behind: %s', async (code, entries) => {
    const image = await qemu.imageOf(imageBytes(withSnapshots(entries)));
    const before = await readdir(qemu.folder);
    const refusal = await refusalOf(convertAll(image, { template: `${image}.{id}` }));
    expect(refusal?.code).toBe(code);
    expect(await readdir(qemu.folder)).toEqual(before);
  });

  it('puts no target in place if one fails while it is made', async () => {
    // The second cluster of the snapshot’s table is a compressed one that is none: known only once it is inflated.
    const image = await qemu.made('all-broken', [
      'create -f qcow2 disk 1M',
      'io write -c -P 1 0 64k',
      'snapshot -c first disk',
      'io write -P 2 0 64k',
      'patch disk 327680 ffffffffffffffff',
    ]);
    const refusal = await refusalOf(convertAll(image, {}));
    expect(refusal?.code).toBe('DECOMPRESS_FAILED');
    expect((await readdir(dirname(image))).filter((name) => /raw|part/.test(name))).toEqual([]);
  });
});

describe('where all snapshots go', () => {
  const targets = async (entries: readonly SnapshotEntry[], template = '{name}') => {
    const image = await qemu.imageOf(imageBytes(withSnapshots(entries)));
    const made: string[] = [];
    await convertAll(image, {
      template,
      targetOf(name) {
        made.push(name);
        return { kind: 'file', path: `${image}.${made.length}` };
      },
    });
    await Promise.all(made.map((_, i) => rm(`${image}.${i + 1}`)));
    return made;
  };

  it.each([
    ['plain-1_2.3', 'plain-1_2.3'],
    ['a b', 'a%20b'],
    ['../../etc/passwd', '%2E.%2F..%2Fetc%2Fpasswd'],
    ['..', '%2E.'],
    ['.hidden', '%2Ehidden'],
    ['50%', '50%25'],
    ['Grüße', 'Gr%C3%BC%C3%9Fe'],
    ['a\u001b[2J\n', 'a%1B%5B2J%0A'],
    ['s3://bucket/key?versionId=1', 's3%3A%2F%2Fbucket%2Fkey%3FversionId%3D1'],
    ['{id}', '%7Bid%7D'],
    ['$&', '%24%26'],
    ['', '%'],
    ['cut\0off', 'cut'],
  ])('a name is escaped: %j', async (name, escaped) => {
    expect(await targets([{ name }], 'a/{name}-{id}-{index}')).toEqual(['a/active-active-active', `a/${escaped}-1-0`]);
  });

  it.each([
    ['two of a name', [{ name: 'same' }, { name: 'same' }], '{name}', /snapshot 0 and snapshot 1 .* same:/],
    ['names that end alike', [{ name: 'same\0a' }, { name: 'same\0b' }], '{name}', /would both go/],
    ['one that is called as the active disk', [{ name: 'active' }], '{name}', /the active disk and snapshot 0/],
    ['a template without a placeholder', [], 'disk.raw', /no \{id\}/],
    ['a placeholder that is none', [], '{date}-{id}', /\{date\}/],
    ['a bucket that an image would choose', [{}], 's3://{name}/disk.raw', /bucket/],
    ['a name that is too long', [{ name: 'x'.repeat(201) }], '{name}', /too long/],
  ] as const)('is refused before anything is made: %s', async (_, entries, template, says) => {
    const refusal = await refusalOf(targets(entries, template));
    expect(refusal).toMatchObject({ code: 'BAD_REQUEST', at: 'target', message: expect.stringMatching(says) });
  });
});
