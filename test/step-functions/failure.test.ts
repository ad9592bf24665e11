import { AbortMultipartUploadCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeError, failing, planOf, REQUEST, type Stack, startStack } from './stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());

const NO_REASON = {
  status: 'FAILED',
  error: 'States.ExceedToleratedFailureThreshold',
  cause: 'The specified tolerated failure threshold was exceeded',
};
const TO_THE_MAP = ['Plan', 'Small?', 'ConvertParts'];
const AFTER_THE_MAP = [...TO_THE_MAP, 'Explain', 'AbortUpload', 'Keys?', 'Explained?'];

/** A worker that leaves `text` as the job's failure.json and throws. */
const worker = (text: string) => async (payload: unknown) => {
  const { failure } = payload as { failure: { bucket: string; key: string } };
  await stack.put(failure.bucket, failure.key, text);
  throw codeError('CLUSTER_BEYOND_EOF');
};

describe('a worker that fails', () => {
  it('ends the job with the code and message that it left', async () => {
    const complete = failing('INTERNAL');
    const failure = { code: 'CLUSTER_BEYOND_EOF', message: 'l2[3][17] points past the end' };
    const machine = await stack.machine({ convertPart: worker(JSON.stringify(failure)), complete: complete.fn });
    expect(await machine.run()).toMatchObject({ status: 'FAILED', error: failure.code, cause: failure.message });
    expect(machine.states()).toEqual([...AFTER_THE_MAP, 'Failed']);
    expect(complete.calls).toBe(0);
    expect(await stack.uploads()).toEqual([]);
  });

  it('ends the job with the map’s own error if it left nothing', async () => {
    const machine = await stack.machine({ convertPart: failing('CLUSTER_BEYOND_EOF').fn });
    expect(await machine.run()).toMatchObject(NO_REASON);
    expect(machine.states()).toEqual([...AFTER_THE_MAP, 'FailedAsCaught']);
    expect(await stack.uploads()).toEqual([]);
  });

  it.each([
    ['not JSON', '{"code":'],
    ['no code', '{"message":"why"}'],
    ['no message', '{"code":"INTERNAL"}'],
    ['a code that is no text', '{"code":7,"message":"why"}'],
    ['nothing at all', ''],
  ])('ends the job with the map’s own error if what it left is %s', async (_what, text) => {
    const machine = await stack.machine({ convertPart: worker(text) });
    expect(await machine.run()).toMatchObject(NO_REASON);
    expect(await stack.uploads()).toEqual([]);
  });

  it('lets no other start, and those that run come to their end', async () => {
    const ended: number[] = [];
    const machine = await stack.machine({
      plan: planOf(stack, 20, { maxConcurrency: 3 }),
      convertPart: async (payload) => {
        const { share } = (payload as { share: { share: number } }).share;
        await new Promise((resolve) => setTimeout(resolve, share === 0 ? 20 : 60));
        ended.push(share);
        if (share === 0) throw codeError('DECOMPRESS_FAILED');
        return {};
      },
    });
    expect(await machine.run()).toMatchObject(NO_REASON);
    expect(ended.toSorted()).toEqual([0, 1, 2]);
  });

  it('is listed with its error beside the receipts', async () => {
    const machine = await stack.machine({
      plan: planOf(stack, 2, { maxConcurrency: 1 }),
      convertPart: async (payload) => {
        if ((payload as { share: { share: number } }).share.share === 1) throw codeError('L2_UNALIGNED');
        return { part: 0 };
      },
    });
    await machine.run(REQUEST, 'listed');
    const { Contents = [] } = await stack.s3.send(
      new ListObjectsV2Command({ Bucket: 'work', Prefix: 'listed/results/' }),
    );
    const names = Contents.map(({ Key = '' }) => Key.split('/').at(-1)).toSorted();
    expect(names).toEqual(['FAILED_0.jsonl', 'SUCCEEDED_0.jsonl', 'manifest.json']);
    const failed = Contents.find(({ Key }) => Key?.endsWith('/FAILED_0.jsonl'));
    expect(JSON.parse(await stack.get('work', failed?.Key ?? ''))).toMatchObject({
      Status: 'FAILED',
      Error: 'L2_UNALIGNED',
    });
  });
});

