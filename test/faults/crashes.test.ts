import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../functions/_shared/config.ts';
import type { LocalFunction } from '../../infra/local/step-functions/server.ts';
import { SMALL_PARTS, sixParts } from '../pipeline/small-world.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { alters, type Fault, FaultyS3, isSilent, type SeenRequest } from '../support/faulty-s3.ts';
import { startWorker } from './worker-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'unqcow-crashes-'));
afterAll(() => rmSync(folder, { recursive: true }));
const { path, raw } = sixParts(folder, 'disk');

/** What runs as the worker of parts in the test at hand; the real one, if nothing else. */
type Play = (work: LocalFunction) => LocalFunction;
const scene: { worker: Play; complete: Play } = { worker: (work) => work, complete: (work) => work };
const lambda = (name: string, create: () => LocalFunction): LocalFunction => {
  const work = create();
  if (name === 'convert-part') return (payload, context) => scene.worker(work)(payload, context);
  if (name === 'complete') return (payload, context) => scene.complete(work)(payload, context);
  return work;
};

const pipeline = usePipeline({ limits: SMALL_PARTS, settledAfter: 0, lambda });
const convert = async (key: string) => {
  await pipeline.put(path, 'disk');
  const { images, raw: bucket } = pipeline.stack.buckets;
  return pipeline.convert({ source: { bucket: images, key: 'disk' }, destination: { bucket, key } });
};
const isRight = async (key: string) => {
  expect(await pipeline.difference(key, raw)).toBeUndefined();
  expect(await pipeline.openUploads()).toEqual([]);
};
const timedOut = () => Object.assign(new Error('Task timed out'), { name: 'Sandbox.Timedout' });

beforeEach(() => {
  Object.assign(scene, { worker: (work: LocalFunction) => work, complete: (work: LocalFunction) => work });
});

describe('a worker that is killed', () => {
  const is = (method: string, part: boolean, copies: boolean) => (seen: SeenRequest) =>
    seen.method === method &&
    seen.path.includes('partNumber=') === part &&
    'x-amz-copy-source' in seen.headers === copies;
  const kills = (kill: () => void) =>
    alters((answer) => {
      kill();
      return answer;
    });

  it.each<[string, (seen: SeenRequest) => boolean, (kill: () => void) => Fault]>([
    ['before a read is answered', is('GET', false, false), () => isSilent],
    ['once a read is answered', is('GET', false, false), kills],
    ['before a part is taken', is('PUT', true, false), () => isSilent],
    ['once a part is there, before it knows', is('PUT', true, false), kills],
    ['before a copy is taken', is('PUT', true, true), () => isSilent],
    ['once a copy is there, before it knows', is('PUT', true, true), kills],
  ])('%s is replaced by another', async (title, match, fault) => {
    const faulty = new FaultyS3();
    await faulty.start(pipeline.stack.store.endpoint);
    const { images, raw: bucket, work } = pipeline.stack.buckets;
    const config = readConfig({
      UNQCOW_SOURCES: `s3://${images}/`,
      UNQCOW_DESTINATIONS: `s3://${bucket}/`,
      UNQCOW_WORK: `s3://${work}/`,
    });
    const killed: ChildProcess[] = [];
    const alive = new Set<ChildProcess>();
    let workers = 0;
    const kill = () => {
      for (const each of alive) {
        killed.push(each);
        each.kill('SIGKILL');
      }
    };
    let met = false;
    faulty.when((seen) => {
      if (met || !match(seen)) return false;
      met = true;
      if (fault(kill).kind === 'silence') kill();
      return true;
    }, fault(kill));
    scene.worker = () => async (payload) => {
      workers += 1;
      const { process, result } = startWorker({
        payload,
        config,
        store: { ...pipeline.stack.store, endpoint: faulty.endpoint },
      });
      alive.add(process);
      return result.finally(() => alive.delete(process));
    };
    const key = `${title}.raw`;
    expect(await convert(key)).toMatchObject({ status: 'SUCCEEDED' });
    expect(killed.map(({ signalCode }) => signalCode)).toContain('SIGKILL');
    expect(workers).toBeGreaterThan(1);
    await isRight(key);
    await faulty.close();
  });
});

describe('a worker', () => {
  it('that runs twice at once does no harm', async () => {
    scene.worker = (work) => async (payload, context) => {
      const [one] = await Promise.all([work(payload, context), work(payload, context)]);
      return one;
    };
    expect(await convert('twice.raw')).toMatchObject({ status: 'SUCCEEDED' });
    await isRight('twice.raw');
  });

  /** The first attempt of each share does not begin before `open`, and its task is given up at once. */
  const zombies = (open: Promise<unknown>) => {
    const work: Promise<unknown>[] = [];
    const seen = new Set<string>();
    scene.worker = (real) => async (payload, context) => {
      const share = JSON.stringify(payload);
      if (seen.has(share)) return real(payload, context);
      seen.add(share);
      work.push(open.then(() => real(payload, context)).catch((error: unknown) => error));
      throw timedOut();
    };
    return work;
  };

  it('that ends after its replacement has done its work makes the same parts', async () => {
    const gate = Promise.withResolvers<void>();
    const work = zombies(gate.promise);
    scene.complete = (real) => async (payload, context) => {
      gate.resolve();
      for (const each of await Promise.all(work)) expect(each).toHaveProperty('receipts');
      return real(payload, context);
    };
    expect(await convert('replaced.raw')).toMatchObject({ status: 'SUCCEEDED' });
    expect(work.length).toBeGreaterThan(0);
    await isRight('replaced.raw');
  });

  it('that ends after the upload was completed finds none: UPLOAD_GONE', async () => {
    const gate = Promise.withResolvers<void>();
    const work = zombies(gate.promise);
    expect(await convert('completed.raw')).toMatchObject({ status: 'SUCCEEDED' });
    gate.resolve();
    expect(work.length).toBeGreaterThan(0);
    for (const error of await Promise.all(work)) expect(error).toMatchObject({ name: 'UPLOAD_GONE' });
    await isRight('completed.raw');
  });

  it('that ends after the upload was aborted finds none: UPLOAD_GONE, and leaves nothing', async () => {
    const gate = Promise.withResolvers<void>();
    const work = zombies(gate.promise);
    scene.complete = () => async () => {
      throw Object.assign(new Error('no'), { name: 'SOURCE_CHANGED' });
    };
    expect(await convert('aborted.raw')).toMatchObject({ status: 'FAILED', error: 'SOURCE_CHANGED' });
    gate.resolve();
    for (const error of await Promise.all(work)) expect(error).toMatchObject({ name: 'UPLOAD_GONE' });
    expect(await pipeline.openUploads()).toEqual([]);
  });
});
