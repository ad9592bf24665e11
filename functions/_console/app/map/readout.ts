import { h, table } from '../dom.ts';
import { count, formatBytes, hex } from '../format.ts';
import type { Cells } from './cells.ts';
import type { DiskMap, Order } from './disk-map.ts';
import type { Extent } from './extents.ts';
import { KINDS } from './kinds.ts';
import type { Viewport } from './viewport.ts';

/** Stretches that are listed in words, at most. */
const LISTED = 100;

/** The cell under the cursor, in words. Offsets are those that `qemu-img map` would tell. */
export function describe(map: DiskMap, cells: Cells, view: Viewport, order: Order): string {
  const { cursor, cell } = view;
  const what = order === 'guest' ? 'Disk' : 'File';
  const end = Math.min(view.length, cursor + cell);
  const span = `${what} ${hex(cursor)} – ${hex(end)} (${formatBytes(end - cursor)})`;
  const extent = map.find(cursor, order);
  if (extent && holds(extent, cursor, end, order)) return `${span}: ${inWords(extent, cursor, order)}`;
  return `${span}: ${mixture(cells, (cursor - view.start) / cell, order)}`;
}

function holds({ start, end, host }: Extent, from: number, to: number, order: Order): boolean {
  const first = order === 'guest' ? start : (host ?? start);
  return first <= from && to <= first + end - start;
}

function inWords({ start, kind, depth, host }: Extent, cursor: number, order: Order): string {
  const name = KINDS[kind]?.name ?? '';
  const of = depth > 0 ? `, ${depth} ${depth === 1 ? 'file' : 'files'} down the chain` : '';
  if (order === 'host') return `${name}, of the disk at ${hex(start + cursor - (host ?? 0))}`;
  return `${name}${of}${host === undefined ? '' : `, in the file at ${hex(host + cursor - start)}`}`;
}

function mixture(cells: Cells, cell: number, order: Order): string {
  const parts = KINDS.flatMap(({ name }, kind) => {
    const bytes = cells.bytes(cell, kind);
    return bytes > 0 ? [`${name} ${formatBytes(Math.round(bytes))}`] : [];
  });
  return parts.join(', ') || (order === 'host' ? 'nothing of this disk’s plain data' : 'not read yet');
}

/** The same as the picture, for who would rather read, or cannot see it. */
export function stretches(map: DiskMap, view: Viewport, order: Order): HTMLElement | string {
  if (order === 'host') return '';
  const found: Extent[] = [];
  for (const extent of map.within(view.start, view.end)) {
    if (found.length === LISTED) break;
    found.push(extent);
  }
  if (found.length === 0) return '';
  const rows = found.map(({ start, end, kind, depth, host }) => [
    h('code', {}, hex(start)),
    formatBytes(end - start),
    KINDS[kind]?.name,
    String(depth),
    host === undefined ? '–' : h('code', {}, hex(host)),
  ]);
  const more = found.length === LISTED ? `the first ${count(LISTED)}` : count(found.length);
  const head = ['disk offset', 'length', 'kind', 'depth', 'file offset'];
  return h(
    'details',
    { class: 'in-view' },
    h('summary', {}, 'In view, as a table'),
    table(`Stretches in view: ${more}`, head, rows),
  );
}
