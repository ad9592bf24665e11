import { AT, COPIED, EXT, type ImageSpec, imageBytes } from '../../support/hostile.ts';
import type { Files, FilesRow, FilesRows } from '../../support/images.ts';
import { noise } from '../../support/qemu.ts';

/** An image that has its second cluster, and continues in another file. */
function over(name: string, format?: string, spec: ImageSpec = {}): Uint8Array {
  return imageBytes({
    backing: name,
    extensions: format === undefined ? [] : [{ type: EXT.backingFormat, data: format }],
    data: [noise(4096, 'overlay')],
    l2: [0n, COPIED | BigInt(AT.data)],
    ...spec,
  });
}

/** A chain of so many images, each over the one before. */
function chain(length: number): Files {
  const name = (i: number) => (i === length - 1 ? 'disk' : `layer-${i}`);
  return Object.fromEntries(
    Array.from({ length }, (_, i) => [name(i), i === 0 ? imageBytes() : over(name(i - 1), 'qcow2')]),
  );
}

const raw = noise(0x10000, 'raw');
const qcow2 = imageBytes();
const TOO_FAR = COPIED | 0x100000n;

/** Names that no image may reach anything by, though the file that they might mean is there. */
const DENIED: FilesRows = Object.fromEntries(
  [
    '/etc/passwd',
    '//base',
    '../base',
    '../../../../etc/passwd',
    'folder/../base',
    './base',
    'folder//base',
    'base/',
    '.',
    '..',
    'json:{"driver":"file","filename":"base"}',
    'file:base',
    'file:///etc/passwd',
    'FILE:base',
    'nbd:127.0.0.1:10809',
    'nbd+unix:///?socket=/tmp/s',
    'http://169.254.169.254/latest/meta-data',
    's3://bucket/base',
    'fat:rw:/etc',
    'host_device:/dev/sda',
    'c:base',
    'folder\\base',
    '%2e%2e/base',
    'base%00',
    'ba\u001bse',
    'ba\nse',
  ].map((name): [string, FilesRow] => [
    `back_denied ${JSON.stringify(name)}`,
    { files: { disk: over(name, 'raw'), base: raw }, code: 'EXTERNAL_REF_DENIED' },
  ]),
);

const PASSED: FilesRows = Object.fromEntries(
  ['base', 'a b', 'Grüße-世界', '~', '-f', 'base?versionId=1', 'base#1', '..base', 'base..', '$HOME', '*', '"'].map(
    (name): [string, FilesRow] => [
      `back_passed ${JSON.stringify(name)}`,
      {
        files: { disk: over(name, 'raw'), [name]: raw },
        like: { disk: over('base', 'raw'), base: raw },
        warnings: [],
      },
    ],
  ),
);

