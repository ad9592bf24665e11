import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { useQemu } from '../support/use-qemu.ts';
import { unqcow } from './run.ts';

const qemu = useQemu();
let image: string;
beforeAll(async () => {
  image = await qemu.image('compressed-among-plain');
});

/** Loaded before the command line: has what it forbids not be found. */
const FORBID = `
  import { registerHooks } from 'node:module';
  registerHooks({
    resolve(name, context, next) {
      if (name.startsWith('@aws-sdk/')) throw new Error('forbidden: ' + name);
      return next(name, context);
    },
  });`;
const withoutSdk = (...args: string[]) =>
  unqcow(args, undefined, { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(FORBID)}` });

describe('a command on files alone', () => {
  it.each([
    ['info', () => []],
    ['map', () => []],
    ['check', () => []],
    ['convert', () => [join(qemu.folder, 'disk.raw')]],
  ])('does not load the AWS SDK, which takes longer to start than all the rest: %s', async (command, more) => {
    expect(await withoutSdk(command, image, ...more())).toMatchObject({ code: 0 });
  });

  it('would fail here if it did, as one on S3 does', async () => {
    expect((await withoutSdk('info', 's3://bucket/disk.qcow2')).stderr).toContain('forbidden: @aws-sdk/');
  });
});
