import { openImage } from '../../lib/format/image.ts';
import { type ImageInfo, inspect } from '../../lib/format/info.ts';
import { toJson } from '../../lib/format/json.ts';
import { formatBytes } from '../../lib/units.ts';
import { print, printWarnings } from '../report.ts';
import { openNamed } from '../source.ts';

/** `unqcow info IMAGE`: what is in it. */
export async function info(name: string, { json }: { readonly json?: boolean }): Promise<void> {
  const { source } = await openNamed(name);
  try {
    const described = await inspect(await openImage(source), name);
    if (json) print(toJson(described, 4));
    else printInfo(described);
  } finally {
    await source.close();
  }
}

/** Names come from the image: what a terminal might obey is shown, not sent. */
function printable(text: string): string {
  return toJson(text).slice(1, -1).replaceAll('\\"', '"').replaceAll('\\\\', '\\');
}

function printInfo(described: ImageInfo): void {
  const { unqcow } = described;
  const size = (bytes: bigint) => `${formatBytes(Number(bytes))} (${bytes} bytes)`;
  const lines: [string, unknown][] = [
    ['image', described.filename],
    ['file format', `${described.format}, version ${unqcow.version}`],
    ['virtual size', size(described['virtual-size'])],
    ['file size', size(BigInt(described['actual-size']))],
    ['cluster size', described['cluster-size']],
    ...(described.encrypted ? [['encrypted', 'yes'] as [string, unknown]] : []),
    ['backing file', described['backing-filename']],
    ['backing file format', described['backing-filename-format']],
    ['snapshots', unqcow.snapshots.count],
    ...Object.entries(described['format-specific'].data).map(([key, value]): [string, unknown] => [key, value]),
    ...Object.entries(unqcow.features).map(([kind, names]): [string, unknown] => [
      `${kind} features`,
      names.join(', '),
    ]),
  ];
  for (const [label, value] of lines) {
    if (value !== undefined && value !== '')
      print(`${label}: ${typeof value === 'object' ? toJson(value) : printable(String(value))}`);
  }
  for (const { id, name, ...record } of unqcow.snapshots.list) {
    const size = record['disk-size'] === undefined ? '' : `, ${formatBytes(Number(record['disk-size']))}`;
    print(`snapshot ${printable(id)}: ${printable(name)}, ${new Date(record['date-sec'] * 1000).toISOString()}${size}`);
  }
  for (const { name, granularity, flags } of unqcow.bitmaps.list) {
    const stale = unqcow.bitmaps.stale ? ', stale' : '';
    print(`bitmap ${printable(name)}: granularity ${granularity}${flags.map((flag) => `, ${flag}`).join('')}${stale}`);
  }
  printWarnings(unqcow.warnings);
}
