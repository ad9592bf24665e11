import { type Part, planParts } from '../plan/parts.ts';
import { PLAN_LIMITS, S3_LIMITS } from '../plan/s3-limits.ts';
import { shareOut } from '../plan/shares.ts';
import type { S3Target } from '../sink/s3-multipart.ts';
import { putJson, putText } from '../sink/s3-object.ts';
import { ensureZeros } from '../sink/s3-zeros.ts';
import { newMeter } from '../source/metered.ts';
import { openS3, type S3Location } from '../source/s3.ts';
import type { ConversionOptions, Planned, PlanRecord, Share, WorkPlace } from './conversion.ts';
import type { Stores } from './stores.ts';
import { openConvertible, survey } from './survey.ts';

export interface PlanJob {
  /** Names the job's records; the same job planned twice writes the same records. */
  readonly job: string;
  readonly source: S3Location;
  readonly destination: S3Target;
  readonly options: ConversionOptions;
}

export interface PlanDeps {
  readonly stores: Stores;
  readonly work: WorkPlace;
  /** Bytes of raw disk that are too many. */
  readonly outputLimit?: number | undefined;
}

/**
 * Pins the image, walks its map, and writes down who makes which part. A disk of up to 256 MiB is only pinned: one
 * worker makes it whole.
 *
 * Costs, for n shares: 2 GETs and what the L2 tables need; a HEAD for the object of zeros; 2 PUTs.
 *
 * @throws UnqcowError as `openS3`, `openConvertible`, `survey`, `planParts` and `ensureZeros` do.
 */
export async function planJob(deps: PlanDeps, request: PlanJob, signal?: AbortSignal): Promise<Planned> {
  const { stores, work, outputLimit } = deps;
  const { job, destination, options } = request;
  const meter = newMeter();
  const source = await openS3(stores.reader, request.source, { meter });
  const image = await openConvertible(source, outputLimit);
  const { diskSize } = image.geometry;
  if (diskSize <= PLAN_LIMITS.wholeDisk) return { mode: 'whole', job, source: source.pin, destination, options };

  const { map, cells } = await survey(image, signal);
  const copyParts = options.copyParts && source.size > S3_LIMITS.minCopySource;
  const parts = planParts(cells, { copyParts, zeroParts: options.zeroParts });
  const place = recordsOf(work, job);
  const common = { source: source.pin, destination };
  const zeros = await zerosFor(deps, parts);
  const lines: string[] = [];
  for (const tasks of shareOut(parts, map)) {
    const share: Share = { share: lines.length, ...common, geometry: image.geometry, zeros, parts: tasks };
    lines.push(JSON.stringify(share));
  }
  const record: PlanRecord = {
    job,
    ...common,
    options,
    diskSize,
    parts,
    warnings: image.warnings.list(),
    cost: { ...meter },
  };
  await putJson(stores.writer, place.plan, record);
  await putText(stores.writer, place.items, `${lines.join('\n')}\n`, { contentType: 'application/jsonl' });
  return { mode: 'parts', job, ...common, ...place, maxConcurrency: options.maxConcurrency, shares: lines.length };
}

function recordsOf({ bucket, prefix }: WorkPlace, job: string) {
  const folder = `${prefix}jobs/${job}/`;
  return {
    plan: { bucket, key: `${folder}plan.json` },
    items: { bucket, key: `${folder}items.jsonl` },
    failure: { bucket, key: `${folder}failure.json` },
    results: { bucket, prefix: `${folder}results` },
  };
}

async function zerosFor({ stores, work }: PlanDeps, parts: readonly Part[]) {
  const longest = parts.reduce((max, { kind, start, end }) => (kind === 'zero' ? Math.max(max, end - start) : max), 0);
  return longest === 0 ? undefined : ensureZeros(stores.writer, work.bucket, work.prefix, longest);
}
