import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { SFNClient, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalFunction } from '../../infra/local/step-functions/server.ts';
import { recordsOf, recordUpload } from '../../lib/jobs/records.ts';
import { sweepAll, sweepJob } from '../../lib/jobs/sweep.ts';
import { listUploads } from '../../lib/sink/s3-listing.ts';
import { abortUpload, createUpload, putPart } from '../../lib/sink/s3-multipart.ts';
import { headObject, putJson } from '../../lib/sink/s3-object.ts';
import type { Upload } from '../../lib/sink/s3-target.ts';
import { targetKind } from '../s3/target.ts';
import { SMALL_PARTS, sixParts } from './small-world.ts';
import { usePipeline } from './use-pipeline.ts';

const folder = mkdtempSync(join(tmpdir(), 'unqcow-sweep-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Holds the workers of parts until it is opened. */
const gate = {
  entered: Promise.withResolvers<void>(),
  open: Promise.withResolvers<void>(),
  work: [] as Promise<unknown>[],
};
const held = (_name: string, create: () => LocalFunction): LocalFunction => {
  const work = create();
  if (_name !== 'convert-part') return work;
  return async (payload, context) => {
    gate.entered.resolve();
    await gate.open.promise;
    const made = work(payload, context);
    gate.work.push(made.catch((error: unknown) => error));
    return made;
  };
};

const pipeline = usePipeline({ limits: SMALL_PARTS, settledAfter: 0, lambda: held });
const SOON = { timeout: 30_000 };
const work = () => ({ bucket: pipeline.stack.buckets.work, prefix: '' });
const target = (key: string) => ({ bucket: pipeline.stack.buckets.raw, key });
const onRecord = async () => {
  const list = new ListObjectsV2Command({ Bucket: work().bucket, Prefix: 'open/' });
  return ((await pipeline.client.send(list)).Contents ?? []).map(({ Key }) => Key);
};

describe('an execution that is stopped', () => {
  let stopped: { readonly key: string; readonly name: string };

  beforeAll(async () => {
    const { path } = sixParts(folder, 'stopped.qcow2');
    await pipeline.put(path, 'stopped');
    const source = { bucket: pipeline.stack.buckets.images, key: 'stopped' };
    stopped = { key: 'stopped.raw', name: 'stopped' };
    await putJson(pipeline.stores.writer, recordsOf(work(), 'stopped').keys, { sealed: 'key' });
    pipeline.stack.stepFunctions.start(stopped.name, { source, destination: target(stopped.key) });
    await gate.entered.promise;
  });

  it('leaves an upload as long as it runs, which the sweeper does not touch', async () => {
    expect(await pipeline.stack.sweep()).toEqual([{ job: 'stopped', state: 'running', uploads: 0 }]);
    expect(await pipeline.openUploads()).toEqual([stopped.key]);
    expect(await onRecord()).toEqual([
      'open/stopped/destination.json',
      expect.stringMatching(/^open\/stopped\/uploads\/./),
    ]);
  });

  it('has its upload and its keys swept by the event of its end, though a worker goes on', async () => {
    const { endpoint, describe } = pipeline.stack.stepFunctions;
    const sfn = new SFNClient({ ...pipeline.stack.store, endpoint });
    await sfn.send(new StopExecutionCommand({ executionArn: describe(stopped.name).executionArn }));
    sfn.destroy();
    await expect.poll(() => pipeline.openUploads(), SOON).toEqual([]);
    await expect
      .poll(() => headObject(pipeline.stores.writer, recordsOf(work(), 'stopped').keys), SOON)
      .toBeUndefined();
    gate.open.resolve();
    await expect.poll(() => gate.work.length, SOON).toBeGreaterThan(0);
    for (const error of await Promise.all(gate.work)) expect(error).toMatchObject({ code: 'UPLOAD_GONE' });
    expect(await pipeline.openUploads()).toEqual([]);
  });

  it('is forgotten once nothing of it can be at work', async () => {
    expect(await onRecord()).not.toEqual([]);
    expect(await pipeline.stack.sweep()).toEqual([{ job: 'stopped', state: 'settled', uploads: 1 }]);
    expect(await onRecord()).toEqual([]);
    expect(await pipeline.stack.sweep()).toEqual([]);
  });
});

describe('the sweeper', () => {
  const LONG_AGO = new Date(0);
  const swept = (endOf: () => Promise<Date | 'running' | undefined>, settledAfter = 0) =>
    sweepAll({ stores: pipeline.stores, work: work(), endOf, settledAfter });
  const ended = async () => LONG_AGO;
  const open = (key: string) => createUpload(pipeline.stores.writer, target(key));
  const plan = (job: string, key: string) =>
    putJson(pipeline.stores.writer, recordsOf(work(), job).destination, target(key));
  const record = (upload: Upload, job: string) => recordUpload(pipeline.stores, recordsOf(work(), job).uploads, upload);

  it('aborts every upload that a job has on record, parts and all', async () => {
    await plan('two', 'two.raw');
    for (const upload of [await open('two.raw'), await open('two.raw')]) {
      await record(upload, 'two');
      await putPart(pipeline.stores.writer, upload, 1, new Uint8Array(10));
    }
    expect(await swept(ended)).toEqual([{ job: 'two', state: 'settled', uploads: 2 }]);
    expect(await pipeline.openUploads()).toEqual([]);
    expect(await onRecord()).toEqual([]);
  });

  it('comes again for a job whose functions may be at work still', async () => {
    await plan('late', 'late.raw');
    await record(await open('late.raw'), 'late');
    const justNow = async () => new Date();
    expect(await swept(justNow, 60_000)).toEqual([{ job: 'late', state: 'ended', uploads: 1 }]);
    expect(await pipeline.openUploads()).toEqual([]);
    expect(await onRecord()).toHaveLength(2);
    expect(await swept(ended)).toEqual([{ job: 'late', state: 'settled', uploads: 1 }]);
  });

  it('aborts an upload that no record names, if it was opened to the job’s destination after the plan and has no part', async () => {
    const before = await open('nameless.raw');
    await new Promise((resolve) => setTimeout(resolve, 1_100)); // S3 dates by the second
    await plan('nameless', 'nameless.raw');
    const lost = await open('nameless.raw');
    const used = await open('nameless.raw');
    await putPart(pipeline.stores.writer, used, 1, new Uint8Array(10));
    const other = await open('nameless.raw.other');
    await plan('neighbour', 'nameless.raw');
    const running = await open('nameless.raw');
    await record(running, 'neighbour');
    const byName = async (job: string) => (job === 'neighbour' ? 'running' : LONG_AGO);
    const deps = { stores: pipeline.stores, work: work(), endOf: byName, settledAfter: 0 };
    expect(await sweepAll(deps)).toEqual([
      { job: 'nameless', state: 'settled', uploads: 1 },
      { job: 'neighbour', state: 'running', uploads: 0 },
    ]);
    const left = (await listUploads(pipeline.stores.writer, pipeline.stack.buckets.raw, 'nameless')).map(
      ({ uploadId }) => uploadId,
    );
    expect(left.toSorted()).toEqual([before, used, other, running].map(({ uploadId }) => uploadId).toSorted());
    expect(left).not.toContain(lost.uploadId);
    for (const upload of [before, used, other, running]) await abortUpload(pipeline.stores.writer, upload);
    await swept(ended);
  });

  // Ceph does not ask whose a bucket has to be.
  it.runIf(targetKind === 'ours')('looks for it in a bucket of the account that it has to be', async () => {
    const others = { ...target('owned.raw'), owner: '111111111111' };
    await putJson(pipeline.stores.writer, recordsOf(work(), 'owned').destination, others);
    const error = expect.objectContaining({ code: 'DESTINATION_DENIED' });
    expect(await swept(ended)).toEqual([{ job: 'owned', state: 'failed', uploads: 0, error }]);
    const ours = { ...others, owner: '000000000000' };
    await putJson(pipeline.stores.writer, recordsOf(work(), 'owned').destination, ours);
    await createUpload(pipeline.stores.writer, ours);
    expect(await swept(ended)).toEqual([{ job: 'owned', state: 'settled', uploads: 1 }]);
  });

  it('does not mind another sweeper that comes to the end of a job first', async () => {
    await plan('twice', 'twice.raw');
    await record(await open('twice.raw'), 'twice');
    let other: Promise<unknown> | undefined;
    const behind = async () => {
      other ??= swept(ended);
      await other;
      return LONG_AGO;
    };
    expect(await swept(behind)).toEqual([{ job: 'twice', state: 'settled', uploads: 0 }]);
    expect(await other).toEqual([{ job: 'twice', state: 'settled', uploads: 1 }]);
  });

  it('aborts what a function that overstayed has put on record after its job was forgotten', async () => {
    await record(await open('overstayed.raw'), 'overstayed');
    expect(await swept(ended)).toEqual([{ job: 'overstayed', state: 'settled', uploads: 1 }]);
    expect(await pipeline.openUploads()).toEqual([]);
    expect(await onRecord()).toEqual([]);
  });

  it('does not take a name that Step Functions does not know for one that has ended, until it is old', async () => {
    await plan('unknown', 'unknown.raw');
    await record(await open('unknown.raw'), 'unknown');
    const unknown = async () => undefined;
    expect(await swept(unknown, 60_000)).toEqual([{ job: 'unknown', state: 'running', uploads: 0 }]);
    expect(await pipeline.openUploads()).toEqual(['unknown.raw']);
    expect(await swept(unknown)).toEqual([{ job: 'unknown', state: 'settled', uploads: 1 }]);
  });

  it('aborts what is left of an object of zeros that was not finished', async () => {
    await createUpload(pipeline.stores.writer, { bucket: work().bucket, key: 'zeros-536870912' });
    expect(await swept(ended, 60_000)).toEqual([]);
    expect(await pipeline.openUploads()).toEqual(['zeros-536870912']);
    await swept(ended);
    expect(await pipeline.openUploads()).toEqual([]);
  });

  it('keeps none from being swept because of one that cannot be, and says so', async () => {
    await plan('good', 'good.raw');
    await record(await open('good.raw'), 'good');
    await putJson(pipeline.stores.writer, recordsOf(work(), 'bad').destination, { bucket: 'no-such-bucket', key: 'x' });
    expect(await swept(ended)).toEqual([
      { job: 'bad', state: 'failed', uploads: 0, error: expect.objectContaining({ code: 'DESTINATION_NOT_FOUND' }) },
      { job: 'good', state: 'settled', uploads: 1 },
    ]);
    await expect(pipeline.stack.sweep()).rejects.toMatchObject({ name: 'DESTINATION_NOT_FOUND' });
  });

  it('does nothing for a job that never got as far as a plan', async () => {
    const deps = { stores: pipeline.stores, work: work(), endOf: ended };
    expect(await sweepJob(deps, 'unplanned')).toEqual({ job: 'unplanned', state: 'ended', uploads: 0 });
  });
});
