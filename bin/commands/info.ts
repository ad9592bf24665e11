import type { ImageInfo, UnqcowInfo } from '../../lib/format/info.ts';
import { type AnyInfo, inspectAny } from '../../lib/format/inspect.ts';
import { toJson } from '../../lib/format/json.ts';
import { openAny } from '../../lib/format/open-any.ts';
import { formatBytes } from '../../lib/units.ts';
import { print, printable, printWarnings } from '../report.ts';
import { openNamed } from '../source.ts';

/** `unqcow info IMAGE`: what is in it. */
export async function info(name: string, { json }: { readonly json?: boolean }): Promise<void> {
  const { source } = await openNamed(name);
  try {
    const described = await inspectAny(await openAny(source), name);
    if (json) print(toJson(described, 4));
    else printInfo(described);
  } finally {
    await source.close();
  }
}

function printInfo(described: AnyInfo): void {
  const { unqcow } = described;
  const size = (bytes: bigint) => `${formatBytes(Number(bytes))} (${bytes} bytes)`;
  const lines: [string, unknown][] = [
    ['image', described.filename],
    ['file format', `${described.format}, version ${unqcow.version}`],
    ['virtual size', size(described['virtual-size'])],
    ['file size', size(BigInt(described['actual-size']))],
    ['cluster size', described['cluster-size']],
    ['encrypted', described.encrypted ? 'yes' : undefined],
    ['backing file', described['backing-filename']],
    ...('features' in unqcow ? version2Lines(described as ImageInfo) : []),
  ];
  for (const [label, value] of lines) {
    if (value === undefined || value === '') continue;
    print(`${label}: ${typeof value === 'object' ? toJson(value) : printable(String(value))}`);
  }
  if ('snapshots' in unqcow) printLists(unqcow as UnqcowInfo);
  printWarnings(unqcow.warnings);
}

function version2Lines(described: ImageInfo): [string, unknown][] {
  const { unqcow } = described;
  return [
    ['backing file format', described['backing-filename-format']],
    ['snapshots', unqcow.snapshots.count],
    ...Object.entries(described['format-specific'].data),
    ...Object.entries(unqcow.features).map(([kind, names]): [string, unknown] => [
      `${kind} features`,
      names.join(', '),
    ]),
  ];
}

function printLists({ snapshots, bitmaps }: UnqcowInfo): void {
  for (const { id, name, ...record } of snapshots.list) {
    const size = record['disk-size'] === undefined ? '' : `, ${formatBytes(Number(record['disk-size']))}`;
    print(`snapshot ${printable(id)}: ${printable(name)}, ${new Date(record['date-sec'] * 1000).toISOString()}${size}`);
  }
  for (const { name, granularity, flags } of bitmaps.list) {
    const words = [...flags, ...(bitmaps.stale ? ['stale'] : [])].map((word) => `, ${word}`).join('');
    print(`bitmap ${printable(name)}: granularity ${granularity}${words}`);
  }
}
