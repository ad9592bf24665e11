import { once } from 'node:events';
import { extentBatches } from '../../lib/format/extents.ts';
import { assertMappable, openImage } from '../../lib/format/image.ts';
import { readL1 } from '../../lib/format/l1.ts';
import { type MapEntry, mapEntries } from '../../lib/format/map.ts';
import { printWarnings } from '../report.ts';
import { openNamed } from '../source.ts';

/** `unqcow map IMAGE`: what each stretch of the disk is made of. Streams, however many stretches there are. */
export async function map(name: string, { json }: { readonly json?: boolean }): Promise<void> {
  const { source } = await openNamed(name);
  try {
    const image = await openImage(source);
    assertMappable(image);
    const guest = { geometry: image.geometry, firstTable: 0, l2Offsets: await readL1(image) };
    const whole = { start: 0, end: image.geometry.diskSize };
    const batches = extentBatches(source, guest, whole, { warn: image.warnings.add });
    const entries = mapEntries(batches, { encrypted: image.header.cryptMethod !== 0 });
    await (json ? printJson(entries) : printTable(entries));
    if (!json) printWarnings(image.warnings.list());
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
