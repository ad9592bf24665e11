import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { toJson } from '../../../lib/format/json.ts';
import { openQcow1 } from '../../../lib/format/qcow1/image.ts';
import { describeQcow1 } from '../../../lib/format/qcow1/info.ts';
import { memorySource } from '../../../lib/source/memory.ts';
import { newMeter } from '../../../lib/source/metered.ts';
import { expectBounded } from '../../support/bounds.ts';
import { qcow1Bytes, qemu1In } from '../../support/hostile-v1.ts';
import { convertTo, countedBytes, differenceOf, openBytes, refusalOf } from '../../support/images.ts';
import { useQemu } from '../../support/use-qemu.ts';
import { type Converts, QCOW1_CONVERTED, QCOW1_REFUSED, QCOW1_TEXT } from './hostile-rows.ts';

/** What is encrypted is damaged all the same. */
const KEY = { passphrases: { '': Buffer.from('secret') } };

const qemu = useQemu();

describe('a version 1 image that is damaged', () => {
  it.each(Object.entries(QCOW1_REFUSED))('is refused: %s', async (_, { image, code, at, opens }) => {
    const bytes = qcow1Bytes(image);
    const source = memorySource(bytes);
    const meter = newMeter();
    const opened = await refusalOf(openQcow1(source));
    expect(opened?.code).toBe(opens ? undefined : code);
    if (opens) JSON.parse(toJson(describeQcow1(await openQcow1(source), 'disk.qcow')));
    const counted = countedBytes(bytes, meter);
    const refusal = await refusalOf(opens ? convertTo(qemu.folder, counted, undefined, KEY) : openQcow1(counted));
    expect(refusal).toMatchObject({ code, at });
    expectBounded(meter, bytes.length);
    if (!opens) expect(meter.requests).toBe(1);
  });
});

describe.concurrent('a version 1 image that is odd', () => {
  it.each(Object.entries<Converts>(QCOW1_CONVERTED))('has the bytes that qemu-img reads: %s', async (_, row) => {
    const bytes = qcow1Bytes(row.image);
    const oracle = qemu1In(qemu.folder);
    const meter = newMeter();
    const { path, warnings } = await convertTo(qemu.folder, countedBytes(bytes, meter));
    const theirs = await oracle.raw(await oracle.imageOf(bytes));
    expect(differenceOf(await readFile(path), Buffer.from(theirs))).toBeUndefined();
    expect(warnings.map((warning) => warning.code)).toEqual(row.warnings);
    expectBounded(meter, bytes.length);
  });

  it('is a row whose data is there to be compared', async () => {
    const { comp } = QCOW1_CONVERTED;
    const { path } = await convertTo(qemu.folder, openBytes(qcow1Bytes(comp.image)));
    expect((await readFile(path)).subarray(0, 4096)).toEqual(QCOW1_TEXT);
  });
});

describe('a version 1 image that needs more than itself', () => {
  it.each(['base.raw', 'disk.qcow', '/etc/passwd', 'http://169.254.169.254/'])(
    'names its backing file, whose format is never stated: %s',
    async (backing) => {
      const image = await openQcow1(memorySource(qcow1Bytes({ backing })));
      expect(image.backing).toEqual({ name: backing, format: undefined });
      expect(image.warnings.list()).toEqual([]);
    },
  );

  it('is encrypted with AES: it opens, and says so', async () => {
    const image = await openQcow1(memorySource(qcow1Bytes({ header: { cryptMethod: 1 } })));
    expect(image.geometry.encrypted).toBe(true);
    expect(describeQcow1(image, 'disk.qcow').encrypted).toBe(true);
  });

  it.each([2n, 513n, 1000n])('has the size that qemu-img info shows: %i bytes', async (bytes) => {
    const image = qcow1Bytes({ header: { size: bytes } });
    const oracle = qemu1In(qemu.folder);
    const described = JSON.parse(toJson(describeQcow1(await openQcow1(memorySource(image)), 'disk.qcow')));
    const theirs = await oracle.info(await oracle.imageOf(image));
    expect(described['virtual-size']).toBe(theirs['virtual-size']);
  });

  it('shows its header as it was written', async () => {
    const fields = { mtime: 0xfedcba98, padding: 0xabcd, size: 513n };
    const { unqcow } = describeQcow1(await openQcow1(memorySource(qcow1Bytes({ header: fields }))), 'disk.qcow');
    expect(unqcow).toMatchObject({ version: 1, header: fields, l1: { offset: 48n, entries: 1, needed: 1 } });
    expect(unqcow.warnings.map(({ code }) => code)).toEqual(['SIZE_NOT_512']);
  });
});
