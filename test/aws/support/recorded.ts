import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { StackOptions } from '../../../infra/local/stack.ts';
import { MiB } from '../../../lib/units.ts';
import { post } from '../../http/ask.ts';
import { SMALL_PARTS, sixParts } from '../../pipeline/small-world.ts';
import { type Pipeline, usePipeline } from '../../pipeline/use-pipeline.ts';

/** What a function was given first, and what it answered with where it is asked over HTTP. */
export interface Recorded {
  readonly payload: unknown;
  readonly status?: number;
}

/** The stack over the sources, with what each of its functions is given. */
export function useRecorded(secrets: string): { readonly pipeline: Pipeline; readonly of: Map<string, Recorded> } {
  const of = new Map<string, Recorded>();
  const lambda: StackOptions['lambda'] = (name, create) => {
    const run = create();
    return async (payload, context) => {
      const answer = await run(payload, context);
      const { statusCode: status } = (answer ?? {}) as { readonly statusCode?: number };
      if (!of.has(name)) of.set(name, { payload, ...(status === undefined ? {} : { status }) });
      return answer;
    };
  };
  return { pipeline: usePipeline({ secrets: { dir: secrets }, limits: SMALL_PARTS, lambda }), of };
}

/** A disk longer than an answer may be, of sevens in its first 160 MiB. */
function longDisk(folder: string): string {
  const path = join(folder, 'long');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, String(160 * MiB)]);
  execFileSync('qemu-io', ['-c', `write -P 7 0 ${160 * MiB}`, path]);
  return path;
}

/** Has every function do what it is for: a disk in one piece and one in parts are converted, and all routes are asked. */
export async function useEachFunction(pipeline: Pipeline, folder: string): Promise<void> {
  const { stack } = pipeline;
  const { images, raw } = stack.buckets;
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', join(folder, 'small'), '1M']);
  for (const [path, key] of [
    [join(folder, 'small'), 'small.qcow2'] as const,
    [sixParts(folder, 'disk').path, 'disk.qcow2'] as const,
  ]) {
    const ended = await pipeline.upload(path, key);
    if (ended.status !== 'SUCCEEDED') throw new Error(`${key}: ${ended.cause}`);
  }
  await pipeline.put(longDisk(folder), 'long');
  await stack.sweep();
  const ask = (path: string, init?: RequestInit) => fetch(`${stack.apiEndpoint}${path}`, init);
  const source = { bucket: images, key: 'long' };
  for (const path of ['/', '/places', '/openapi.json', '/nowhere', `/objects/${images}`]) await ask(path);
  for (const route of ['images', 'maps', 'checks']) await ask(`/${route}/${images}/disk.qcow2`);
  const started = await ask('/conversions', post({ source, destination: { bucket: raw, key: 'long.raw' } }));
  const { id } = (await started.json()) as { id: string };
  await ask(`/conversions/${id}`);
  await ask(`/conversions/${id}`, { method: 'DELETE' });
  const { url } = (await (await ask('/views', post({ source }))).json()) as { url: string };
  await (await fetch(url, { headers: { range: 'bytes=0-511' } })).arrayBuffer();
}
