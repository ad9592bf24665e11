import { readFile, rm } from 'node:fs/promises';
import { expect } from 'vitest';
import type { LostReport } from '../../lib/jobs/losses.ts';
import type { OpenSource } from '../../lib/source/byte-source.ts';
import { convertTo, openBytes, type PlacedOptions } from '../support/images.ts';

export interface Salvaged {
  readonly raw: Buffer;
  readonly lost: LostReport;
}

export async function salvage(folder: string, image: Uint8Array | OpenSource, options: PlacedOptions = {}) {
  const source = 'read' in image ? image : openBytes(image);
  const { path, lost } = await convertTo(folder, source, undefined, { ...options, salvage: true });
  const raw = await readFile(path);
  await rm(path);
  if (!lost) throw new Error('there is no report');
  expectSound(raw, lost);
  return { raw, lost } satisfies Salvaged;
}

/** In order, apart, within the disk, zeros, and as many as it says. */
function expectSound(raw: Buffer, { bytes, extents, more }: LostReport): void {
  let end = 0;
  for (const { start, length } of extents) {
    expect(start).toBeGreaterThanOrEqual(end);
    expect(length).toBeGreaterThan(0);
    end = start + length;
    expect(raw.subarray(start, end).every((byte) => byte === 0)).toBe(true);
  }
  expect(end).toBeLessThanOrEqual(raw.length);
  if (more === 0) expect(extents.reduce((sum, { length }) => sum + length, 0)).toBe(bytes);
}

/** Whatever is not lost must be as it was. */
export function expectKept({ raw, lost }: Salvaged, undamaged: Buffer): void {
  expect(lost.more).toBe(0);
  const expected = Buffer.from(undamaged);
  for (const { start, length } of lost.extents) expected.fill(0, start, start + length);
  expect(raw.equals(expected)).toBe(true);
}

/** Whether each 512 bytes of the disk are lost, as the report says. */
export function lostSectors({ extents }: LostReport, diskSize: number): boolean[] {
  const lost: boolean[] = new Array(Math.ceil(diskSize / 512)).fill(false);
  for (const { start, length } of extents) {
    expect([start % 512, length % 512]).toEqual([0, 0]);
    lost.fill(true, start / 512, (start + length) / 512);
  }
  return lost;
}
