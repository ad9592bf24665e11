import { expect } from 'vitest';
import { diskBatches } from '../../lib/format/layer.ts';
import { type DiskOptions, openDisk } from '../../lib/jobs/open-disk.ts';
import { survey } from '../../lib/jobs/survey.ts';
import { openBytes, recorded } from '../support/images.ts';

/** What it takes to read an image, counted. */
export interface Work {
  readonly requests: number;
  readonly bytes: number;
  /** Extents and compressed clusters that were looked at. */
  readonly entries: number;
}

const PLACE = { kind: 'file', path: 'disk' } as const;

/** Opens an image, checks its whole map, and counts what that takes. */
export async function workOn(image: Uint8Array, options: DiskOptions = {}): Promise<Work> {
  const source = recorded(openBytes(image));
  const disk = await openDisk(source, PLACE, options);
  await survey(disk, undefined);
  const { length: requests } = source.requests;
  const bytes = source.requests.reduce((sum, { start, end }) => sum + end - start, 0);
  let entries = 0;
  for await (const { extents } of diskBatches(disk, { start: 0, end: disk.size })) {
    for (const extent of extents) entries += extent.kind === 'compressed' ? extent.clusters.length : 1;
  }
  await disk.close();
  return { requests, bytes, entries };
}

/** The `k` of `work ≈ c · size^k`: the slope of the line that fits their logarithms best. */
export function exponentOf(points: readonly (readonly [size: number, work: number])[]): number {
  const logs = points.map(([size, work]) => [Math.log(size), Math.log(Math.max(1, work))] as const);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(logs.map(([size]) => size)), mean(logs.map(([, work]) => work))];
  const above = logs.reduce((sum, [size, work]) => sum + (size - x) * (work - y), 0);
  return above / logs.reduce((sum, [size]) => sum + (size - x) ** 2, 0);
}

/** Twice as much may take twice the work, and not four times: the slack is for what is constant. */
const LINEAR = 1.1;

/** Does something with more and more of what an attacker provides, and sees that the work grows no faster. */
export async function expectLinear(counts: readonly number[], measure: (count: number) => Promise<Partial<Work>>) {
  const works: [number, Partial<Work>][] = [];
  for (const count of counts) works.push([count, await measure(count)]);
  for (const kind of ['requests', 'bytes', 'entries'] as const) {
    const points = works.flatMap(([count, { [kind]: work }]) => (work === undefined ? [] : [[count, work] as const]));
    if (points.length > 0) expect(exponentOf(points), `${kind}: ${JSON.stringify(points)}`).toBeLessThan(LINEAR);
  }
  return works.map(([, work]) => work);
}
