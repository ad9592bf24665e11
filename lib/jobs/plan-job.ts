import { UnqcowError } from '../errors.ts';
import { isPortable } from '../format/layer.ts';
import { type Part, planParts } from '../plan/parts.ts';
import { PLAN_LIMITS } from '../plan/s3-limits.ts';
import { shareOut } from '../plan/shares.ts';
import type { S3Target } from '../sink/s3-multipart.ts';
import { putJson, putText } from '../sink/s3-object.ts';
import { ensureZeros } from '../sink/s3-zeros.ts';
import { newMeter } from '../source/metered.ts';
import type { S3Location } from '../source/s3.ts';
import { KiB } from '../units.ts';
import type {
  ConversionOptions,
  Planned,
  PlanRecord,
  Share,
  ShareLayer,
  StoredShare,
  WorkPlace,
} from './conversion.ts';
import { isCopyable, openStored, type Selection, selectionOf } from './open-stored.ts';
import type { Stores } from './stores.ts';
import { survey } from './survey.ts';

export interface PlanJob extends Selection {
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
 * @throws UnqcowError as `openDisk`, `survey`, `planParts` and `ensureZeros` do.
 */
export async function planJob(deps: PlanDeps, request: PlanJob, signal?: AbortSignal): Promise<Planned> {
  const { stores, work, outputLimit } = deps;
  const { job, destination, options } = request;
  const meter = newMeter();
  const { source, disk, pinOf } = await openStored(stores, request, { meter, signal, outputLimit });
  const { size: diskSize } = disk;
  const common = { source: source.pin, destination };
  if (diskSize <= PLAN_LIMITS.wholeDisk) return { mode: 'whole', job, ...common, options, ...selectionOf(request) };

  const cells = await survey(disk, signal);
  const parts = planParts(cells, {
    copyParts: options.copyParts && isCopyable(source.pin),
    zeroParts: options.zeroParts,
  });
  const place = recordsOf(work, job);
  const zeros = await zerosFor(deps, parts);
  const lines: string[] = [];
  const layers = disk.layers.map((layer): ShareLayer => {
    const data = layer.data.id === layer.source.id ? {} : { data: pinOf(layer.data) };
    return { source: pinOf(layer.source), ...data, geometry: layer.map.geometry };
  });
  const maps = disk.layers.map(({ map }) => map);
  if (!maps.every(isPortable)) {
    throw new UnqcowError('DESTINATION_LIMIT', 'a version 1 disk over 8 TiB is converted on one machine only');
  }
  for (const tasks of shareOut(parts, maps)) {
    const share: Share = { share: lines.length, ...common, layers, zeros, parts: tasks };
    lines.push(await asItem(stores, share, place));
  }
  const pins = layers.flatMap(({ source: own, data }) => (data ? [own, data] : [own]));
  const record: PlanRecord = {
    job,
    ...common,
    pins,
    options,
    diskSize,
    parts,
    warnings: disk.warnings.list(),
    cost: { ...meter },
  };
  await putJson(stores.writer, place.plan, record);
  await putText(stores.writer, place.items, `${lines.join('\n')}\n`, { contentType: 'application/jsonl' });
  return { mode: 'parts', job, ...common, ...place, maxConcurrency: options.maxConcurrency, shares: lines.length };
}

/** A share as a line of JSON; one that is too long for a state, as one that says where it lies. */
async function asItem({ writer }: Stores, share: Share, { items }: { readonly items: S3Target }): Promise<string> {
  const json = JSON.stringify(share);
  if (json.length <= PLAN_LIMITS.maxItemJson + ENVELOPE) return json;
  const at: S3Target = { bucket: items.bucket, key: `${items.key.replace(/[^/]*$/, '')}shares/${share.share}.json` };
  await putText(writer, at, json, { contentType: 'application/json' });
  return JSON.stringify({ share: share.share, at } satisfies StoredShare);
}

/** What an item has besides its parts: names, pins, geometry. */
const ENVELOPE = 16 * KiB;

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
