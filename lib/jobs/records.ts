import { putJson } from '../sink/s3-object.ts';
import type { S3Target, Upload } from '../sink/s3-target.ts';
import type { WorkPlace } from './conversion.ts';
import type { Stores } from './stores.ts';

/** The folder of jobs that the sweeper has yet to see to the end. */
export const openJobs = ({ prefix }: Pick<WorkPlace, 'prefix'>): string => `${prefix}open/`;

/**
 * Where a job keeps what. Its own folder holds what the conversion needs. What the sweeper needs lies apart, so that one
 * listing shows all jobs that are not seen to the end yet: where the raw disk goes, and for each upload that the
 * job has opened a record that has its id for a name, and says where it is: then no record needs another.
 */
export function recordsOf(work: WorkPlace, job: string) {
  const { bucket, prefix } = work;
  const folder = `${prefix}jobs/${job}/`;
  const open = `${openJobs(work)}${job}/`;
  const at = (key: string): S3Target => ({ bucket, key });
  return {
    plan: at(`${folder}plan.json`),
    items: at(`${folder}items.jsonl`),
    failure: at(`${folder}failure.json`),
    /** Keys of encrypted disks, sealed. Only there while the job runs. */
    keys: at(`${folder}keys.json`),
    results: { bucket, prefix: `${folder}results` },
    destination: at(`${open}destination.json`),
    uploads: { bucket, prefix: `${open}uploads/` },
  } as const;
}

/** The job whose record it is: one in its own folder. */
export const jobOf = ({ key }: Pick<S3Target, 'key'>): string => key.split('/').at(-2) ?? '';

/** Puts an upload on record, for the sweeper. Costs one request. */
export async function recordUpload({ writer }: Stores, { bucket, prefix }: WorkPlace, upload: Upload): Promise<void> {
  await putJson(writer, { bucket, key: `${prefix}${upload.uploadId}` }, upload);
}
