import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openImage } from '../../lib/format/image.ts';
import { describe as describeImage } from '../../lib/format/info.ts';
import { toJson } from '../../lib/format/json.ts';
import { PLAN_LIMITS } from '../../lib/plan/s3-limits.ts';
import { openFile } from '../../lib/source/file.ts';
import { newMeter } from '../../lib/source/metered.ts';
import { expectBounded } from '../support/bounds.ts';
import { type ConvertedRow, imageBytes, type RefusedRow, type Row } from '../support/hostile.ts';
import {
  besides,
  convertTo,
  countedBytes,
  type FilesRow,
  openBytes,
  refusalOf,
  writeFiles,
} from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';
import { FILE_GROUPS, GROUPS } from './hostile/all-rows.ts';

const qemu = useQemu();

describe('the sound image that all others differ from', () => {
  it.each([
    [2, 12],
    [3, 9],
    [3, 12],
    [3, 16],
    [3, 21],
  ] as const)('of version %i with 2^%i-byte clusters is clean to qemu-img check', async (version, clusterBits) => {
    const image = await qemu.imageOf(imageBytes({ version, clusterBits, size: 0x2000n }));
    expect(await qemu.check(image)).toMatchObject({ 'check-errors': 0, 'allocated-clusters': 2 });
  });
});

describe.concurrent.each(Object.entries(GROUPS))('an odd or damaged image: %s', (_, rows) => {
  it.each(titled(rows))('%s', async (_title, row) => {
    if ('code' in row) await expectRefusal(row);
    else await expectSameBytes(row);
  });
});

describe.concurrent.each(Object.entries(FILE_GROUPS))('an image that reaches %s', (_, rows) => {
  it.each(titled(rows))('%s', async (_title, row) => {
    const image = await writeFiles(qemu.folder, row.files);
    const places = Object.entries(row.places ?? {}).map(([name, file]) => [name, join(dirname(image), file)]);
    const gate = { places: Object.fromEntries(places), backingFormats: row.formats ?? {} };
    const source = await openFile(image);
    const work = convertTo(qemu.folder, source, undefined, { ...besides(image, gate), ...row.options });
    const refusal = await refusalOf(work).finally(() => source.close());
    expect(refusal?.code).toBe('code' in row ? row.code : undefined);
    if ('code' in row) {
      expect(refusal?.message).toMatch(row.says ?? /./);
      return;
    }
    const ours = await work;
    const theirs = await qemu.raw(row.like ? await writeFiles(qemu.folder, row.like) : image);
    expect(await qemu.difference(ours.path, theirs)).toBeUndefined();
    expect(ours.warnings.map((warning) => warning.code)).toEqual(row.warnings);
    const total = Object.values(row.files).reduce((sum, { length }) => sum + length, 0);
    expectBounded({ ...ours.read, requests: ours.read.requests / Object.keys(row.files).length }, total);
  });
});

function titled<R extends Row | FilesRow>(rows: Readonly<Record<string, R>>): [string, R][] {
  return Object.entries(rows).map(([name, row]) => [
    `${name}: ${'code' in row ? row.code : ['OK', ...row.warnings].join(', ')}`,
    row,
  ]);
}

async function expectRefusal({ image, opens, code, says, snapshot }: RefusedRow) {
  const bytes = imageBytes(image);
  const opened = await refusalOf(openImage(openBytes(bytes)));
  expect(opened?.code).toBe(opens ? undefined : code);
  if (opens) JSON.parse(toJson(describeImage(await openImage(openBytes(bytes)), 'disk.qcow2')));
  const meter = newMeter();
  const refusal = await refusalOf(convertTo(qemu.folder, countedBytes(bytes, meter), undefined, { snapshot }));
  expect(refusal?.code).toBe(code);
  expect(refusal?.message).toMatch(says ?? /./);
  expectBounded(meter, bytes.length);
  if (!opens) expect(meter.requests).toBe(1);
}

async function expectSameBytes({ image, like, warnings, snapshot }: ConvertedRow) {
  const bytes = imageBytes(image);
  const meter = newMeter();
  const ours = await convertTo(qemu.folder, countedBytes(bytes, meter), undefined, { snapshot });
  const theirs = await qemu.raw(await qemu.imageOf(like ? imageBytes(like) : bytes));
  expect(await qemu.difference(ours.path, theirs)).toBeUndefined();
  expect(ours.warnings.map((warning) => warning.code)).toEqual(warnings);
  expectBounded(meter, bytes.length, (ours.parts?.data ?? 0) * PLAN_LIMITS.dataPart);
}
