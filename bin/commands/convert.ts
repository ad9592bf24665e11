import type { Command } from 'commander';
import { toJson } from '../../lib/format/json.ts';
import { type ConversionOptions, DEFAULT_OPTIONS, type WorkPlace } from '../../lib/jobs/conversion.ts';
import { convertAllHere } from '../../lib/jobs/convert-all-here.ts';
import { convertHere } from '../../lib/jobs/convert-here.ts';
import { estimateDisk } from '../../lib/jobs/estimate-disk.ts';
import type { Gate } from '../../lib/jobs/gate.ts';
import type { HereResult } from '../../lib/jobs/here-request.ts';
import { openDisk } from '../../lib/jobs/open-disk.ts';
import { assertTemplate } from '../../lib/jobs/snapshot-targets.ts';
import type { Stores } from '../../lib/jobs/stores.ts';
import { placeOf, targetOf } from '../../lib/jobs/target.ts';
import { namedOrAll } from '../../lib/named.ts';
import { S3_LIMITS } from '../../lib/plan/s3-limits.ts';
import type { OpenSource } from '../../lib/source/byte-source.ts';
import type { Location } from '../../lib/source/location.ts';
import { metered, newMeter } from '../../lib/source/metered.ts';
import type { S3Terms } from '../../lib/source/s3.ts';
import { assertTogether, type ConvertFlags } from '../convert-flags.ts';
import { describeEstimate } from '../estimate-text.ts';
import { gateOf, withPassphrases } from '../gate-flags.ts';
import { keepingOf } from '../keeping-flags.ts';
import { locationOf, targetLocation } from '../location.ts';
import { showProgress } from '../progress.ts';
import { EXIT, print, printLost, printWarnings } from '../report.ts';
import { describeResult } from '../result-text.ts';
import { openNamed, theStores } from '../source.ts';
import { stopping } from '../stopping.ts';
import { termsOf } from '../terms-flags.ts';
import { asUsage } from '../usage.ts';
import { withDisk } from '../with-disk.ts';

/** `unqcow convert IMAGE TARGET`: a raw disk out of an image. Ctrl-C leaves nothing behind. */
export async function convert(name: string, targetName: string, flags: ConvertFlags, command: Command): Promise<void> {
  const { kind } = targetLocation(targetName);
  const isGiven = (flag: string) => command.getOptionValueSource(flag) === 'cli';
  assertTogether(flags, isGiven, { fromS3: locationOf(name).kind === 's3', toS3: kind === 's3' });
  if (flags.allSnapshots) asUsage(() => assertTemplate(targetName));
  const said: Said = {
    gate: gateOf(flags),
    options: { ...keepingOf(flags, kind), ...partsOf(flags) },
    work: kind === 's3' && flags.work !== undefined ? asUsage(() => placeOf(flags.work as string)) : undefined,
  };
  const terms = termsOf(flags, [name, targetName]);
  if (flags.estimate) return estimate(name, terms, said, flags);
  const names = { source: name, target: targetName };
  if (flags.stateMachine !== undefined) return inCloud(flags.stateMachine, names, said, flags);
  const { snapshot, allSnapshots, salvage } = flags;
  const stores = kind === 's3' ? await theStores() : undefined;
  const targetAt = (each: string) => targetOf(locationOf(each), flags.work, () => stores as Stores, terms.owner);
  const target = asUsage(() => targetAt(targetName));
  using stop = stopping();
  const { source, location, pin, open } = await openNamed(name, terms);
  const progress = showProgress({ quiet: flags.quiet === true || flags.json === true });
  try {
    const { checksum, workers, outputLimit } = flags;
    const request = {
      source,
      location,
      gate: said.gate,
      open,
      copySource: pin,
      options: said.options,
      checksum,
      workers,
      outputLimit,
      salvage,
      signal: stop.signal,
      onProgress: progress.update,
    };
    const results = await withPassphrases(flags, async (passphrases) =>
      allSnapshots
        ? convertAllHere({ ...request, passphrases, template: targetName, targetOf: targetAt })
        : [await convertHere({ ...request, passphrases, target, snapshot })],
    );
    progress.end();
    if (flags.json) print(toJson(allSnapshots ? results : results[0], 4));
    else for (const result of results) printResult(result, progress.seconds());
    if (results.some(({ lost }) => lost && lost.bytes > 0)) process.exitCode = EXIT.lossy;
  } finally {
    progress.end();
    await source.close();
  }
}

/** What flags say, once it is read. */
interface Said {
  readonly gate: Gate;
  readonly options: Omit<ConversionOptions, 'maxConcurrency'>;
  readonly work: WorkPlace | undefined;
}

/** `--state-machine`: what is said here about the disk and the object, as the state machine's input has it. */
async function inCloud(
  arn: string,
  names: { readonly source: string; readonly target: string },
  { gate, options, work }: Said,
  flags: ConvertFlags,
): Promise<void> {
  const { snapshot, keySecret = [] } = flags;
  const isOpen = gate.allow.length > 0 || Object.keys(gate.places).length > 0;
  const request = {
    ...(snapshot === undefined ? {} : { snapshot }),
    ...(isOpen ? { gate } : {}),
    ...(keySecret.length > 0 ? { keys: Object.fromEntries(keySecret.map(namedOrAll)) } : {}),
    options,
  };
  // Loaded when it is asked for, as the SDK is.
  const { convertInCloud } = await import('./convert-in-cloud.ts');
  return convertInCloud(arn, names, request, { ...flags, work });
}

/** `--estimate`: the plan, and what it would cost by the cost model. Nothing is written, and no key is needed. */
async function estimate(name: string, terms: S3Terms, { gate, options }: Said, flags: ConvertFlags): Promise<void> {
  const { source, location, open } = await openNamed(name, terms);
  const read = newMeter();
  const counted = (each: OpenSource): OpenSource => metered(each, read);
  const { snapshot, outputLimit = S3_LIMITS.maxObject } = flags;
  try {
    const opening = {
      gate,
      open: async (place: Location) => counted(await open(place)),
      snapshot,
      outputLimit,
      placesOnly: true,
    };
    const { maxConcurrency } = DEFAULT_OPTIONS;
    const made = await withDisk(await openDisk(counted(source), location, opening), (disk) =>
      estimateDisk(disk, { ...options, maxConcurrency, read }),
    );
    print(flags.json ? toJson(made, 4) : describeEstimate(made));
  } finally {
    await source.close();
  }
}

const partsOf = ({ copyParts, zeroParts }: ConvertFlags) => ({
  copyParts: copyParts === 'on',
  zeroParts: zeroParts === 'copy',
});

function printResult(result: HereResult, seconds: number): void {
  printWarnings(result.warnings);
  if (result.lost) printLost(result.lost);
  print(describeResult(result, seconds));
}
