import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { UnqcowError } from '../../lib/errors.ts';
import { CLOSED, formatFor, type Gate, resolve } from '../../lib/jobs/gate.ts';
import type { Location } from '../../lib/source/location.ts';
import { hostileName as name } from '../support/hostile-names.ts';

/** Where a name leads, or the code of the refusal. */
function leads(gate: Gate, from: Location, name: string): Location | string {
  try {
    return resolve(gate, from, name, 'header.backing_file_offset');
  } catch (error) {
    if (error instanceof UnqcowError) return error.code;
    throw error;
  }
}

/** That is the only way to refuse a name. */
function isDenied(place: Location | string): place is string {
  if (typeof place === 'string') expect(place).toBe('EXTERNAL_REF_DENIED');
  return typeof place === 'string';
}

const file = (path: string): Location => ({ kind: 'file', path });
const s3 = (bucket: string, key: string): Location => ({ kind: 's3', bucket, key });
const allowing = (...allow: string[]): Gate => ({ ...CLOSED, allow });

/** What a store that took names for more than bytes might make of them, so often until nothing changes any more. */
function decoded(text: string): string {
  let before = text;
  for (let i = 0; i < 4; i += 1) {
    const after = before
      .normalize('NFKC')
      .replaceAll('\\', '/')
      .replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
      .split('\u0000')[0] as string;
    if (after === before) return after;
    before = after;
  }
  return before;
}

describe('a name inside an image', () => {
  it('leads nowhere as long as the caller allows nothing', () => {
    const check = (each: string) => {
      for (const from of [file('/srv/in/disk.qcow2'), s3('bucket', 'in/disk.qcow2')]) {
        expect(leads(CLOSED, from, each)).toBe('EXTERNAL_REF_DENIED');
      }
    };
    fc.assert(fc.property(name, check), { numRuns: 1000 });
  });

  it.each([
    ['/srv/in', '/srv/in/disk.qcow2'],
    ['/srv/in/', '/srv/in/deep/er/disk.qcow2'],
    ['in', 'in/disk.qcow2'],
    ['.', 'disk.qcow2'],
    ['/srv/in/base', '/srv/in/disk.qcow2'],
  ])('never leads out of an allowed folder, however it is written: %s', (allowed, from) => {
    let led = 0;
    const check = (each: string) => {
      const place = leads(allowing(allowed), file(from), each);
      if (isDenied(place)) return;
      if (place.kind !== 'file') throw new Error('a file led to S3');
      led += 1;
      expect(place.path).not.toMatch(/[\0\\%:]/);
      const inside = `${posix.resolve(allowed)}/`;
      expect(posix.resolve(place.path).startsWith(inside)).toBe(true);
      // It is that very name, in the folder of the image: nothing was read into it.
      expect(posix.normalize(place.path)).toBe(posix.join(posix.dirname(from), each));
    };
    fc.assert(fc.property(name, check), { numRuns: 3000, examples: [['base/disk']] });
    expect(led).toBeGreaterThan(0);
  });

  it.each([
    ['s3://bucket/in/', 'in/disk.qcow2'],
    ['s3://bucket/in', 'in/deep/er/disk.qcow2'],
    ['s3://bucket', 'disk.qcow2'],
    ['s3://bucket/', '/disk.qcow2'],
    ['s3://bucket/in//', 'in//disk.qcow2'],
  ])('never leads out of an allowed prefix, however it is written: %s', (allowed, key) => {
    let led = 0;
    const [, prefix = ''] = /^s3:\/\/bucket\/?(.*)$/.exec(allowed) ?? [];
    const folder = key.slice(0, key.lastIndexOf('/') + 1);
    const check = (each: string) => {
      const place = leads(allowing(allowed), s3('bucket', key), each);
      if (isDenied(place)) return;
      if (place.kind !== 's3') throw new Error('an object led to a file');
      led += 1;
      expect(place).toEqual({ kind: 's3', bucket: 'bucket', key: folder + each });
      const inside = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
      expect(place.key.startsWith(inside)).toBe(true);
      expect(each).not.toMatch(/[\0\\%:]/);
      expect(each.split('/')).not.toContain('..');
    };
    fc.assert(fc.property(name, check), { numRuns: 3000, examples: [['base/disk']] });
    expect(led).toBeGreaterThan(0);
  });

  it('that passes has no other meaning once percent signs, backslashes and NULs are read', () => {
    const check = (each: string) => {
      if (typeof leads(allowing('/srv/in'), file('/srv/in/disk.qcow2'), each) === 'string') return;
      const plain = decoded(each.normalize('NFC')).normalize('NFC');
      // Other forms of a character, as in a full-width dot, are other bytes to a file system and to S3.
      if (each.normalize('NFKC') === each.normalize('NFC')) expect(plain).toBe(each.normalize('NFC'));
    };
    fc.assert(fc.property(name, check), { numRuns: 3000 });
  });

  it.each([
    ['s3://bucket/in', 'indigo/disk.qcow2', 'base'],
    ['s3://bucket/in/', 'In/disk.qcow2', 'base'],
    ['s3://other/in/', 'in/disk.qcow2', 'base'],
    ['s3://buck', 'in/disk.qcow2', 'base'],
    ['s3://bucket.evil/in/', 'in/disk.qcow2', 'base'],
    ['/', 'in/disk.qcow2', 'base'],
    ['', 'in/disk.qcow2', 'base'],
    ['in/', 'in/disk.qcow2', 'base'],
    ['s3://', 'in/disk.qcow2', 'base'],
    ['S3://bucket/in/', 'in/disk.qcow2', 'base'],
  ])('does not lead beside an object of bucket that is not under %s: %s', (allowed, key, each) => {
    expect(leads(allowing(allowed), s3('bucket', key), each)).toBe('EXTERNAL_REF_DENIED');
  });

  it.each([
    ['/srv/in', '/srv/indigo/disk.qcow2'],
    ['/srv/in', '/srv/IN/disk.qcow2'],
    ['/srv/in', '/srv/in/../out/disk.qcow2'],
    ['/srv/in/base', '/srv/in/base'],
    ['s3://bucket/in/', '/srv/in/disk.qcow2'],
    ['s3://bucket/', 's3:/bucket/disk.qcow2'],
    ['file:///srv/in', '/srv/in/disk.qcow2'],
  ])('does not lead beside a file that is not under %s: %s', (allowed, from) => {
    expect(leads(allowing(allowed), file(from), 'base')).toBe('EXTERNAL_REF_DENIED');
  });

  it('leads beside the image that names it, not beside the first of the chain', () => {
    const gate = allowing('s3://bucket/bases/');
    expect(leads(gate, s3('bucket', 'bases/a/one.qcow2'), 'two')).toEqual(s3('bucket', 'bases/a/two'));
    expect(leads(gate, s3('bucket', 'disks/disk.qcow2'), 'two')).toBe('EXTERNAL_REF_DENIED');
  });

  it('does not take over the version of the object that names it', () => {
    const from: Location = { kind: 's3', bucket: 'bucket', key: 'in/disk', versionId: 'v1' };
    expect(leads(allowing('s3://bucket/in/'), from, 'base?versionId=v2')).toEqual(s3('bucket', 'in/base?versionId=v2'));
  });
});

