import { UnqcowError } from '../errors.ts';
import { isPortable } from '../format/layer.ts';
import { longestZero, type Part, planParts } from '../plan/parts.ts';
import { PLAN_LIMITS, type PlanLimits, S3_LIMITS } from '../plan/s3-limits.ts';
import { shareOut } from '../plan/shares.ts';
import { describeRaw } from '../sink/s3-description.ts';
import { abortUpload, createUpload } from '../sink/s3-multipart.ts';
import { headObject, putJson, putText } from '../sink/s3-object.ts';
import { assertReplaceable } from '../sink/s3-replacing.ts';
import type { S3Target } from '../sink/s3-target.ts';
import { ensureZeros } from '../sink/s3-zeros.ts';
import { type Meter, newMeter } from '../source/metered.ts';
import type { S3Location, S3Pin } from '../source/s3.ts';
import { KiB } from '../units.ts';
import {
  type ConversionOptions,
  type Planned,
  type PlanRecord,
  pinsOf,
  type Share,
  type ShareLayer,
  type StoredShare,
  type WorkPlace,
} from './conversion.ts';
import { assertElsewhere, isVersionOf } from './elsewhere.ts';
import { estimateShares } from './estimate-disk.ts';
import { isCopyable, openStored, type Selection, type StoredDisk, selectionOf } from './open-stored.ts';
import { recordsOf, recordUpload } from './records.ts';
import type { Stores } from './stores.ts';
import { survey } from './survey.ts';
import { SecretKeys, type SecretNames, storeKeys, type Vault } from './vault.ts';

export interface PlanJob extends Selection {
  /** Names the job's records; the same job planned twice writes the same records. */
  readonly job: string;
  readonly source: S3Location;
  readonly destination: S3Target;
  readonly options: ConversionOptions;
  /** Secrets with the passphrases of encrypted images, by the names that images have for files; `''` for all others. */
  readonly keys?: SecretNames | undefined;
}

export interface PlanDeps {
  readonly stores: Stores;
  readonly work: WorkPlace;
  /** Bytes of raw disk that are too many. */
  readonly outputLimit?: number | undefined;
  readonly limits?: PlanLimits | undefined;
  /** Without it, no keys are taken. */
  readonly vault?: Vault | undefined;
}

/**
 * Pins the image, walks its map, writes down who makes which part, and opens the upload. A disk of up to 256 MiB is only
 * pinned: one worker makes it whole.
 *
 * Costs 2 GETs and what the L2 tables need; a HEAD for the object of zeros; 4 PUTs and the upload, or 1 PUT for a small
 * disk. With keys, one read of each secret that is needed, and a PUT: keys are derived here and nowhere else.
 *
 * @throws UnqcowError `BAD_REQUEST` if the destination is one of the disk's files; as `openDisk`, `survey`, `planParts`,
 * `ensureZeros`, `unlock`, `storeKeys` and `createUpload` do.
 */
export async function planJob(deps: PlanDeps, request: PlanJob, signal?: AbortSignal): Promise<Planned> {
  const { stores, work, outputLimit = S3_LIMITS.maxObject, vault, limits = PLAN_LIMITS } = deps;
  const secrets = new SecretKeys(vault, request.keys);
  try {
    const meter = newMeter();
    const { keyOf, keys } = secrets;
    const opened = await openStored(stores, request, { meter, signal, outputLimit, keyOf });
    const { pin: source } = opened.source;
    assertElsewhere(opened.disk, (id) => isVersionOf(request.destination, id), 'request.destination');
    const records = recordsOf(work, request.job);
    const sealed = keys.size > 0 ? { keys: records.keys } : {};
    describeRaw(request.options, source); // throws for options that S3 would refuse: before all the work, not after it
    await assertReplaceable(stores.writer, request.destination, request.options.overwrite);
    const isSmall = opened.disk.size <= limits.wholeDisk;
    const planned = isSmall
      ? await asWhole(deps, request, source)
      : await asParts(deps, request, { ...opened, meter, sealed }, signal);
    if (keys.size > 0) await storeKeys(stores, vault, { at: records.keys, source, keys });
    return planned.mode === 'whole'
      ? { ...planned, ...sealed }
      : { ...planned, ...sealed, upload: await openUpload(deps, request, source) };
  } finally {
    await secrets.wipe();
  }
}

type Whole = Extract<Planned, { readonly mode: 'whole' }>;
type InParts = Omit<Extract<Planned, { readonly mode: 'parts' }>, 'upload'>;

