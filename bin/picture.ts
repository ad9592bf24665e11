import { styleText } from 'node:util';
import type { MapEntry } from '../lib/format/map.ts';
import { formatBytes } from '../lib/units.ts';

/** What a stretch of disk is drawn as. */
const KINDS = {
  data: { sign: '█', style: 'green', means: 'data' },
  compressed: { sign: '▓', style: 'yellow', means: 'compressed' },
  backing: { sign: '▒', style: 'cyan', means: 'data of a backing file' },
  zero: { sign: '░', style: 'gray', means: 'zeros' },
  unallocated: { sign: '·', style: 'gray', means: 'not allocated' },
} as const;
type Kind = keyof typeof KINDS;
/** Where several kinds share a cell, what holds bytes is shown before what holds none. */
const ORDER: readonly Kind[] = ['data', 'compressed', 'backing', 'zero', 'unallocated'];

export interface PictureSize {
  readonly columns: number;
  readonly rows: number;
}

/**
 * Draws a map as a grid of characters, the disk's start at the top left. A cell that holds any bytes shows that it does,
 * so that nothing small is lost. Memory: one number a kind and cell, however long the map is.
 */
export async function drawMap(
  entries: AsyncIterable<MapEntry>,
  diskSize: number,
  { columns, rows }: PictureSize,
): Promise<string> {
  const count = Math.max(1, Math.min(columns * rows, Math.ceil(diskSize / 512)));
  const cellSize = diskSize / count;
  const seen = new Uint8Array(count);
  const bytes: Record<Kind, number> = { data: 0, compressed: 0, backing: 0, zero: 0, unallocated: 0 };
  for await (const entry of entries) {
    const kind = kindOf(entry);
    bytes[kind] += entry.length;
    const bit = 1 << ORDER.indexOf(kind);
    const last = Math.min(count - 1, Math.ceil((entry.start + entry.length) / cellSize) - 1);
    for (let cell = Math.floor(entry.start / cellSize); cell <= last; cell += 1) seen[cell] = (seen[cell] ?? 0) | bit;
  }
  const kinds = Array.from(seen, (bits) => ORDER.find((_, i) => bits & (1 << i)) ?? 'unallocated');
  const lines: string[] = [];
  for (let at = 0; at < count; at += columns) lines.push(lineOf(kinds.slice(at, at + columns)));
  const legend = ORDER.flatMap((kind) => {
    return bytes[kind] > 0 ? [`${painted(kind)} ${KINDS[kind].means} ${formatBytes(bytes[kind])}`] : [];
  });
  return [...lines, '', `${legend.join('   ')}   each sign ${formatBytes(Math.round(cellSize))}`].join('\n');
}

/** Neighbours of a kind are painted in one stroke. */
function lineOf(kinds: readonly Kind[]): string {
  let line = '';
  for (let at = 0; at < kinds.length; ) {
    const kind = kinds[at] as Kind;
    const next = kinds.findIndex((each, i) => i > at && each !== kind);
    const end = next < 0 ? kinds.length : next;
    line += painted(kind, end - at);
    at = end;
  }
  return line;
}

/** In colour on a terminal, unless NO_COLOR is set. */
function painted(kind: Kind, times = 1): string {
  const { sign, style } = KINDS[kind];
  return styleText(style, sign.repeat(times), { stream: process.stdout });
}

function kindOf({ depth, present, zero, compressed }: MapEntry): Kind {
  if (!present) return 'unallocated';
  if (zero) return 'zero';
  if (depth > 0) return 'backing';
  return compressed ? 'compressed' : 'data';
}
