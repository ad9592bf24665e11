import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { QemuMapEntry } from '../support/qemu.ts';
import { HOSTILE, putImages } from './images.ts';
import { manyStretches } from './many-stretches.ts';
import { screenshot } from './screenshot.ts';
import { qemuIn, useConsole } from './use-console.ts';

const console = useConsole();
const CLUSTER = 0x10000;
let entries: QemuMapEntry[];
let mapOf: (key: string, more?: Record<string, string>) => string;

beforeAll(async () => {
  const path = await putImages(console);
  entries = JSON.parse(qemuIn(console.folder)('qemu-img', 'map', '--output=json', path));
  const bucket = console.pipeline.stack.buckets.images;
  mapOf = (key, more = {}) => `map?${new URLSearchParams({ bucket, key, ...more })}`;
});

const readout = (page: Page) => page.locator('#readout').innerText();

async function opened(hash: string, page?: Page): Promise<Page> {
  const shown = await console.open(hash, page);
  await shown.getByText('stretches.').waitFor();
  await shown.locator('progress').waitFor({ state: 'detached' });
  return shown;
}

async function goTo(page: Page, offset: number): Promise<void> {
  await page.getByLabel('Offset to go to').fill(`0x${offset.toString(16)}`);
  await page.getByRole('button', { name: 'Go' }).click();
}

/** What `qemu-img map` says of a cluster, in the words of the readout. */
function expected(at: number): RegExp {
  const entry = entries.find(({ start, length }) => start <= at && at < start + length) as QemuMapEntry;
  const { start, offset, zero, present } = entry;
  const span = `^Disk 0x${at.toString(16)} – 0x${(at + CLUSTER).toString(16)} \\(64 KiB\\): `;
  if (!present) return new RegExp(`${span}hole$`);
  if (zero) return new RegExp(`${span}zero(, in the file at 0x${((offset ?? 0) + at - start).toString(16)})?$`);
  if (offset === undefined) return new RegExp(`${span}compressed$`);
  return new RegExp(`${span}data, in the file at 0x${(offset + at - start).toString(16)}$`);
}

