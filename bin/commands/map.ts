import { once } from 'node:events';
import { diskBatches } from '../../lib/format/layer.ts';
import { type MapEntry, mapEntries } from '../../lib/format/map.ts';
import { openDisk } from '../../lib/jobs/open-disk.ts';
import { type GateFlags, gateOf } from '../gate-flags.ts';
import { printWarnings } from '../report.ts';
import { openAt, openNamed } from '../source.ts';

export interface MapFlags extends GateFlags {
  readonly json?: boolean;
  readonly snapshot?: string;
}

/** `unqcow map IMAGE`: what each stretch of the disk is made of. Streams, however many stretches there are. */
export async function map(name: string, flags: MapFlags): Promise<void> {
  const { source, location } = await openNamed(name);
  try {
    const options = { gate: gateOf(flags), open: openAt, snapshot: flags.snapshot, placesOnly: true };
    const disk = await openDisk(source, location, options);
    const batches = diskBatches(disk, { start: 0, end: disk.size }, { warn: disk.warnings.add });
    const entries = mapEntries(batches, (layer) => disk.layers[layer]?.plain === false);
    await (flags.json ? printJson(entries) : printTable(entries));
    if (!flags.json) printWarnings(disk.warnings.list());
    await disk.close();
  } finally {
    await source.close();
  }
}

async function printJson(entries: AsyncIterable<MapEntry>): Promise<void> {
  let separator = '[';
  for await (const entry of entries) {
    await put(`${separator}${toQemuJson(entry)}`);
    separator = ',\n';
  }
  await put(separator === '[' ? '[]\n' : ']\n');
}

/** As `qemu-img` spells it. */
function toQemuJson(entry: MapEntry): string {
  const fields = Object.entries(entry).map(
    ([key, value]) => `"${key}": ${typeof value === 'number' ? BigInt(value) : value}`,
  );
  return `{ ${fields.join(', ')}}`;
}

async function printTable(entries: AsyncIterable<MapEntry>): Promise<void> {
  await put(`${'start'.padEnd(20)}${'length'.padEnd(20)}${'kind'.padEnd(14)}host offset\n`);
  for await (const entry of entries) {
    const { start, length, offset } = entry;
    await put(`${String(start).padEnd(20)}${String(length).padEnd(20)}${kindOf(entry).padEnd(14)}${offset ?? ''}\n`);
  }
}

function kindOf({ present, zero, compressed }: MapEntry): string {
  if (!present) return 'unallocated';
  if (zero) return 'zero';
  return compressed ? 'compressed' : 'data';
}

async function put(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}
