import { once } from 'node:events';
import { diskBatches } from '../../lib/format/layer.ts';
import { type MapEntry, mapEntries } from '../../lib/format/map.ts';
import { type OpenDisk, openDisk } from '../../lib/jobs/open-disk.ts';
import { KiB } from '../../lib/units.ts';
import { type GateFlags, gateOf } from '../gate-flags.ts';
import { drawMap, type PictureSize } from '../picture.ts';
import { print, printWarnings } from '../report.ts';
import { openNamed } from '../source.ts';
import { type TermsFlags, termsOf } from '../terms-flags.ts';
import { withDisk } from '../with-disk.ts';

export interface MapFlags extends GateFlags, TermsFlags {
  readonly json?: boolean;
  readonly picture?: boolean;
  readonly snapshot?: string;
}

/** Characters that are written at a time. */
const WRITE_LENGTH = 64 * KiB;

/** `unqcow map IMAGE`: what each stretch of the disk is made of. Streams, however many stretches there are. */
export async function map(name: string, flags: MapFlags): Promise<void> {
  const { source, location, open } = await openNamed(name, termsOf(flags, [name]));
  try {
    const options = { gate: gateOf(flags), open, snapshot: flags.snapshot, placesOnly: true };
    const disk = await openDisk(source, location, options);
    await withDisk(disk, () => show(disk, flags));
  } finally {
    await source.close();
  }
}

async function show(disk: OpenDisk, { picture, json }: MapFlags): Promise<void> {
  const batches = diskBatches(disk, { start: 0, end: disk.size }, { warn: disk.warnings.add });
  const entries = mapEntries(batches, disk.layers);
  if (picture) print(await drawMap(entries, disk.size, sizeOfTerminal()));
  else await printAll(json ? jsonOf(entries) : tableOf(entries));
  if (!json) printWarnings(disk.warnings.list());
}

/** Half of the screen, which leaves room for what was there before. */
function sizeOfTerminal(): PictureSize {
  const { columns, rows } = process.stdout;
  // Some terminals say that they have no size.
  return { columns: columns || 80, rows: Math.max(4, Math.floor((rows || 32) / 2)) };
}

async function* jsonOf(entries: AsyncIterable<MapEntry>): AsyncGenerator<string> {
  let separator = '[';
  for await (const entry of entries) {
    yield `${separator}${toQemuJson(entry)}`;
    separator = ',\n';
  }
  yield separator === '[' ? '[]\n' : ']\n';
}

/** As `qemu-img` spells it. */
function toQemuJson(entry: MapEntry): string {
  const fields = Object.entries(entry).map(
    ([key, value]) => `"${key}": ${typeof value === 'number' ? BigInt(value) : value}`,
  );
  return `{ ${fields.join(', ')}}`;
}

async function* tableOf(entries: AsyncIterable<MapEntry>): AsyncGenerator<string> {
  yield `${'start'.padEnd(20)}${'length'.padEnd(20)}${'kind'.padEnd(14)}host offset\n`;
  for await (const entry of entries) {
    const { start, length, offset } = entry;
    yield `${String(start).padEnd(20)}${String(length).padEnd(20)}${kindOf(entry).padEnd(14)}${offset ?? ''}\n`;
  }
}

function kindOf({ present, zero, compressed }: MapEntry): string {
  if (!present) return 'unallocated';
  if (zero) return 'zero';
  return compressed ? 'compressed' : 'data';
}

/** Prints texts as they come, many at a time: each write keeps memory until the event loop comes round. */
async function printAll(texts: AsyncIterable<string>): Promise<void> {
  let pending = '';
  try {
    for await (const text of texts) {
      pending += text;
      if (pending.length < WRITE_LENGTH) continue;
      await put(pending);
      pending = '';
    }
  } finally {
    // Also what comes before a fault.
    await put(pending);
  }
}

async function put(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}
