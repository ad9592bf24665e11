import { describe, expect, it } from 'vitest';
import { keepingOf } from '../../bin/keeping-flags.ts';

describe('the flags for the object that is written', () => {
  it('replace a file as qemu-img does, and in S3 only what unqcow made', () => {
    expect(keepingOf({}, 'file').overwrite).toBe('always');
    expect(keepingOf({}, 's3').overwrite).toBe('own');
    expect(keepingOf({ overwrite: false }, 'file').overwrite).toBe('never');
    expect(keepingOf({ overwrite: false }, 's3').overwrite).toBe('never');
    expect(keepingOf({ overwrite: 'always' }, 's3').overwrite).toBe('always');
  });

  it('take tags and metadata by name, the value as it is', () => {
    const { tags, metadata } = keepingOf({ tag: ['a=b=c', 'd='], metadata: ['colour=red'] }, 's3');
    expect({ tags, metadata }).toEqual({ tags: { a: 'b=c', d: '' }, metadata: { colour: 'red' } });
  });

  it.each([
    [{ tag: ['no-value'] }, 's3'],
    [{ metadata: ['=x'] }, 's3'],
    [{ metadata: ['unqcow-version=0'] }, 's3'],
    [{ kmsKeyId: 'key', sse: 'AES256' }, 's3'],
    [{ storageClass: 'GLACIER' }, 'file'],
    [{ tag: ['a=b'] }, 'file'],
    [{ overwrite: 'own' }, 'file'],
  ] as const)('are refused where they mean nothing: %j for %s', (flags, kind) => {
    expect(() => keepingOf(flags as never, kind)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
  });
});
