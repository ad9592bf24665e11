import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { usePipeline } from './use-pipeline.ts';

const folder = mkdtempSync(join(tmpdir(), 'unqcow-layers-'));
afterAll(() => rmSync(folder, { recursive: true }));

const img = (...args: string[]) => execFileSync('qemu-img', args, { cwd: folder });
const io = (file: string, ...writes: string[]) =>
  execFileSync('qemu-io', [...writes.flatMap((write) => ['-c', write]), file], { cwd: folder });

function raw(file: string): string {
  img('convert', '-O', 'raw', file, `${file}.raw`);
  return join(folder, `${file}.raw`);
}

/** An overlay of a disk of that size, over a compressed base with other clusters, over a raw file. */
function chain(size: string): string {
  const name = (file: string) => `${file}-${size}`;
  img('create', '-q', '-f', 'raw', name('bottom'), '40M');
  io(name('bottom'), 'write -P 1 0 30M');
  img('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', '-b', name('bottom'), '-F', 'raw', name('base'), size);
  io(name('base'), 'write -c -P 2 4M 2M', 'write -P 3 20M 5M', 'write -P 4 70M 8M');
  img('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', '-b', name('base'), '-F', 'qcow2', name('overlay'), size);
  io(name('overlay'), 'write -P 5 5M 4k', 'write -z 21M 64k', 'write -P 6 71M 12k');
  return name('overlay');
}

describe('an image that continues in others', () => {
  const pipeline = usePipeline();
  const input = (key: string, more: object) => ({
    source: { bucket: pipeline.stack.buckets.images, key },
    destination: { bucket: pipeline.stack.buckets.raw, key: `${key}.raw` },
    ...more,
  });
  const gate = () => ({ allow: [`s3://${pipeline.stack.buckets.images}/vms/`] });

  it.each(['100M', '300M'])('is converted with them, if the caller allows: a disk of %s', async (size) => {
    const overlay = chain(size);
    for (const file of ['bottom', 'base', 'overlay']) {
      await pipeline.put(join(folder, `${file}-${size}`), `vms/${file}-${size}`);
    }
    const ended = await pipeline.convert(input(`vms/${overlay}`, { gate: gate() }));
    expect(ended).toMatchObject({ status: 'SUCCEEDED' });
    expect(await pipeline.difference(`vms/${overlay}.raw`, raw(overlay))).toBeUndefined();
    expect(await pipeline.convert(input(`vms/${overlay}`, {}))).toMatchObject({ error: 'EXTERNAL_REF_DENIED' });
  });

  it('is not let further than its caller may read: NOT_ALLOWED', async () => {
    const elsewhere = { allow: ['s3://somewhere-else/'] };
    expect(await pipeline.convert(input('vms/overlay-100M', { gate: elsewhere }))).toMatchObject({
      error: 'NOT_ALLOWED',
    });
    const places = { places: { 'base-100M': 's3://somewhere-else/base' } };
    expect(await pipeline.convert(input('vms/overlay-100M', { gate: places }))).toMatchObject({ error: 'NOT_ALLOWED' });
  });

  it.each(['100M', '300M'])('is converted as it was in a snapshot: a disk of %s', async (size) => {
    const file = `snapshots-${size}`;
    img('create', '-q', '-f', 'qcow2', file, size);
    io(file, 'write -P 1 0 3M');
    img('snapshot', '-c', 'before', file);
    io(file, 'write -P 2 1M 4M');
    await pipeline.put(join(folder, file), file);
    const ended = await pipeline.convert(input(file, { snapshot: 'before' }));
    expect(ended).toMatchObject({ status: 'SUCCEEDED' });
    copyFileSync(join(folder, file), join(folder, `${file}-then`));
    img('snapshot', '-a', 'before', `${file}-then`);
    expect(await pipeline.difference(`${file}.raw`, raw(`${file}-then`))).toBeUndefined();
  });
});