async function asWhole({ stores, work }: PlanDeps, request: PlanJob, source: S3Pin): Promise<Whole> {
  const { job, destination, options } = request;
  await recordDestination(stores, recordsOf(work, job).destination, destination);
  return { mode: 'whole', job, source, destination, options, ...selectionOf(request) };
}

interface Opened extends StoredDisk {
  readonly meter: Meter;
  readonly sealed: Pick<Share, 'keys'>;
}

async function asParts(
  deps: PlanDeps,
  { job, destination, options }: PlanJob,
  { source, disk, pinOf, meter, sealed }: Opened,
  signal: AbortSignal | undefined,
): Promise<InParts> {
  const { stores, work, limits = PLAN_LIMITS } = deps;
  const { size: diskSize } = disk;
  const common = { source: source.pin, destination };
  const { plan, items, results, failure, ...records } = recordsOf(work, job);
  const runs = await survey(disk, signal, limits);
  const { zeroParts } = options;
  const parts = planParts(runs, { copyParts: options.copyParts && isCopyable(source.pin), zeroParts }, limits);
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
  const shares = [...shareOut(parts, maps, limits)];
  for (const tasks of shares) {
    const share: Share = { share: lines.length, ...common, layers, zeros, ...sealed, parts: tasks };
    lines.push(await asItem(stores, share, items));
  }
  const record: PlanRecord = {
    job,
    ...common,
    pins: pinsOf(layers),
    options,
    diskSize,
    parts,
    warnings: disk.warnings.list(),
    cost: { ...meter },
    estimate: estimateShares(disk, shares, { maxConcurrency: options.maxConcurrency, read: meter }),
  };
  await putJson(stores.writer, plan, record);
  await putText(stores.writer, items, `${lines.join('\n')}\n`, { contentType: 'application/jsonl' });
  await recordDestination(stores, records.destination, destination);
  const { maxConcurrency } = options;
  return {
    mode: 'parts',
    job,
    ...common,
    plan,
    items,
    results,
    failure,
    maxConcurrency,
    shares: lines.length,
  };
}

/**
 * Says where the raw disk goes, for the sweeper: uploads that nobody knows of are looked for from that time on. So a job
 * that is planned again keeps its first word.
 */
async function recordDestination({ writer }: Stores, at: S3Target, destination: S3Target): Promise<void> {
  await putJson(writer, at, destination, { ifAbsent: true }).catch(async (refused: unknown) => {
    const exists = refused instanceof UnqcowError && refused.code === 'DESTINATION_EXISTS';
    // Checked, not assumed: without it the sweeper would not know where to look.
    if (!exists || (await headObject(writer, at)) === undefined) throw refused;
  });
}

/**
 * Opens the job's upload, last of all, and puts it on record before a part of it can be made: so the sweeper finds it,
 * whatever becomes of the job. Planned twice, a job has two; the first gets no part, and goes when the job is swept.
 */
async function openUpload({ stores, work }: PlanDeps, { job, destination, options }: PlanJob, source: S3Pin) {
  const { writer } = stores;
  const upload = await createUpload(writer, destination, describeRaw(options, source));
  try {
    await recordUpload(stores, recordsOf(work, job).uploads, upload);
  } catch (error) {
    // The first error matters more: an upload without parts is found by the sweeper.
    await abortUpload(writer, upload).catch(() => undefined);
    throw error;
  }
  return { uploadId: upload.uploadId };
}

/** A share as a line of JSON; one that is too long for a state, as one that says where it lies. */
async function asItem({ writer }: Stores, share: Share, items: S3Target): Promise<string> {
  const json = JSON.stringify(share);
  if (Buffer.byteLength(json) <= PLAN_LIMITS.maxItemJson + ENVELOPE) return json;
  const at: S3Target = { bucket: items.bucket, key: `${items.key.replace(/[^/]*$/, '')}shares/${share.share}.json` };
  await putText(writer, at, json, { contentType: 'application/json' });
  return JSON.stringify({ share: share.share, at } satisfies StoredShare);
}

/** What an item has besides its parts: names, pins, geometry. */
const ENVELOPE = 16 * KiB;

async function zerosFor({ stores, work }: PlanDeps, parts: readonly Part[]) {
  const longest = longestZero(parts);
  return longest === 0 ? undefined : ensureZeros(stores.writer, work.bucket, work.prefix, longest);
}
