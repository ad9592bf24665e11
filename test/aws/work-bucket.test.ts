import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ListObjectVersionsCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { secretArn } from '../../infra/local/secrets-manager.ts';
import { SMALL_PARTS } from '../pipeline/small-world.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { readTemplate } from './support/package.ts';
import { deployed } from './support/template.ts';

const { VersioningConfiguration } = deployed(readTemplate('plain')).Work?.Properties ?? {};

describe('the work bucket, with such versions as the template gives it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'unqcow-work-'));
  const secrets = join(folder, 'secrets');
  mkdirSync(join(secrets, 'disks'), { recursive: true });
  writeFileSync(join(secrets, 'disks/one'), 'open sesame');
  afterAll(() => rmSync(folder, { recursive: true }));
  const pipeline = usePipeline({ secrets: { dir: secrets }, limits: SMALL_PARTS });

  beforeAll(async () => {
    const Bucket = pipeline.stack.buckets.work;
    await pipeline.client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  });

  /** An encrypted image of data and zeros, made by QEMU, and what QEMU makes of it. */
  function encrypted(name: string, size: string) {
    const tool = (command: string, ...args: string[]) => execFileSync(command, args, { cwd: folder, stdio: 'pipe' });
    const secret = ['--object', `secret,id=s,file=${join(secrets, 'disks/one')}`];
    const image = `driver=qcow2,encrypt.key-secret=s,file.filename=${name}`;
    const options = ['-f', 'qcow2', '-o', 'encrypt.format=aes,encrypt.key-secret=s'];
    tool('qemu-img', 'create', '-q', ...secret, ...options, name, size);
    tool('qemu-io', ...secret, '--image-opts', '-c', 'write -P 1 0 1M', image);
    tool('qemu-img', 'convert', ...secret, '--image-opts', '-O', 'raw', image, `${name}.raw`);
    return { path: join(folder, name), raw: join(folder, `${name}.raw`) };
  }

  it.each([
    ['whole', '2M', []],
    ['in parts', '26M', ['data', 'zero']],
  ])('keeps no byte of the sealed keys of a job that has ended, converted %s', async (_, size, kinds) => {
    const { path, raw } = encrypted(size, size);
    await pipeline.put(path, size);
    const { images, work: Bucket } = pipeline.stack.buckets;
    const ended = await pipeline.convert({
      source: { bucket: images, key: size },
      destination: { bucket: pipeline.stack.buckets.raw, key: size },
      keys: { '': secretArn('disks/one') },
    });
    expect(ended).toMatchObject({ status: 'SUCCEEDED' });
    expect(await pipeline.difference(size, raw)).toBeUndefined();
    const { parts = {} } = ended.output as { readonly parts?: Record<string, number> };
    expect(Object.keys(parts).filter((kind) => parts[kind])).toEqual(kinds);
    const { Versions = [], DeleteMarkers = [] } = await pipeline.client.send(
      new ListObjectVersionsCommand({ Bucket, Prefix: 'jobs/' }),
    );
    const isKeys = ({ Key = '' }) => Key.endsWith('/keys.json');
    expect(DeleteMarkers.filter(isKeys)).not.toEqual([]);
    expect(Versions.filter(isKeys)).toEqual([]);
  });
});
