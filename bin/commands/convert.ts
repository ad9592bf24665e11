import { UnqcowError } from '../../lib/errors.ts';
import { toJson } from '../../lib/format/json.ts';
import { convertHere, type HereResult, type Target } from '../../lib/jobs/convert-here.ts';
import { type Location, parseLocation } from '../../lib/source/location.ts';
import { formatBytes } from '../../lib/units.ts';
import { type GateFlags, gateOf, passphrasesOf } from '../gate-flags.ts';
import { showProgress } from '../progress.ts';
import { print, printWarnings } from '../report.ts';
import { openAt, openNamed, theStores } from '../source.ts';

export interface ConvertFlags extends GateFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly snapshot?: string;
  readonly overwrite: boolean;
  readonly copyParts: boolean;
  readonly zeroParts: boolean;
  readonly work?: string;
  readonly workers: number;
  readonly outputLimit?: number;
}

/** `unqcow convert IMAGE TARGET`: a raw disk out of an image. Ctrl-C leaves nothing behind. */
export async function convert(name: string, targetName: string, flags: ConvertFlags): Promise<void> {
  const target = targetOf(parseLocation(targetName), flags);
  const stop = new AbortController();
  const onSignal = () => stop.abort(new UnqcowError('ABORTED', 'stopped; nothing was left behind'));
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const { source, location, pin } = await openNamed(name);
  const progress = showProgress({ quiet: flags.quiet === true || flags.json === true });
  try {
    const { overwrite, copyParts, zeroParts, workers, outputLimit } = flags;
    const result = await convertHere({
      source,
      location,
      gate: gateOf(flags),
      passphrases: await passphrasesOf(flags),
      open: openAt,
      snapshot: flags.snapshot,
      copySource: pin,
      target,
      options: { overwrite, copyParts, zeroParts },
      workers,
      outputLimit,
      signal: stop.signal,
      onProgress: progress.update,
    });
    progress.end();
    if (flags.json) print(toJson(result, 4));
    else printResult(result, progress.seconds());
  } finally {
    progress.end();
    await source.close();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

function targetOf(location: Location, { work }: ConvertFlags): Target {
  if (location.kind === 'file') return location;
  const { bucket, key, versionId } = location;
  if (versionId !== undefined) throw new UnqcowError('BAD_REQUEST', 'a version of an object cannot be written to');
  const [, workBucket, prefix = ''] = /^s3:\/\/([^/]+)\/?(.*)$/s.exec(work ?? '') ?? [];
  if (work !== undefined && !workBucket) throw new UnqcowError('BAD_REQUEST', `${work} is not s3://bucket/prefix/`);
  const folder = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
  return {
    kind: 's3',
    stores: theStores(),
    target: { bucket, key },
    work: workBucket ? { bucket: workBucket, prefix: folder } : undefined,
  };
}

function printResult({ target, size, crc32, parts, read, warnings }: HereResult, seconds: number): void {
  printWarnings(warnings);
  const kinds = Object.entries(parts ?? {}).flatMap(([kind, count]) => (count > 0 ? [`${count} ${kind}`] : []));
  const made = kinds.length > 0 ? `, parts: ${kinds.join(', ')}` : '';
  const cost = `read ${formatBytes(read.bytes)} in ${read.requests} requests`;
  print(`${target}: ${formatBytes(size)}${crc32 ? `, CRC-32 ${crc32}` : ''}${made}; ${cost}, ${seconds.toFixed(1)} s`);
}
