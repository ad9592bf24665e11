import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOSTILE, putImages, SNAPSHOTS } from './images.ts';
import { screenshot } from './screenshot.ts';
import { qemuIn, useConsole } from './use-console.ts';

const secrets = await mkdtemp(join(tmpdir(), 'unqcow-secrets-'));
const console = useConsole({ secrets: { dir: secrets } });
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let images: string;
let image: (key: string) => string;

beforeAll(async () => {
  await putImages(console);
  images = console.pipeline.stack.buckets.images;
  image = (key) => new URLSearchParams({ bucket: images, key }).toString();
});

afterAll(() => rm(secrets, { recursive: true }));

const textOf = (page: Page) => page.locator('main').innerText();

describe('the console', () => {
  it('leads from allowed places through folders to an image', async () => {
    const page = await console.open('');
    await page.getByRole('link', { name: `s3://${images}/` }).click();
    await page.getByRole('link', { name: 'vms/' }).click();
    await page.getByRole('link', { name: 'debian.qcow2' }).click();
    await page.getByRole('heading', { name: 'Identity' }).waitFor();
    expect(await textOf(page)).toContain('64 MiB (67,108,864 bytes)');
    expect(await page.title()).toBe('debian.qcow2 · unqcow');
    await page.getByRole('navigation', { name: 'Where this is' }).getByRole('link', { name: 'vms/' }).click();
    await page.getByRole('link', { name: 'overlay.qcow2' }).waitFor();
  });

  it('says what is in an image, in plain words', async () => {
    const page = await console.open(`image?${image('vms/debian.qcow2')}`);
    await page.getByRole('heading', { name: 'Bitmaps' }).waitFor();
    await screenshot(page, 'image');
    const text = await textOf(page);
    for (const said of ['lazy refcounts', 'mended after a crash', 'nightly', 'one bit for 64 KiB', 'It stands alone']) {
      expect(text).toContain(said);
    }
    const timeline = await page.locator('.timeline li strong').allInnerTexts();
    expect(timeline).toEqual(['before-upgrade', HOSTILE, 'Now']);
  });

  it('follows the chain to its end, and leads to the disk that the whole of it means', async () => {
    const page = await console.open(`image?${image('vms/deep.qcow2')}`);
    await page.getByText('only where you allow it').waitFor();
    expect(await page.locator('.chain li').allInnerTexts()).toEqual([
      expect.stringMatching(/^deep.qcow2\s+this image: qcow2, disk of 64 MiB in a file of/),
      expect.stringMatching(/^overlay.qcow2\s+qcow2, disk of 64 MiB/),
      expect.stringMatching(/^debian.qcow2\s+qcow2, disk of 64 MiB/),
    ]);
    await page.locator('.chain').scrollIntoViewIfNeeded();
    await screenshot(page, 'chain');
    await page.getByRole('link', { name: 'map', exact: true }).click();
    await page.getByText('data of the backing file’s backing file').waitFor();
    await page.goBack();
    await page.getByRole('link', { name: 'debian.qcow2' }).click();
    await page.getByRole('heading', { level: 1, name: 'debian.qcow2' }).waitFor();
  });

  it.each([
    ['vms/loop.qcow2', 'loop.qcow2', 'said to be qcow2; not reachable: the chain comes back to it'],
    ['vms/outside.qcow2', '../secret.raw', 'said to be raw; not reachable: only a name beside the image is followed'],
    ['vms/unsaid.qcow', 'debian.qcow2', 'not reachable: its format is not stated, and not guessed'],
    [`odd/${HOSTILE}.qcow2`, 'debian.qcow2', 'said to be qcow2; not reachable: there is no such file or object'],
  ])('says of the file that %s names why it cannot be reached', async (key, name, says) => {
    const page = await console.open(`image?${image(key)}`);
    await page.getByText('The disk needs all of them').waitFor();
    expect((await page.locator('.unreached').innerText()).split(/\n+/)).toEqual([name, says]);
  });

  it('tells all snapshots, page after page', async () => {
    const page = await console.open(`image?${image('vms/snapshots.qcow2')}`);
    await page.getByText('1,000 of 1,003 are shown.').waitFor();
    await page.getByRole('button', { name: 'Show more' }).click();
    await page.getByRole('link', { name: 'Map of daily 1002' }).waitFor();
    expect(await page.locator('.timeline strong').allInnerTexts()).toEqual([
      ...Array.from({ length: SNAPSHOTS }, (_, i) => `daily ${i}`),
      'Now',
    ]);
    expect(await page.getByRole('button', { name: 'Show more' }).count()).toBe(0);
  });

  it('makes a link by which anybody reads the raw disk, of a snapshot, too', async () => {
    const page = await console.open(`image?${image('vms/debian.qcow2')}`);
    await page.getByRole('link', { name: 'Read before-upgrade' }).click();
    await page.getByText('The disk as it was in the snapshot').waitFor();
    await page.getByRole('button', { name: 'Make a link' }).click();
    const input = page.getByLabel('Whoever has it may read this disk');
    await input.waitFor();
    const url = await input.inputValue();
    qemuIn(console.folder)('qemu-img', 'convert', '-l', 'before-upgrade', '-O', 'raw', 'debian.qcow2', 'was.raw');
    const raw = await readFile(join(console.folder, 'was.raw'));
    expect(raw.equals(Buffer.from(await (await fetch(url)).arrayBuffer()))).toBe(true);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy' }).click();
    await page.locator('main').getByText('It is copied.').waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(url);
  });

  it('shows hostile names as text', async () => {
    const page = await console.open(`objects?bucket=${images}&prefix=odd/`);
    await page.getByRole('link', { name: HOSTILE }).click();
    await page.getByRole('heading', { name: HOSTILE }).waitFor();
    expect(await page.locator('main img').count()).toBe(0);
    // Nothing that is said becomes markup: the policy would not let anybody parse it either.
    const parsed = await page.evaluate(`(() => {
      try {
        document.body.innerHTML = '<b>parsed</b>';
        return 'parsed';
      } catch (error) {
        return error.name;
      }
    })()`);
    expect(parsed).toBe('TypeError');
    expect(console.complaints.splice(0)).toEqual([expect.stringContaining("requires 'TrustedHTML'")]);
  });

  it('checks an image, and says what is wrong with it and what to do', async () => {
    const page = await console.open(`check?${image('vms/damaged.qcow2')}`);
    await page.getByRole('button', { name: 'Check it' }).click();
    await page.getByRole('heading', { name: 'Corrupt', exact: true }).waitFor();
    expect(await textOf(page)).toContain('a copied flag does not say whether the refcount is 1');
    await page.goto(`${console.pipeline.stack.apiEndpoint}/#/check?${image('vms/debian.qcow2')}`);
    await page.getByRole('heading', { name: 'debian.qcow2' }).waitFor();
    await page.getByLabel('Decompress every').check();
    await page.getByRole('button', { name: 'Check it' }).click();
    await page.getByRole('heading', { name: 'Sound', exact: true }).waitFor();
  });

  it.each([
    ['notes.txt', 'The first four bytes are not "QFI\\xfb"', 'A raw disk needs no conversion', 'NOT_QCOW'],
    ['none.qcow2', 'There is no such file or object', 'in S3, bucket, key and region', 'SOURCE_NOT_FOUND'],
  ])('explains why it cannot show %s', async (key, means, todo, code) => {
    const page = await console.open(`image?${image(key)}`);
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.getByRole('heading').innerText()).toBe(means);
    expect(await alert.innerText()).toContain(todo);
    expect(await alert.innerText()).toContain(code);
  });

  it('can be used by keys alone', async () => {
    const page = await console.open('');
    await page.keyboard.press('Tab');
    expect(await focused(page)).toBe('Skip to the content');
    await page.keyboard.press('Enter');
    for (const name of [`s3://${images}/`, 'vms/', 'damaged.qcow2']) {
      await tabTo(page, name);
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { level: 1, name: name === `s3://${images}/` ? images : name }).waitFor();
    }
    await page.getByRole('heading', { name: 'Identity' }).waitFor();
    await tabTo(page, 'Check');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Check it' }).waitFor();
    await tabTo(page, 'Check it');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Counted' }).waitFor();
  });

  it.each([
    ['light', 1100, 900],
    ['dark', 1100, 900],
    ['light', 360, 740],
  ] as const)(
    'has nothing that axe finds fault with, and nothing beside the page (%s, %i×%i)',
    async (colorScheme, width, height) => {
      const page = await console.page({ colorScheme, viewport: { width, height }, hasTouch: width < 500 });
      const places = [
        ['', 'Images'],
        [`objects?bucket=${images}`, 'notes.txt'],
        [`image?${image('vms/debian.qcow2')}`, 'Bitmaps'],
        [`image?${image('vms/deep.qcow2')}`, 'only where you allow it'],
        [`image?${image('vms/outside.qcow2')}`, 'not reachable'],
        [`image?${image('notes.txt')}`, 'NOT_QCOW'],
        [`map?${image('vms/debian.qcow2')}`, 'In view, as a table'],
        [`check?${image('vms/debian.qcow2')}`, 'Check it'],
        [`convert?${image('vms/debian.qcow2')}`, 'What would it take?'],
        [`view?${image('vms/debian.qcow2')}`, 'Make a link'],
        ['conversions', 'None yet'],
        ['access', 'Token'],
      ] as const;
      for (const [hash, shown] of places) {
        await console.open(hash, page);
        await page.getByText(shown).first().waitFor();
        expect({ hash, faults: await faultsOf(page) }).toEqual({ hash, faults: [] });
        const beside = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
        expect({ hash, beside: Math.max(0, beside) }).toEqual({ hash, beside: 0 });
      }
    },
    60_000,
  );
});

const focused = (page: Page) => page.evaluate<string>('document.activeElement.innerText.trim()');

/** Presses Tab until what is focused reads so. */
async function tabTo(page: Page, text: string): Promise<void> {
  for (let i = 0; i < 40; i += 1) {
    await page.keyboard.press('Tab');
    if ((await focused(page)) === text) return;
  }
  throw new Error(`Tab does not reach ${text}`);
}

async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations } = (await page.evaluate('axe.run()')) as AxeResults;
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target} ${failureSummary}`),
  );
}
