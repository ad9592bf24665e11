import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openImage } from '../../lib/format/image.ts';
import { describe as describeImage } from '../../lib/format/info.ts';
import { toJson } from '../../lib/format/json.ts';
import { openFile } from '../../lib/source/file.ts';
import { metered, newMeter } from '../../lib/source/metered.ts';
import { KiB } from '../../lib/units.ts';
import { type ConvertedRow, imageBytes, type RefusedRow, type Row, type Rows } from '../support/hostile.ts';
import {
  besides,
  convertTo,
  type FilesRow,
  type FilesRows,
  openBytes,
  refusalOf,
  writeFiles,
} from '../support/images.ts';
import { type Qemu, useQemu } from '../support/qemu.ts';
import { BACKING_FILES } from './hostile/backing-rows.ts';
import { COMPRESSED_ROWS } from './hostile/compressed-rows.ts';
import { DATA_FILE_FILES } from './hostile/datafile-rows.ts';
import {
  BACKING_ROWS,
  BITMAP_ROWS,
  DATA_FILE_ROWS,
  ENCRYPTION_ROWS,
  EXTENSION_ROWS,
  SNAPSHOT_ROWS,
} from './hostile/extension-rows.ts';
import { EXTL2_ROWS } from './hostile/extl2-rows.ts';
import { CONTROL_ROWS, FEATURE_ROWS, HEADER_ROWS, SIZE_ROWS } from './hostile/header-rows.ts';
import { L1_ROWS, L2_ROWS, OTHER_FORMAT_ROWS, REFCOUNT_ROWS } from './hostile/table-rows.ts';

const GROUPS: Readonly<Record<string, Rows>> = {
  'the control': CONTROL_ROWS,
  'a header': HEADER_ROWS,
  'a disk size': SIZE_ROWS,
  'feature bits': FEATURE_ROWS,
  'header extensions': EXTENSION_ROWS,
  encryption: ENCRYPTION_ROWS,
  bitmaps: BITMAP_ROWS,
  'a snapshot table': SNAPSHOT_ROWS,
  'a backing file': BACKING_ROWS,
  'a data file': DATA_FILE_ROWS,
  'an L1 table': L1_ROWS,
  'an L2 table': L2_ROWS,
  subclusters: EXTL2_ROWS,
  'a compressed cluster': COMPRESSED_ROWS,
  refcounts: REFCOUNT_ROWS,
  'other formats': OTHER_FORMAT_ROWS,
};

/** The same where the caller lets the image reach the files beside it. */
const FILE_GROUPS: Readonly<Record<string, FilesRows>> = {
  'a backing file': BACKING_FILES,
  'a data file': DATA_FILE_FILES,
};

let qemu: Qemu;
beforeAll(async () => {
  qemu = await useQemu();
});
afterAll(() => qemu.close());

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
    expect(ours.read.bytes).toBeLessThan(3 * total + 64 * KiB);
  });
});

function titled<R extends Row | FilesRow>(rows: Readonly<Record<string, R>>): [string, R][] {
  return Object.entries(rows).map(([name, row]) => [
    `${name}: ${'code' in row ? row.code : ['OK', ...row.warnings].join(', ')}`,
    row,
  ]);
}

async function expectRefusal({ image, opens, code, says }: RefusedRow) {
  const bytes = imageBytes(image);
  const opened = await refusalOf(openImage(openBytes(bytes)));
  expect(opened?.code).toBe(opens ? undefined : code);
  if (opens) JSON.parse(toJson(describeImage(await openImage(openBytes(bytes)), 'disk.qcow2')));
  const refusal = await refusalOf(convertTo(qemu.folder, openBytes(bytes)));
  expect(refusal?.code).toBe(code);
  expect(refusal?.message).toMatch(says ?? /./);
}

async function expectSameBytes({ image, like, warnings }: ConvertedRow) {
  const bytes = imageBytes(image);
  const meter = newMeter();
  const source = { ...openBytes(bytes), read: metered(openBytes(bytes), meter).read };
  const ours = await convertTo(qemu.folder, source);
  const theirs = await qemu.raw(await qemu.imageOf(like ? imageBytes(like) : bytes));
  expect(await qemu.difference(ours.path, theirs)).toBeUndefined();
  expect(ours.warnings.map((warning) => warning.code)).toEqual(warnings);
  expect(meter.bytes).toBeLessThan(3 * bytes.length + 64 * KiB);
}