describe('items', () => {
  it.each([
    ['are missing', { items: { bucket: 'work', key: 'nowhere.jsonl' } }],
    ['are not JSON', { items: { bucket: 'work', key: 'broken.jsonl' } }],
  ])('that %s fail the map, and the upload is aborted', async (_what, changes) => {
    await stack.put('work', 'broken.jsonl', '{"share":0}\n{"share":');
    const worked = failing('INTERNAL');
    const machine = await stack.machine({ plan: planOf(stack, 1, changes), convertPart: worked.fn });
    expect(await machine.run()).toMatchObject({ status: 'FAILED', error: 'States.ItemReaderFailed' });
    expect(worked.calls).toBe(0);
    expect(await stack.uploads()).toEqual([]);
  });

  it('that are replaced while the map runs fail it: no worker gets a share of another plan', async () => {
    const key = 'replaced.jsonl';
    await stack.put('work', key, '{"share":0}\n{"share":1}\n{"share":2}\n');
    let calls = 0;
    const machine = await stack.machine({
      plan: planOf(stack, 1, { items: { bucket: 'work', key }, maxConcurrency: 1 }),
      async convertPart() {
        calls += 1;
        await stack.put('work', key, '{"share":7}\n{"share":8}\n{"share":9}\n');
        return {};
      },
    });
    expect(await machine.run()).toMatchObject({ status: 'FAILED', error: 'States.ItemReaderFailed' });
    expect(calls).toBe(1);
  });

  it('may be separated by empty lines and end without one', async () => {
    await stack.put('work', 'loose.jsonl', '\n{"share":0}\r\n\n{"share":1}');
    const shares: unknown[] = [];
    const machine = await stack.machine({
      plan: planOf(stack, 1, { items: { bucket: 'work', key: 'loose.jsonl' } }),
      convertPart: async (payload) => shares.push((payload as { share: unknown }).share),
    });
    expect(await machine.run()).toMatchObject({ status: 'SUCCEEDED' });
    expect(shares).toEqual(expect.arrayContaining([{ share: 0 }, { share: 1 }]));
  });
});

describe('Complete that fails', () => {
  it('ends the job with its own code, and the upload is aborted', async () => {
    const before = await stack.uploads();
    const machine = await stack.machine({ complete: failing('RECEIPTS_MISMATCH').fn });
    const execution = await machine.run();
    expect(execution).toMatchObject({ status: 'FAILED', error: 'RECEIPTS_MISMATCH' });
    expect(JSON.parse(execution.cause ?? '')).toMatchObject({ errorType: 'RECEIPTS_MISMATCH' });
    expect(machine.states().slice(TO_THE_MAP.length)).toEqual([
      'Complete',
      'AbortUpload',
      'Keys?',
      'Explained?',
      'FailedAsCaught',
    ]);
    expect(await stack.uploads()).toEqual(before);
  });

  it('keeps its code also when the upload cannot be aborted', async () => {
    const machine = await stack.machine({
      complete: async (payload) => {
        const { upload, destination } = payload as {
          upload: { uploadId: string };
          destination: typeof REQUEST.destination;
        };
        const which = { Bucket: destination.bucket, Key: destination.key, UploadId: upload.uploadId };
        await stack.s3.send(new AbortMultipartUploadCommand(which));
        throw codeError('UPLOAD_GONE');
      },
    });
    expect(await machine.run()).toMatchObject({ status: 'FAILED', error: 'UPLOAD_GONE' });
    expect(machine.states()).toContain('AbortUpload');
  });
});
