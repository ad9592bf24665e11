import { isQcow1, openAny } from '../format/open-any.ts';
import { SnapshotTable } from '../format/snapshot-table.ts';
import { readSnapshots } from '../format/snapshots.ts';
import { withWarnings } from '../format/warnings.ts';
import type { OpenSource } from '../source/byte-source.ts';
import { cached } from '../source/cached.ts';
import type { Location } from '../source/location.ts';
import { type Meter, metered, newMeter } from '../source/metered.ts';
import { MiB } from '../units.ts';
import { type Conversion, startHere } from './convert-here.ts';
import type { HereRequest, HereResult, Target } from './here-request.ts';
import { type MakingTask, runTasks } from './making.ts';
import { disksOf, type NamedDisk, snapshotLabel, targetNames } from './snapshot-targets.ts';
import { AskedOnce, byPassphrase } from './unlock.ts';

export interface AllRequest extends Omit<HereRequest, 'target' | 'snapshot' | 'streamUpTo'> {
  /** Where the disks go: see `targetNames`. */
  readonly template: string;
  readonly targetOf: (name: string) => Target;
}

export interface AllResult extends HereResult {
  /** Which snapshot it is; nothing for the active disk. */
  readonly snapshot: { readonly index: number; readonly id: string; readonly name: string } | null;
}

/** Bytes of the image that are kept for the next disk, and of each other file of a chain. */
const CACHE = { image: 256 * MiB, other: 16 * MiB };
/** Targets that are open at a time. */
const TOGETHER = 32;

/**
 * Converts the active disk and every snapshot, each to a target of its own, on this machine.
 *
 * Disks are made side by side, in step: the same stretch of each before the next stretch of any. What they share lies in
 * the same stretch, and is read once, as long as the stretches at work fit 256 MiB. Keys are derived once.
 *
 * All targets are put in their places after the last byte is made: if anything fails before, none of them changes. Of more
 * than 32 disks that holds for 32 at a time.
 *
 * @returns the active disk's result first, then the snapshots' in the order of the table. `read` is the whole run's.
 * @throws UnqcowError as `targetNames`, `readSnapshots` and `convertHere` do.
 */
export async function convertAllHere(request: AllRequest): Promise<AllResult[]> {
  const meter = newMeter();
  const files = new SharedFiles(request, meter);
  const keys = new AskedOnce(request.keyOf ?? byPassphrase(request.passphrases ?? {}));
  try {
    const disks = disksOf(await tableOf(files.image, request.signal));
    const names = targetNames(request.template, disks);
    const jobs = disks.map((disk, i) => ({ disk, target: request.targetOf(names[i] as string) }));
    const common = {
      ...request,
      source: files.image,
      ...(files.open ? { open: files.open } : {}),
      keyOf: keys.keyOf,
      streamUpTo: 0,
    };
    const results: AllResult[] = [];
    const totals = new Totals(request.onProgress);
    for (let at = 0; at < jobs.length; at += TOGETHER) {
      const requests = jobs.slice(at, at + TOGETHER).map(({ disk, target }) => ({
        disk,
        request: { ...common, target, snapshot: disk.index, onProgress: totals.one() },
      }));
      results.push(...(await convertTogether(requests, request, totals)));
    }
    return results.map((result) => ({ ...result, read: { ...meter } }));
  } finally {
    await keys.wipe();
    await files.close();
  }
}

async function tableOf(source: OpenSource, signal: AbortSignal | undefined): Promise<SnapshotTable> {
  const image = await openAny(source);
  return isQcow1(image) ? SnapshotTable.empty() : readSnapshots(image, { signal });
}

interface Job {
  readonly disk: NamedDisk;
  readonly request: HereRequest;
}

async function convertTogether(
  jobs: readonly Job[],
  { workers, signal }: AllRequest,
  totals: Totals,
): Promise<AllResult[]> {
  const started: Conversion[] = [];
  try {
    for (const { request } of jobs) {
      const conversion = await startHere(request, newMeter());
      started.push(conversion);
      totals.add(conversion.size);
    }
    const tasks = inStep(started);
    await runTasks(tasks, { concurrency: workers, signal });
    const results: AllResult[] = [];
    for (const { disk } of jobs) {
      const result = await (started[0] as Conversion).finish();
      await started.shift()?.close();
      results.push({ snapshot: snapshotLabel(disk), ...result });
    }
    return results;
  } catch (error) {
    for (const each of started) await each.discard();
    throw withWarnings(error, started[0]?.warnings);
  } finally {
    for (const each of started) await each.close();
  }
}

/** By where on the disk they start. Sorting is stable: at one place the active disk comes first. */
function inStep(conversions: readonly Conversion[]): MakingTask[] {
  return conversions.flatMap(({ tasks }) => tasks).sort((one, other) => one.start - other.start);
}

/** The progress of many conversions as that of one. */
class Totals {
  #done = 0;
  #total = 0;
  readonly #report: HereRequest['onProgress'];

  constructor(report: HereRequest['onProgress']) {
    this.#report = report;
  }

  add(bytes: number): void {
    this.#total += bytes;
  }

  one(): NonNullable<HereRequest['onProgress']> {
    let before = 0;
    return (done) => {
      this.#done += done - before;
      before = done;
      this.#report?.(this.#done, this.#total, {});
    };
  }
}

/** The files that all disks lie in: each opened once, read through one cache, and closed when all disks are done. */
class SharedFiles {
  readonly image: OpenSource;
  readonly open: HereRequest['open'];
  readonly #opened: OpenSource[] = [];

  constructor({ source, open }: AllRequest, meter: Meter) {
    this.image = shared(source, meter, CACHE.image);
    const known = new Map<string, Promise<OpenSource>>();
    const openShared = async (location: Location) => {
      const opened = await (open as NonNullable<typeof open>)(location);
      this.#opened.push(opened);
      return shared(opened, meter, CACHE.other);
    };
    this.open =
      open &&
      ((location) => {
        const key = JSON.stringify(location);
        const file = known.get(key) ?? openShared(location);
        known.set(key, file);
        return file;
      });
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((each) => each.close()));
  }
}

/** Closing it closes nothing: others may still read. */
function shared(source: OpenSource, meter: Meter, maxBytes: number): OpenSource {
  const { verify } = source;
  return { ...cached(metered(source, meter), { maxBytes }), verify, close: async () => undefined };
}
