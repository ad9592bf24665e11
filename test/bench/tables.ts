import { formatBytes, MiB } from '../../lib/units.ts';
import type { FileRow } from './between-files.ts';
import type { DecompressionRow } from './decompression.ts';
import type { StoreRow } from './in-stores.ts';
import { median, type Taken } from './measured.ts';

/** Ours in units of theirs: the median of the pairs' ratios. */
function ratio(ours: readonly Taken[], theirs: readonly Taken[], of: keyof Taken): string {
  const middleOne = median(ours.map((taken, i) => taken[of] / (theirs[i] as Taken)[of]));
  return Number.isFinite(middleOne) ? middleOne.toFixed(2) : '–'; // of less than can be measured
}

/** The same of the fastest run of each: what a machine that gave memory back to its host adds to either is not in it. */
function fastest(ours: readonly Taken[], theirs: readonly Taken[]): string {
  const best = (taken: readonly Taken[]) => Math.min(...taken.map(({ wall }) => wall));
  return (best(ours) / best(theirs)).toFixed(2);
}

const middle = (taken: readonly Taken[], of: keyof Taken) => median(taken.map((each) => each[of]));
const seconds = (taken: readonly Taken[], of: 'wall' | 'cpu') => middle(taken, of).toFixed(1);
const memory = (taken: readonly Taken[]) => String(Math.round(middle(taken, 'memory') / MiB));

export function storeTable(rows: readonly StoreRow[], runs: number): string {
  const head = [
    'image',
    'wall ratio',
    'CPU ratio',
    'ours',
    'today’s way',
    'CPU: ours',
    'today’s',
    'peak MiB: ours',
    'today’s',
    'requests: ours',
    'today’s',
    'bytes through the client: ours',
    'today’s',
    'over HTTP',
  ];
  const lines = rows.map(({ image, ours, theirs, tool, oursPassed, theirsPassed, overHttp }) => [
    image,
    `**${ratio(ours, theirs, 'wall')}**`,
    `**${ratio(ours, theirs, 'cpu')}**`,
    `${seconds(ours, 'wall')} s`,
    `${seconds(theirs, 'wall')} s (${tool})`,
    `${seconds(ours, 'cpu')} s`,
    `${seconds(theirs, 'cpu')} s`,
    memory(ours),
    memory(theirs),
    String(oursPassed.requests),
    String(theirsPassed.requests),
    formatBytes(oursPassed.bytes),
    formatBytes(theirsPassed.bytes),
    overHttp.length > 0 ? `${ratio(ours, overHttp, 'wall')} of ${seconds(overHttp, 'wall')} s` : '–',
  ]);
  return `${table(head, lines)}\n\n${told(runs)}`;
}

export function fileTable(rows: readonly FileRow[], runs: number): string {
  const head = [
    'image',
    'wall ratio',
    'of the fastest',
    'CPU ratio',
    'ours',
    '`qemu-img`',
    'CPU: ours',
    '`qemu-img`',
    'peak MiB: ours',
    '`qemu-img`',
    'on disk: ours',
    '`qemu-img`',
  ];
  const lines = rows.map(({ image, ours, theirs, oursStored, theirsStored }) => [
    image,
    `**${ratio(ours, theirs, 'wall')}**`,
    fastest(ours, theirs),
    ratio(ours, theirs, 'cpu'),
    `${seconds(ours, 'wall')} s`,
    `${seconds(theirs, 'wall')} s`,
    `${seconds(ours, 'cpu')} s`,
    `${seconds(theirs, 'cpu')} s`,
    memory(ours),
    memory(theirs),
    formatBytes(oursStored),
    formatBytes(theirsStored),
  ]);
  return `${table(head, lines)}\n\n${told(runs)}`;
}

export function decompressionTable(rows: readonly DecompressionRow[]): string {
  const head = ['clusters of', 'bare loop', 'ours, one core', 'ours, two cores', 'one core ÷ bare', 'two cores ÷ bare'];
  const lines = rows.map(({ compression, bare, one, two, oneRatio, twoRatio }) => [
    compression,
    ...[bare, one, two].map((rate) => `${Math.round(rate / 1e6)} MB/s`),
    `**${oneRatio.toFixed(2)}**`,
    `**${twoRatio.toFixed(2)}**`,
  ]);
  return table(head, lines);
}

const told = (runs: number) => `Ratios are ours ÷ theirs: medians of ${runs} pairs of runs that followed one another.`;

function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [row(head), row(head.map((_, i) => (i === 0 ? '---' : '--:'))), ...lines.map(row)].join('\n');
}
