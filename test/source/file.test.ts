import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openFile } from '../../lib/source/file.ts';

let dir = '';
let path = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'unqcow-file-'));
  path = join(dir, 'disk');
  await writeFile(path, 'twenty bytes of disk');
});
afterEach(() => rm(dir, { recursive: true }));

const withCode = (code: string) => expect.objectContaining({ code });

describe('opening a file', () => {
  it('that is not there is SOURCE_NOT_FOUND', async () => {
    await expect(openFile(join(dir, 'absent'))).rejects.toEqual(withCode('SOURCE_NOT_FOUND'));
    await expect(openFile(join(path, 'below a file'))).rejects.toEqual(withCode('SOURCE_NOT_FOUND'));
  });

  it('that is a folder is SOURCE_DENIED', async () => {
    await mkdir(join(dir, 'folder'));
    await expect(openFile(join(dir, 'folder'))).rejects.toEqual(withCode('SOURCE_DENIED'));
  });

  it('that is a pipe is SOURCE_DENIED, and does not wait for a writer', async () => {
    execFileSync('mkfifo', [join(dir, 'pipe')]);
    await expect(openFile(join(dir, 'pipe'))).rejects.toEqual(withCode('SOURCE_DENIED'));
  });

  it('by a link reads what it leads to; one that leads in a circle is SOURCE_DENIED', async () => {
    await symlink(path, join(dir, 'link'));
    const file = await openFile(join(dir, 'link'));
    expect(file.size).toBe(20);
    await file.close();
    await symlink(join(dir, 'circle'), join(dir, 'circle'));
    await expect(openFile(join(dir, 'circle'))).rejects.toEqual(withCode('SOURCE_DENIED'));
  });

  it('of no bytes gives a source of no bytes', async () => {
    await writeFile(path, '');
    const file = await openFile(path);
    expect(file.size).toBe(0);
    expect(await file.read({ start: 0, end: 0 })).toHaveLength(0);
    await file.close();
  });
});

describe('a file that is open', () => {
  it('verifies while nobody writes to it', async () => {
    const file = await openFile(path);
    await expect(file.verify()).resolves.toBeUndefined();
    await file.close();
  });

  it('is SOURCE_CHANGED once it was written to, though it is as long as before', async () => {
    const file = await openFile(path);
    await writeFile(path, 'twenty other bytes!!');
    await utimes(path, 1, 1);
    await expect(file.verify()).rejects.toEqual(withCode('SOURCE_CHANGED'));
    await file.close();
  });

  it('is SOURCE_CHANGED where a read finds it cut short', async () => {
    const file = await openFile(path);
    await truncate(path, 10);
    expect(await file.read({ start: 0, end: 10 })).toHaveLength(10);
    await expect(file.read({ start: 5, end: 15 })).rejects.toEqual(withCode('SOURCE_CHANGED'));
    await expect(file.verify()).rejects.toEqual(withCode('SOURCE_CHANGED'));
    await file.close();
  });

  it('goes on reading the bytes that were opened when another takes its name', async () => {
    const file = await openFile(path);
    await writeFile(join(dir, 'new'), 'twenty newer bytes!!');
    await rename(join(dir, 'new'), path);
    expect(Buffer.from(await file.read({ start: 0, end: 20 })).toString()).toBe('twenty bytes of disk');
    await expect(file.verify()).resolves.toBeUndefined();
    await file.close();
  });

  it('has another id once it was written to', async () => {
    const before = await openFile(path);
    await writeFile(path, 'twenty other bytes!!');
    await utimes(path, 1, 1);
    const after = await openFile(path);
    expect(after.id).not.toBe(before.id);
    await Promise.all([before.close(), after.close()]);
  });

  it('fails in our own words when the disk does', async () => {
    const file = await openFile(path);
    await file.close();
    await expect(file.read({ start: 0, end: 4 })).rejects.toEqual(withCode('SOURCE_DENIED'));
  });
});