describe('the map of an image', () => {
  it('says of a single cluster what qemu-img map says, wherever one zooms', async () => {
    const page = await opened(mapOf('vms/debian.qcow2'));
    for (const { start, length } of entries) {
      for (const at of new Set([start, start + Math.floor(length / 2 / CLUSTER) * CLUSTER, start + length - CLUSTER])) {
        await goTo(page, at);
        await page.getByRole('button', { name: 'Show one cluster' }).click();
        await page.getByText('64 KiB in view, each cell 64 KiB.').waitFor();
        expect(await readout(page)).toMatch(expected(at));
        await page.getByRole('button', { name: 'Show all' }).click();
        await page.getByText('64 MiB in view').waitFor();
      }
    }
    expect(entries.length).toBeGreaterThan(10);
  });

  it('lists what is in view as qemu-img map does', async () => {
    const page = await opened(mapOf('vms/debian.qcow2'));
    await screenshot(page, 'map');
    await page.getByText('In view, as a table').click();
    const rows = await page.locator('.in-view tbody tr').allInnerTexts();
    const offsets = rows.map((row) => Number(row.split('\t')[0]));
    expect(offsets).toEqual(entries.map(({ start }) => start));
  });

  it('draws what is there in the colour of its kind', async () => {
    const page = await opened(mapOf('vms/debian.qcow2'));
    const cluster = async (at: number) => {
      await goTo(page, at);
      await page.getByRole('button', { name: 'Show one cluster' }).click();
      await page.getByText('64 KiB in view').waitFor();
      return page.evaluate(`new Promise(requestAnimationFrame).then(() => {
        const { data } = document.querySelector('canvas').getContext('2d').getImageData(90, 90, 1, 1);
        return [...data].slice(0, 3);
      })`);
    };
    expect(await cluster(0)).toEqual([0x25, 0x63, 0xc9]);
    expect(await cluster(30 << 20)).toEqual([0xe0, 0x86, 0x1a]);
    expect(await cluster(20 << 20)).toEqual([0x9a, 0xa5, 0xb1]);
    expect(await cluster(60 << 20)).toEqual([0xdf, 0xe3, 0xe8]);
  });

  it('zooms by wheel about what is under the pointer, and by keys', async () => {
    const page = await opened(mapOf('vms/debian.qcow2'));
    const canvas = page.locator('canvas');
    await canvas.click({ position: { x: 60, y: 60 } });
    await expect.poll(() => readout(page)).not.toContain('Disk 0x0 ');
    const before = await readout(page);
    for (let i = 0; i < 4; i += 1) await page.mouse.wheel(0, -60);
    await page.getByText('64 MiB in view').waitFor({ state: 'detached' });
    expect((await readout(page)).split(' – ')[0]).toBe(before.split(' – ')[0]);
    await canvas.focus();
    await page.keyboard.press('0');
    await page.getByText('64 MiB in view').waitFor();
    await page.keyboard.press('Home');
    for (let i = 0; i < 3; i += 1) await page.keyboard.press('ArrowRight');
    await page.keyboard.press('1');
    await page.getByText('64 KiB in view, each cell 64 KiB.').waitFor();
    expect(await readout(page)).toMatch(expected(3 * CLUSTER));
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => readout(page)).toMatch(expected(4 * CLUSTER));
    await page.keyboard.press('End');
    await expect.poll(() => readout(page)).toMatch(expected((64 << 20) - CLUSTER));
  });

  it('shows the file in its own order, with what lies where', async () => {
    const page = await opened(mapOf('vms/debian.qcow2'));
    await page.getByLabel('file', { exact: true }).check();
    await page.getByRole('button', { name: 'Show one cluster' }).click();
    for (const { start, offset, present, data } of entries.filter(({ offset }) => offset !== undefined)) {
      await goTo(page, offset as number);
      const kind = present && data ? 'data' : 'zero';
      const at = (offset as number).toString(16);
      await expect.poll(() => readout(page)).toContain(`File 0x${at} – `);
      expect(await readout(page)).toMatch(new RegExp(`: ${kind}, of the disk at 0x${start.toString(16)}$`));
    }
    await goTo(page, 0);
    await expect.poll(() => readout(page)).toContain('nothing of this disk’s plain data');
    await page.getByRole('button', { name: 'Show all' }).click();
    await page.getByLabel('where it lies').check();
    await page.getByText('steps in colour are fragments').waitFor();
    await screenshot(page, 'fragments');
  });

  it('shows a backing file where it is allowed, and else says how', async () => {
    const page = await console.open(mapOf('vms/overlay.qcow2'));
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').innerText()).toContain('allow the prefix under which the file lies');
    await page.locator('summary', { hasText: 'Files that the image names' }).click();
    await page.getByLabel('May be opened under').fill(`s3://${console.pipeline.stack.buckets.images}/vms/`);
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.getByText('data of the backing file').waitFor();
    await goTo(page, 40 << 20);
    await page.getByRole('button', { name: 'Show one cluster' }).click();
    await expect.poll(() => readout(page)).toMatch(/: backing 1, 1 file down the chain, in the file at 0x/);
    await goTo(page, 2 << 20);
    await expect.poll(() => readout(page)).toMatch(/: data, in the file at 0x/);
  });

  it('shows a backing file of an absolute name and no stated format, where it is told where that lies', async () => {
    const { images } = console.pipeline.stack.buckets;
    const page = await console.open(mapOf('vms/absolute.qcow2'));
    await page.getByRole('alert').waitFor();
    await page.locator('summary', { hasText: 'Files that the image names' }).click();
    await page.getByLabel('Lie elsewhere').fill(`/srv/a,b=s3://${images}/vms/debian.qcow2\n/x=s3://${images}/vms/x`);
    await page.getByLabel('Formats of backing files').fill('raw\n/srv/a,b=qcow2');
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.getByText('data of the backing file').waitFor();
    await page.getByRole('link', { name: 'Overview' }).click();
    await page.getByText('only where you allow it').waitFor();
    expect(await page.locator('.chain li').count()).toBe(2);
  });

  it('shows the disk as it was in a snapshot, whatever that is called', async () => {
    const bucket = console.pipeline.stack.buckets.images;
    const page = await console.open(`image?${new URLSearchParams({ bucket, key: 'vms/debian.qcow2' })}`);
    await page.getByRole('link', { name: `Map of ${HOSTILE}` }).click();
    await page.getByText('stretches.').waitFor();
    await goTo(page, 50 << 20);
    await expect.poll(() => readout(page)).toContain(': hole');
  });

  it('zooms with two fingers, and points with one', async () => {
    const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
    const page = await opened(mapOf('vms/debian.qcow2'), await console.page(phone));
    const canvas = page.locator('canvas');
    await canvas.scrollIntoViewIfNeeded();
    const box = (await canvas.boundingBox()) as { x: number; y: number };
    const touch = await page.context().newCDPSession(page);
    const fingers = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...ys: number[]) =>
      touch.send('Input.dispatchTouchEvent', {
        type,
        touchPoints: ys.map((y, id) => ({ x: box.x + 100, y: box.y + y, id })),
      });
    await fingers('touchStart', 90, 110);
    for (let apart = 20; apart <= 160; apart += 20) await fingers('touchMove', 100 - apart / 2, 100 + apart / 2);
    await fingers('touchEnd');
    await page.getByText('64 MiB in view').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Show all' }).click();
    await page.getByText('64 MiB in view').waitFor();
    await page.touchscreen.tap(box.x + 30, box.y + 60);
    await expect.poll(() => readout(page)).not.toContain('Disk 0x0 –');
    await page.evaluate('scrollTo(0, 0)');
    await screenshot(page, 'phone');
  });

  it('keeps a map of more stretches than it remembers, and looks closer where one zooms', async () => {
    const stretches = 80_000;
    await console.pipeline.put(await manyStretches(console.folder, stretches), 'many.qcow2');
    const page = await opened(mapOf('many.qcow2'));
    expect(await page.locator('#read').innerText()).toContain('80,000 stretches');
    await goTo(page, 512 * 70_001);
    await page.getByRole('button', { name: 'Show one cluster' }).click();
    await expect.poll(() => readout(page)).toBe('Disk 0x222e200 – 0x222e400 (512 B): hole');
    await goTo(page, 512 * 70_000);
    await expect.poll(() => readout(page)).toBe('Disk 0x222e000 – 0x222e200 (512 B): zero');
  });
});