export const BACKING_FILES: FilesRows = {
  ...DENIED,
  ...PASSED,
  back_self: { files: { disk: over('disk', 'qcow2') }, code: 'BACKING_LOOP' },
  back_loop_b: { files: { disk: over('b', 'qcow2'), b: over('disk', 'qcow2') }, code: 'BACKING_LOOP' },
  back_loop_below: {
    files: { disk: over('a', 'qcow2'), a: over('b', 'qcow2'), b: over('c', 'qcow2'), c: over('a', 'qcow2') },
    code: 'BACKING_LOOP',
  },
  back_loop_by_map: { files: { disk: over('/a', 'qcow2') }, places: { '/a': 'disk' }, code: 'BACKING_LOOP' },
  back_self_as_raw: { files: { disk: over('disk', 'raw') }, warnings: [] },
  back_deep: { files: chain(64), warnings: [] },
  back_too_deep: { files: chain(65), code: 'BACKING_TOO_DEEP' },
  back_deep_260: { files: chain(260), code: 'BACKING_TOO_DEEP' },
  back_as_deep_as_allowed: { files: chain(3), options: { maxDepth: 3 }, warnings: [] },
  back_deeper_than_allowed: { files: chain(4), options: { maxDepth: 3 }, code: 'BACKING_TOO_DEEP' },
  back_raw_deeper_than_allowed: {
    files: { disk: over('base', 'raw'), base: raw },
    options: { maxDepth: 1 },
    code: 'BACKING_TOO_DEEP',
  },
  back_missing: { files: { disk: over('nope', 'raw') }, code: 'SOURCE_NOT_FOUND', says: /nope/ },
  back_missing_below: {
    files: { disk: over('base', 'qcow2'), base: over('nope', 'raw') },
    code: 'SOURCE_NOT_FOUND',
    says: /nope/,
  },
  back_nofmt: { files: { disk: over('base'), base: raw }, code: 'BACKING_FORMAT_REQUIRED' },
  back_nofmt_stated_for_all: { files: { disk: over('base'), base: raw }, formats: { '': 'raw' }, warnings: [] },
  back_nofmt_stated_by_name: { files: { disk: over('base'), base: qcow2 }, formats: { base: 'qcow2' }, warnings: [] },
  back_nofmt_stated_for_another: {
    files: { disk: over('base'), base: raw },
    formats: { other: 'raw' },
    code: 'BACKING_FORMAT_REQUIRED',
  },
  ...Object.fromEntries(
    ['__proto__', 'constructor', 'toString'].map((name): [string, FilesRow] => [
      `back_nofmt ${name}`,
      { files: { disk: over(name), base: raw }, code: 'BACKING_FORMAT_REQUIRED' },
    ]),
  ),
  back_stated_is_not_overruled: {
    files: { disk: over('base', 'raw'), base: qcow2 },
    formats: { '': 'qcow2', base: 'qcow2' },
    warnings: [],
  },
  back_last_format_wins: {
    files: {
      disk: over('base', undefined, {
        extensions: ['qcow2', 'raw'].map((data) => ({ type: EXT.backingFormat, data })),
      }),
      base: raw,
    },
    warnings: [],
  },
  back_fmt_vmdk: { files: { disk: over('base', 'vmdk'), base: raw }, code: 'UNSUPPORTED_FEATURE', says: /vmdk/ },
  back_fmt_case: { files: { disk: over('base', 'RAW'), base: raw }, code: 'UNSUPPORTED_FEATURE', says: /RAW/ },
  back_fmt_empty: { files: { disk: over('base', ''), base: raw }, code: 'BACKING_FORMAT_REQUIRED' },
  back_rawqcow2: { files: { disk: over('base', 'raw'), base: qcow2 }, warnings: [] },
  back_qcow2raw: { files: { disk: over('base', 'qcow2'), base: raw }, code: 'NOT_QCOW' },
  back_qcow2_empty: { files: { disk: over('base', 'qcow2'), base: Buffer.alloc(0) }, code: 'TRUNCATED_HEADER' },
  back_raw_empty: { files: { disk: over('base', 'raw'), base: Buffer.alloc(0) }, warnings: [] },
  back_short: { files: { disk: over('base', 'raw'), base: raw.subarray(0, 0x5001) }, warnings: [] },
  back_large: { files: { disk: over('base', 'raw'), base: noise(0x20000) }, warnings: [] },
  back_raw_odd: { files: { disk: over('base', 'raw'), base: raw.subarray(0, 1000) }, warnings: [] },
  back_qcow2_odd: {
    files: { disk: over('base', 'qcow2'), base: imageBytes({ size: 1000n }) },
    warnings: ['SIZE_NOT_512'],
  },
  back_nul_in_name: {
    files: { disk: over('base\0/../../etc/passwd', 'raw'), base: raw },
    like: { disk: over('base', 'raw'), base: raw },
    warnings: [],
  },
  back_mapped_absolute: {
    files: { disk: over('/var/lib/nova/_base/0a1b', 'raw'), other: raw },
    places: { '/var/lib/nova/_base/0a1b': 'other' },
    like: { disk: over('base', 'raw'), base: raw },
    warnings: [],
  },
  back_mapped_unstated: {
    files: { disk: over('/var/lib/nova/_base/0a1b'), other: raw },
    places: { '/var/lib/nova/_base/0a1b': 'other' },
    formats: { '/var/lib/nova/_base/0a1b': 'raw' },
    like: { disk: over('base', 'raw'), base: raw },
    warnings: [],
  },
  back_mapped_json: {
    files: { disk: over('json:{"driver":"nbd"}', 'raw'), other: raw },
    places: { 'json:{"driver":"nbd"}': 'other' },
    like: { disk: over('base', 'raw'), base: raw },
    warnings: [],
  },
  back_mapped_other_name: {
    files: { disk: over('/etc/passwd', 'raw'), other: raw },
    places: { '/etc/passw': 'other', '/etc/passwd ': 'other' },
    code: 'EXTERNAL_REF_DENIED',
  },
  back_v2_name_at_72: {
    files: {
      disk: imageBytes({
        version: 2,
        data: [noise(4096)],
        l2: [0n, COPIED | BigInt(AT.data)],
        header: { backingFileOffset: 72, backingFileSize: 4 },
        patches: { 72: Buffer.from('base') },
      }),
      base: raw,
    },
    formats: { base: 'raw' },
    warnings: [],
  },
  back_damaged: {
    files: { disk: over('base', 'qcow2'), base: imageBytes({ l2: [TOO_FAR] }) },
    code: 'CLUSTER_BEYOND_EOF',
  },
  back_damaged_where_covered: {
    files: { disk: over('base', 'qcow2'), base: imageBytes({ l2: [COPIED | BigInt(AT.data), TOO_FAR] }) },
    warnings: [],
  },
  back_on_metadata: {
    files: { disk: over('base', 'qcow2'), base: imageBytes({ l2: [COPIED | BigInt(AT.l1)] }) },
    code: 'METADATA_OVERLAP',
  },
  back_dirty: {
    files: { disk: over('base', 'qcow2'), base: imageBytes({ header: { incompatibleFeatures: 1 } }) },
    warnings: ['DIRTY'],
  },
  back_dup: {
    files: {
      disk: over('base', 'qcow2'),
      base: imageBytes({ l2: [COPIED | BigInt(AT.data), 0n, COPIED | BigInt(AT.data)] }),
    },
    warnings: ['SHARED_CLUSTER'],
  },
  back_at_the_same_place: { files: { disk: over('base', 'qcow2'), base: qcow2 }, warnings: [] },
  back_l1e_reserved: {
    files: { disk: over('base', 'qcow2'), base: imageBytes({ l1: [COPIED | 2n | BigInt(AT.l2)] }) },
    warnings: ['L1E_RESERVED_BITS'],
  },
  back_unknown_feature: {
    files: { disk: over('base', 'qcow2'), base: imageBytes({ header: { incompatibleFeatures: 1 << 20 } }) },
    code: 'UNSUPPORTED_FEATURE',
  },
  back_encrypted: {
    files: { disk: over('base', 'qcow2'), base: imageBytes({ header: { cryptMethod: 1 } }) },
    code: 'KEY_REQUIRED',
  },
  back_snapshot_of_overlay_only: {
    files: { disk: over('base', 'qcow2'), base: qcow2 },
    options: { snapshot: '1' },
    code: 'SNAPSHOT_NOT_FOUND',
  },
};
