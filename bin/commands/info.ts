import type { ImageInfo, UnqcowInfo } from '../../lib/format/info.ts';
import { type AnyInfo, inspectAny } from '../../lib/format/inspect.ts';
import { toJson } from '../../lib/format/json.ts';
import { openAny } from '../../lib/format/open-any.ts';
import { openDisk } from '../../lib/jobs/open-disk.ts';
import { type Probe, probeDisk } from '../../lib/jobs/probe/probe-disk.ts';
import type { Volume } from '../../lib/jobs/probe/volume.ts';
import { formatBytes } from '../../lib/units.ts';
import { type GateFlags, gateOf, withPassphrases } from '../gate-flags.ts';
import { partitionType } from '../partition-types.ts';
import { print, printable, printWarnings } from '../report.ts';
import { type Opened, openNamed } from '../source.ts';
import { type TermsFlags, termsOf } from '../terms-flags.ts';
import { UsageError } from '../usage.ts';
import { withDisk } from '../with-disk.ts';

export interface InfoFlags extends GateFlags, TermsFlags {
  readonly json?: boolean;
  readonly probe?: boolean;
  readonly snapshot?: string;
}

/** @throws UsageError for flags about the disk, where only the image is looked at. */
function assertProbed({ probe, snapshot, passphraseFile, allow, map, backingFormat }: InfoFlags): void {
  const flags = { snapshot, 'passphrase-file': passphraseFile, allow, map, 'backing-format': backingFormat };
  const [given] = Object.entries(flags).filter(([, value]) => value !== undefined);
  if (given && !probe) throw new UsageError(`--${given[0]} goes with --probe only`);
}

/** `unqcow info IMAGE`: what is in it; with `--probe` also what is on the disk that it means. */
export async function info(name: string, flags: InfoFlags): Promise<void> {
  assertProbed(flags);
  const opened = await openNamed(name, termsOf(flags, [name]));
  const { source } = opened;
  try {
    const described = await inspectAny(await openAny(source), name);
    const probe = flags.probe ? await probed(opened, flags) : undefined;
    if (flags.json) {
      print(toJson(probe ? { ...described, unqcow: { ...described.unqcow, probe } } : described, 4));
    } else {
      printInfo(described);
      if (probe) printProbe(probe);
    }
  } finally {
    await source.close();
  }
}

async function probed({ source, location, open }: Opened, flags: InfoFlags): Promise<Probe> {
  const { snapshot } = flags;
  const opening = { gate: gateOf(flags), open, snapshot };
  const disk = await withPassphrases(flags, (passphrases) => openDisk(source, location, { ...opening, passphrases }));
  return withDisk(disk, probeDisk);
}

function printProbe({ partitionTable, partitions = [], volume }: Probe): void {
  const named = ({ type, label, uuid }: Volume) =>
    [type, label && JSON.stringify(label), uuid].filter(Boolean).join(' ');
  if (volume) print(printable(`on the disk: ${named(volume)}`));
  else if (!partitionTable) print('on the disk: nothing that is known');
  else print(`partition table: ${partitionTable.kind}, sectors of ${partitionTable.sectorSize} bytes`);
  for (const { number, start, length, type, name, volume: on } of partitions) {
    const words = [partitionType(type), ...(name ? [JSON.stringify(name)] : []), ...(on ? [named(on)] : [])];
    print(printable(`partition ${number}: ${formatBytes(length)} at ${start}, ${words.join(', ')}`));
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
