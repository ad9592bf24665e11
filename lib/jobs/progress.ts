import { UnqcowError } from '../errors.ts';
import type { Part } from '../plan/parts.ts';
import { listKeys } from '../sink/s3-listing.ts';
import { listParts } from '../sink/s3-multipart.ts';
import { unlessMissing } from '../sink/s3-object.ts';
import type { Receipt, S3Target, Upload } from '../sink/s3-target.ts';
import { readPlan } from './complete-job.ts';
import type { PlanRecord, WorkPlace } from './conversion.ts';
import type { PartCounts } from './here-request.ts';
import { recordsOf } from './records.ts';
import type { Stores } from './stores.ts';

/** Of parts, or of bytes of raw disk. */
export interface Amount {
  readonly total: number;
  readonly done: number;
  readonly left: number;
}

export interface Progress {
  readonly parts: Amount;
  readonly bytes: Amount;
  /** A letter for each part, in the order of the disk: data, zeros, copied. A capital once it is made. */
  readonly cells?: string;
}

/**
 * How far a running job in parts has come: what the store has of its upload, against its plan. Nothing before the plan is
 * written, and for a disk that is made whole.
 *
 * Costs a GET of the plan, a listing of the job's records, and a ListParts per 1,000 parts.
 *
 * @throws UnqcowError `DESTINATION_*` if the store does not let us look.
 */
export async function progressOf(stores: Stores, work: WorkPlace, job: string): Promise<Progress | undefined> {
  const { plan, uploads } = recordsOf(work, job);
  const record = await readPlan(stores, plan).catch(unlessMissing);
  if (record === undefined) return undefined;
  const ids: string[] = [];
  for await (const page of listKeys(stores.writer, uploads.bucket, uploads.prefix)) {
    ids.push(...page.map(({ key }) => key.slice(uploads.prefix.length)));
  }
  // A job has one upload, unless it was planned twice.
  const parts = await Promise.all(ids.map((uploadId) => partsOf(stores, { ...record.destination, uploadId })));
  const [most = []] = parts.sort((a, b) => b.length - a.length);
  return against(record, most);
}

/** All there is of a job that has succeeded. */
export const finished = (parts: number, bytes: number): Progress => ({
  parts: amount(parts, parts),
  bytes: amount(bytes, bytes),
});

const amount = (total: number, done: number): Amount => ({ total, done, left: total - done });

const LETTERS = { data: 'd', zero: 'z', copy: 'c' } as const satisfies Record<Part['kind'], string>;

function against({ parts, diskSize }: PlanRecord, done: readonly Pick<Receipt, 'number' | 'length'>[]): Progress {
  const bytes = done.reduce((sum, { length }) => sum + length, 0);
  const made = new Set(done.map(({ number }) => number));
  const letters = parts.map(({ kind, number }) => (made.has(number) ? LETTERS[kind].toUpperCase() : LETTERS[kind]));
  return { parts: amount(parts.length, done.length), bytes: amount(diskSize, bytes), cells: letters.join('') };
}

/** How many parts of each kind are made, by the letters of all. */
export function madeOf(cells: string): PartCounts {
  const counts = Object.entries(LETTERS).map(([kind, letter]) => [kind, cells.split(letter.toUpperCase()).length - 1]);
  return Object.fromEntries(counts.filter(([, count]) => count !== 0));
}

/** An upload that is gone was completed or aborted a moment ago. */
async function partsOf(stores: Stores, upload: Upload & S3Target) {
  try {
    return await listParts(stores.writer, upload);
  } catch (error) {
    if (error instanceof UnqcowError && error.code === 'UPLOAD_GONE') return [];
    throw error;
  }
}
