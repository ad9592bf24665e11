import { openImage } from '../../lib/format/image.ts';
import { describe, type ImageInfo } from '../../lib/format/info.ts';
import { toJson } from '../../lib/format/json.ts';
import { formatBytes } from '../../lib/units.ts';
import { print, printWarnings } from '../report.ts';
import { openNamed } from '../source.ts';

/** `unqcow info IMAGE`: what is in it. */
export async function info(name: string, { json }: { readonly json?: boolean }): Promise<void> {
  const { source } = await openNamed(name);
  try {
    const described = describe(await openImage(source), name);
    if (json) print(toJson(described, 4));
    else printInfo(described);
  } finally {
    await source.close();
  }
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
    ['snapshots', unqcow.header.nbSnapshots],
    ...Object.entries(described['format-specific'].data).map(([key, value]): [string, unknown] => [key, value]),
    ...Object.entries(unqcow.features).map(([kind, names]): [string, unknown] => [
      `${kind} features`,
      names.join(', '),
    ]),
  ];
  for (const [label, value] of lines) {
    if (value !== undefined && value !== '') print(`${label}: ${typeof value === 'object' ? toJson(value) : value}`);
  }
  printWarnings(unqcow.warnings);
}
