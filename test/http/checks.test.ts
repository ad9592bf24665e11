import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { useQemu } from '../support/use-qemu.ts';
import { API, ask } from './ask.ts';

/** Milliseconds that a check is told that it has. */
let time = 30_000;
const pipeline = usePipeline({
  lambda: (name, create) => {
    const run = create();
    if (name !== 'check-image') return run;
    return (event, context) => run(event, { ...context, getRemainingTimeInMillis: () => time });
  },
});
const qemu = useQemu();

const checkPath = (key: string, query = '') => `/checks/${pipeline.stack.buckets.images}/${key}${query}`;

describe('GET /checks/{bucket}/{key+}', () => {
  it('says of an image what qemu-img check says, in few requests', async () => {
    const path = await qemu.image('compressed');
    await pipeline.put(path, 'sound');
    const { filename: _, ...expected } = (await qemu.check(path)) as unknown as Record<string, unknown>;
    const answer = await ask(pipeline, checkPath('sound', '?deep=true'));
    expect(answer).toMatchObject({ status: 200, body: { ...expected, unqcow: { verdict: 'clean' } } });
    expect(answer.requests).toBeLessThan(10);
  });

  it('counts what leaks', async () => {
    const path = join(qemu.folder, 'leaking');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1M']);
    execFileSync('qemu-io', ['-c', 'write 0 128k', path]);
    // Both clusters' L2 entries go: nothing refers to what they named.
    execFileSync('dd', ['if=/dev/zero', `of=${path}`, 'bs=16', 'seek=16384', 'count=1', 'conv=notrunc', 'status=none']);
    await pipeline.put(path, 'leaking');
    expect(await ask(pipeline, checkPath('leaking'))).toMatchObject({
      body: { leaks: 2, unqcow: { verdict: 'leaks' } },
    });
  });

  // The time that is told here is not told to functions that run elsewhere.
  it.skipIf(API.endpoint)('says so if the time does not suffice: CHECK_TOO_LARGE', async () => {
    await pipeline.put(await qemu.image('compressed'), 'slow');
    time = 4_000; // what is kept for the answer
    expect(await ask(pipeline, checkPath('slow'))).toMatchObject({ status: 413, body: { code: 'CHECK_TOO_LARGE' } });
    time = 30_000;
  });

  it('asks the store nothing about a bucket that is not allowed', async () => {
    const answer = await ask(pipeline, '/checks/somewhere-else/key');
    expect(answer).toMatchObject({ status: 404, body: { code: 'SOURCE_NOT_FOUND' }, requests: 0 });
  });
});
