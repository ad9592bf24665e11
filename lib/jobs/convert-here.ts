import { type Warnings, withWarnings } from '../format/warnings.ts';
import type { Runs } from '../plan/runs.ts';
import { S3_LIMITS } from '../plan/s3-limits.ts';
import type { OpenSource } from '../source/byte-source.ts';
import { fileId } from '../source/file.ts';
import type { Location } from '../source/location.ts';
import { type Meter, metered, newMeter } from '../source/metered.ts';
import { assertElsewhere, isVersionOf } from './elsewhere.ts';
import type { HereRequest, HereResult, Target } from './here-request.ts';
import { type Making, runTasks } from './making.ts';
import { type DiskOptions, type OpenDisk, openDisk } from './open-disk.ts';
import { survey } from './survey.ts';

/**
 * Converts on this machine, from a file or S3 to a file or S3, by the same steps as in the cloud: survey, plan, make
 * parts, complete. However it ends, no half-written file, object or open upload stays.
 *
 * @throws UnqcowError as those steps do; the signal's reason if it is aborted.
 */
export async function convertHere(request: HereRequest): Promise<HereResult> {
  const { workers, signal } = request;
  const conversion = await startHere(request, newMeter());
  try {
    await runTasks(conversion.tasks, { concurrency: workers, signal });
    return await conversion.finish();
  } catch (error) {
    await conversion.discard();
    throw withWarnings(error, conversion.warnings);
  } finally {
    await conversion.close();
  }
}

/** A conversion whose image was found sound. Its tasks may be run among those of others. */
export interface Conversion extends Omit<Making, 'finish'> {
  /** Bytes of raw disk. */
  readonly size: number;
  readonly warnings: Warnings;
  finish(): Promise<HereResult>;
  close(): Promise<void>;
}

/** Opens and surveys the disk, plans its parts and opens the target. @param meter Counts what is read. */
export async function startHere(request: HereRequest, meter: Meter): Promise<Conversion> {
  const { source, target, signal, outputLimit = S3_LIMITS.maxObject } = request;
  const counted = (each: OpenSource) => metered(each, meter);
  const open = request.open && (async (location: Location) => counted(await (request.open as Opener)(location)));
  const opening = { ...request, outputLimit, ...(open ? { open } : {}) };
  const disk = await openDisk(counted(source), request.location, opening);
  try {
    assertElsewhere(disk, await isVersionOfTarget(target), 'target');
    const runs = await survey(disk, signal);
    const making = await start(target, request, disk, runs);
    return {
      ...making,
      size: disk.size,
      warnings: disk.warnings,
      finish: async () => ({
        source: source.id,
        target: nameOf(target),
        size: disk.size,
        ...(await making.finish()),
        read: { ...meter },
        warnings: disk.warnings.list(),
        ...(disk.losses ? { lost: disk.losses.report() } : {}),
      }),
      close: () => disk.close(),
    };
  } catch (error) {
    await disk.close();
    throw withWarnings(error, disk.warnings);
  }
}

/** Tells of a source's id whether it is of what is to be written, in any version of it. */
export async function isVersionOfTarget(target: Target): Promise<(id: string) => boolean> {
  if (target.kind === 's3') return (id) => isVersionOf(target.target, id);
  const own = await fileId(target.path);
  return (id) => own !== undefined && id.startsWith(own);
}

/** Only what is needed is loaded: the AWS SDK takes longer to start than a small image to convert. */
async function start(target: Target, request: HereRequest, disk: OpenDisk, runs: Runs): Promise<Making> {
  if (target.kind === 's3') return (await import('./make-object.ts')).makeObject(request, target, disk, runs);
  return (await import('./make-file.ts')).makeFile(request, target.path, disk, runs);
}

const nameOf = (target: Target) =>
  target.kind === 'file' ? target.path : `s3://${target.target.bucket}/${target.target.key}`;

type Opener = NonNullable<DiskOptions['open']>;
