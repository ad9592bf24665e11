import pMap from 'p-map';
import { deleteObject, listKeys, listUploads, type OpenUpload } from '../sink/s3-listing.ts';
import { abortUpload, listParts } from '../sink/s3-multipart.ts';
import { getText, unlessMissing } from '../sink/s3-object.ts';
import type { S3Target, Upload } from '../sink/s3-target.ts';
import type { WorkPlace } from './conversion.ts';
import { openJobs, recordsOf } from './records.ts';
import type { Stores } from './stores.ts';

/** A Lambda may run on for 15 minutes after its execution has ended; after 20 it has certainly stopped. */
const SETTLED_AFTER = 20 * 60_000;
const AT_ONCE = 8;

export interface SweepDeps {
  readonly stores: Stores;
  readonly work: WorkPlace;
  /** When the job's execution ended, `'running'`, or nothing if there is none of that name. */
  readonly endOf: (job: string) => Promise<Date | 'running' | undefined>;
  /** Milliseconds after its end from which on nothing of a job can be at work. */
  readonly settledAfter?: number | undefined;
}

/** What became of one job. */
export interface Swept {
  readonly job: string;
  /** `settled`: seen to the end; `ended`: its uploads are gone, and are looked for once more; `running`: left alone. */
  readonly state: 'running' | 'ended' | 'settled' | 'failed';
  /** Uploads that were aborted, or were gone already. */
  readonly uploads: number;
  /** Why it was not swept. */
  readonly error?: unknown;
}

/** A job that is not seen to the end yet, as one listing shows it. */
interface OpenJob {
  readonly job: string;
  /** When it was planned, by the store's clock. */
  since: Date;
  readonly uploadIds: string[];
}

/**
 * Cleans up after one job that has ended: its uploads, until the store says that they are gone, and its keys. Takes the
 * uploads from the job's own records. Costs a listing, a GET, a DELETE, and two requests an upload.
 *
 * @throws UnqcowError `DESTINATION_*` if the store does not let us.
 */
export async function sweepJob(deps: SweepDeps, job: string): Promise<Swept> {
  const [found] = await listOpenJobs(deps, `${openJobs(deps.work)}${job}/`);
  return sweepOpenJob(deps, found ?? { job, since: new Date(), uploadIds: [] });
}

/**
 * Cleans up after all jobs that have ended, and forgets those that nothing can be at work for. Only here are uploads
 * looked for that no record names: a CreateMultipartUpload whose answer was lost leaves one, and it never gets a part.
 * One failing job keeps none of the others.
 */
export async function sweepAll(deps: SweepDeps): Promise<Swept[]> {
  const { stores, work, settledAfter = SETTLED_AFTER } = deps;
  const jobs = await listOpenJobs(deps, openJobs(work));
  const known = new Set(jobs.flatMap(({ uploadIds }) => uploadIds));
  const swept = await pMap(
    jobs,
    (open) =>
      sweepOpenJob(deps, open, known).catch(
        (error: unknown): Swept => ({ job: open.job, state: 'failed', uploads: 0, error }),
      ),
    { concurrency: AT_ONCE },
  );
  const before = Date.now() - settledAfter;
  for (const upload of await listUploads(stores.writer, work.bucket, `${work.prefix}zeros-`)) {
    if (upload.initiated.getTime() <= before) await abortUpload(stores.writer, upload);
  }
  return swept;
}

/** @param known With the ids of all uploads on record: then what no record names is looked for, and what is done is forgotten. */
async function sweepOpenJob(deps: SweepDeps, open: OpenJob, known?: ReadonlySet<string>): Promise<Swept> {
  const { stores, work, endOf, settledAfter = SETTLED_AFTER } = deps;
  const { job, since, uploadIds } = open;
  const { writer } = stores;
  const records = recordsOf(work, job);
  const end = await endOf(job);
  const endedAt = end === 'running' ? Number.POSITIVE_INFINITY : (end ?? since).getTime();
  const settled = Date.now() >= endedAt + settledAfter;
  // A name that Step Functions does not know may be one that it does not know yet.
  if (end === 'running' || (end === undefined && !settled)) return { job, state: 'running', uploads: 0 };
  await deleteObject(writer, records.keys);
  // A name that is used again, long after, must not find why the last one failed.
  if (settled) await deleteObject(writer, records.failure);
  const named = uploadIds.map((id) => ({ ...records.uploads, key: `${records.uploads.prefix}${id}` }));
  const recorded = await Promise.all(named.map((at) => readRecord<Upload>(stores, at)));
  const nameless = known && settled ? await namelessUploads(deps, open, known) : [];
  const uploads = [...recorded.filter((upload) => upload !== undefined), ...nameless];
  for (const upload of uploads) await abortUpload(writer, upload);
  if (!known || !settled) return { job, state: 'ended', uploads: uploads.length };
  // What says where the uploads are goes last: a sweeper that is stopped in between begins again.
  for (const at of [...named, records.destination]) await deleteObject(writer, at);
  return { job, state: 'settled', uploads: uploads.length };
}

/** A record of the sweeper's; nothing if another sweeper has come to the end of the job meanwhile. Costs one request. */
async function readRecord<T extends S3Target>({ writer }: Stores, at: S3Target): Promise<T | undefined> {
  const text = await getText(writer, at).catch(unlessMissing);
  return text === undefined ? undefined : (JSON.parse(text) as T);
}

/**
 * Uploads to a job's destination, opened since it was planned, that no job has on record and that still have no part:
 * nobody ever learnt of them. Whoever else opened one there has not touched it for as long.
 */
async function namelessUploads(deps: SweepDeps, { job, since }: OpenJob, known: ReadonlySet<string>) {
  const { stores, work, settledAfter = SETTLED_AFTER } = deps;
  const destination = await readRecord<S3Target>(stores, recordsOf(work, job).destination);
  if (!destination) return [];
  const { bucket, key, owner } = destination;
  const before = Date.now() - settledAfter;
  const within = ({ initiated }: OpenUpload) => initiated >= since && initiated.getTime() <= before;
  const unknown = (await listUploads(stores.writer, bucket, key, owner)).filter(
    (upload) => upload.key === key && !known.has(upload.uploadId) && within(upload),
  );
  const parts = await Promise.all(unknown.map((upload) => listParts(stores.writer, upload).catch(() => undefined)));
  return unknown.filter((_, i) => parts[i]?.length === 0);
}

async function listOpenJobs({ stores, work }: SweepDeps, prefix: string): Promise<OpenJob[]> {
  const jobs = new Map<string, OpenJob>();
  const start = openJobs(work).length;
  for await (const page of listKeys(stores.writer, work.bucket, prefix)) {
    for (const { key, modified } of page) {
      const [job = '', folder, uploadId] = key.slice(start).split('/');
      const open = jobs.get(job) ?? { job, since: modified, uploadIds: [] };
      jobs.set(job, open);
      if (uploadId === undefined) open.since = modified;
      else if (folder === 'uploads') open.uploadIds.push(uploadId);
    }
  }
  return [...jobs.values()];
}
