import { PutObjectCommand } from '@aws-sdk/client-s3';
import { beforeAll, describe, expect, it } from 'vitest';
import { SMALL_PARTS, sixParts } from '../pipeline/small-world.ts';
import { screenshot } from './screenshot.ts';
import { useConsole } from './use-console.ts';

/** Holds back workers once some parts are made, until the test lets them go on. */
const held: { by?: Promise<void> } = {};
const console = useConsole({
  workers: 1,
  limits: SMALL_PARTS,
  lambda: (name, create) => {
    const run = create();
    if (name !== 'convert-part') return run;
    return async (event, context) => {
      await held.by;
      return run(event, context);
    };
  },
});
let disk: ReturnType<typeof sixParts>;
let convert: string;

beforeAll(async () => {
  disk = sixParts(console.folder, 'disk');
  // Not as *.qcow2, which would be converted by itself.
  await console.pipeline.put(disk.path, 'vms/disk');
  const { images } = console.pipeline.stack.buckets;
  convert = `convert?${new URLSearchParams({ bucket: images, key: 'vms/disk' })}`;
});

describe('a conversion from the console', () => {
  it('is estimated, started, followed part by part, and makes the disk', async () => {
    const { promise, resolve: go } = Promise.withResolvers<void>();
    held.by = promise;
    const page = await console.open(convert);
    expect(await page.getByLabel('Key of the raw disk').inputValue()).toBe('vms/disk.raw');
    expect(await page.getByRole('button', { name: 'Convert' }).count()).toBe(0);
    await page.getByRole('button', { name: 'What would it take?' }).click();
    await page.getByRole('heading', { name: 'A forecast, not a promise' }).waitFor();
    expect(await page.locator('main').innerText()).toContain('26 MiB (27,262,976 bytes)');
    await page.getByRole('button', { name: 'Convert' }).click();
    await page.getByRole('heading', { level: 1, name: 'Converting' }).waitFor();
    const parts = page.getByRole('img', { name: /parts made/ });
    await parts.waitFor();
    expect(await parts.getAttribute('aria-label')).toMatch(/^0 of \d+ parts made$/);
    go();
    await page.getByRole('heading', { level: 1, name: 'Converted' }).waitFor();
    await screenshot(page, 'converted');
    const [, done, total] = /^(\d+) of (\d+) parts/.exec((await parts.getAttribute('aria-label')) ?? '') ?? [];
    expect(done).toBe(total);
    expect(await page.locator('.parts').innerText()).toMatch(/data assembled by workers\s+3 of 3/);
    expect(await page.locator('main').innerText()).toContain('which S3 checked itself');
    expect(await console.pipeline.difference('vms/disk.raw', disk.raw)).toBeUndefined();
    await page.getByRole('link', { name: 'Conversions' }).click();
    await page.getByRole('heading', { level: 1, name: 'Conversions' }).waitFor();
    expect(await page.locator('.list a').count()).toBe(1);
  });

  it('is not started over what is there, unless that is asked for', async () => {
    const { client, stack } = console.pipeline;
    await client.send(new PutObjectCommand({ Bucket: stack.buckets.raw, Key: 'taken.raw', Body: 'mine' }));
    const page = await console.open(convert);
    await page.getByLabel('Key of the raw disk').fill('taken.raw');
    await page.getByRole('button', { name: 'What would it take?' }).click();
    await page.getByRole('button', { name: 'Convert' }).click();
    await page.getByRole('heading', { level: 1, name: 'Failed' }).waitFor();
    const alert = page.getByRole('alert');
    expect(await alert.innerText()).toContain('The destination exists and was not to be overwritten');
    expect(await alert.innerText()).toContain('Choose another key, or tick');
  });

  it('can be stopped', async () => {
    const { promise, resolve: go } = Promise.withResolvers<void>();
    held.by = promise;
    const page = await console.open(convert);
    await page.getByLabel('Key of the raw disk').fill('stopped.raw');
    await page.getByRole('button', { name: 'What would it take?' }).click();
    await page.getByRole('button', { name: 'Convert' }).click();
    await page.getByRole('img', { name: /parts made/ }).waitFor();
    await page.getByRole('button', { name: 'Stop it' }).click();
    await page.getByRole('heading', { level: 1, name: 'Stopped' }).waitFor();
    go();
    expect(await page.getByRole('alert').innerText()).toContain('ABORTED');
  });
});
