import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { startStack } from '../../infra/local/stack.ts';
import { openStores } from '../../lib/jobs/stores.ts';
import { listUploads } from '../../lib/sink/s3-listing.ts';
import { putWhole } from '../../lib/sink/s3-whole.ts';
import { openFile } from '../../lib/source/file.ts';
import { openS3 } from '../../lib/source/s3.ts';
import { SMALL_PARTS, sixParts } from '../pipeline/small-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'unqcow-killed-'));
afterAll(() => rmSync(folder, { recursive: true }));
const image = sixParts(folder, 'disk');
const INPUT = { source: { bucket: 'images', key: 'disk' }, destination: { bucket: 'raw', key: 'disk.raw' } };

const start = (dir: string) => startStack({ store: { dir }, limits: SMALL_PARTS, retryDelayScale: 0 });

/** Puts the image into a store in that folder, which then nobody serves. */
async function fill(dir: string): Promise<void> {
  const stack = await start(dir);
  const [{ writer }, file] = [openStores(stack.store), await openFile(image.path)];
  const bytes = await file.read({ start: 0, end: file.size });
  await putWhole(
    writer,
    INPUT.source,
    (async function* () {
      yield bytes;
    })(),
    file.size,
  );
  await file.close();
  await stack.close();
}

describe('a machine that is killed in the middle of a conversion', () => {
  it.each(['Plan', 'ConvertParts', 'Complete'])(
    'in %s, leaves nothing behind: the next one goes on with it',
    async (state) => {
      const dir = mkdtempSync(join(folder, 'stack-'));
      await fill(dir);
      const process = fork(join(import.meta.dirname, 'stack-process.ts'));
      process.on('message', (at) => at === state && process.kill('SIGKILL'));
      process.send({ dir, input: INPUT });
      const [, signal] = await once(process, 'exit');
      expect(signal).toBe('SIGKILL');

      const stack = await start(dir);
      const stores = openStores(stack.store);
      expect(await stack.stepFunctions.wait('killed')).toMatchObject({ status: 'SUCCEEDED' });
      const uploads = await Promise.all(['raw', 'unqcow-work'].map((bucket) => listUploads(stores.writer, bucket, '')));
      expect(uploads.flat()).toEqual([]);
      const [made, expected] = [await openS3(stores.reader, INPUT.destination), await openFile(image.raw)];
      expect(made.size).toBe(expected.size);
      const range = { start: 0, end: expected.size };
      expect(Buffer.compare(await made.read(range), await expected.read(range))).toBe(0);
      await expected.close();
      await stack.close();
      // What has ended is not begun again.
      const third = await start(dir);
      expect(() => third.stepFunctions.describe('killed')).toThrow('Does Not Exist');
      await third.close();
    },
  );
});
