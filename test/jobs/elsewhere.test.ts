import { expect, it } from 'vitest';
import { isVersionOf } from '../../lib/jobs/elsewhere.ts';
import { idOf } from '../../lib/source/s3.ts';

it.each([
  ['disk.raw', 'disk.raw', true],
  ['disk.raw', 'disk.raw.old', false],
  ['disk.raw.old', 'disk.raw', false],
  ['disk#1', 'disk#1', true],
  ['disk', 'disk#1', false],
  ['disk', 'disk##1', false],
  ['disk#', 'disk', false],
])('%s is the object that a version of %s is of: %s', (target, key, expected) => {
  for (const versionId of [undefined, '3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY']) {
    const id = idOf({ bucket: 'disks', key, versionId, etag: '"9b2cf535f27731c974343645a3985328-3"', size: 1 });
    expect(isVersionOf({ bucket: 'disks', key: target }, id)).toBe(expected);
    expect(isVersionOf({ bucket: 'others', key: target }, id)).toBe(false);
  }
});