describe('a place that the caller gives', () => {
  it('is for that very name only, whatever the name is', () => {
    const other = fc.tuple(name, name).filter(([given, asked]) => given !== asked);
    const check = ([given, asked]: [string, string]) => {
      const gate: Gate = { ...CLOSED, places: Object.fromEntries([[given, '/srv/given']]) };
      expect(leads(gate, file('/srv/in/disk.qcow2'), given)).toEqual(file('/srv/given'));
      expect(leads(gate, file('/srv/in/disk.qcow2'), asked)).toBe('EXTERNAL_REF_DENIED');
    };
    fc.assert(fc.property(other, check), { numRuns: 1000 });
  });

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('is none for %s unless it is given', (each) => {
    expect(leads(CLOSED, file('/srv/disk'), each)).toBe('EXTERNAL_REF_DENIED');
    expect(formatFor(CLOSED, each)).toBeUndefined();
    expect(formatFor({ ...CLOSED, backingFormats: { '': 'raw' } }, each)).toBe('raw');
  });

  it('may be in S3 for a file, and the other way round', () => {
    const gate: Gate = { ...CLOSED, places: { a: 's3://bucket/key?versionId=v', b: '/srv/b' } };
    expect(leads(gate, file('/srv/disk'), 'a')).toEqual({ ...s3('bucket', 'key'), versionId: 'v' });
    expect(leads(gate, s3('bucket', 'disk'), 'b')).toEqual(file('/srv/b'));
  });
});

describe('a name inside an image that was reached through a link', () => {
  const folder = mkdtempSync(join(tmpdir(), 'unqcow-gate-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'real/deep'), { recursive: true });
  mkdirSync(join(folder, 'x'));
  symlinkSync('real/deep', join(folder, 'link'));
  // As it is written, that is `x`; as the file system has it, `real`.
  const image = file(`${folder}/link/../disk.qcow2`);

  it('leads to the folder that the image was opened in, and not to the one that its path looks like', () => {
    expect(leads(allowing(`${folder}/real`), image, 'base')).toEqual(file(`${realpathSync(folder)}/real/base`));
    expect(leads(allowing(`${folder}/link/..`), image, 'base')).toEqual(file(`${realpathSync(folder)}/real/base`));
  });

  it('is not taken to be in a folder that it only looks to be in', () => {
    expect(leads(allowing(`${folder}/x`), file(`${folder}/link/../../x/disk`), 'base')).not.toBeTypeOf('string');
    expect(leads(allowing(`${folder}/x`), file(`${folder}/x/../link/../disk`), 'base')).toBe('EXTERNAL_REF_DENIED');
  });
});
