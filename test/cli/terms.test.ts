import { beforeAll, describe, expect, it } from 'vitest';
import { checkImage, openImage } from '../../lib/index.ts';
import { useFaultyS3 } from '../support/faulty-s3.ts';
import { EXT, imageBytes } from '../support/hostile.ts';
import { distinctBytes, useStore } from '../support/store.ts';
import { serving } from '../view/serving.ts';
import { unqcow } from './run.ts';

const store = useStore();
const seen = useFaultyS3(() => store.s3.target.endpoint);
beforeAll(async () => {
  const { endpoint: _, region, credentials } = store.s3.target;
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_S3: seen.endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  });
  const backing = { backing: 'base', extensions: [{ type: EXT.backingFormat, data: 'raw' }] };
  await store.s3.put('overlay', Buffer.from(imageBytes(backing)));
  await store.s3.put('base', distinctBytes(65_536));
});

const [OURS, OTHERS] = ['000000000000', '111111111111'];
const at = (key: string) => `s3://${store.s3.bucket}/${key}`;
const through = () => ['--allow', at('')];
const EXPECTED = { 'x-amz-expected-bucket-owner': OURS, 'x-amz-request-payer': 'requester' };

/** The objects that were read: each of them on the terms that were said, in every request. */
function readOnTerms(): string[] {
  const about = seen.requests.filter(({ path }) => path.startsWith(`/${store.s3.bucket}/`));
  for (const { headers } of about) expect(headers).toMatchObject(EXPECTED);
  return [...new Set(about.map(({ path }) => /\/(\w+)(\?|$)/.exec(path)?.[1] ?? ''))].sort();
}

describe('a bucket is read on the terms that are said', () => {
  const terms = ['--request-payer', '--expected-bucket-owner', OURS];

  it.each([
    ['info', () => [at('overlay')], ['overlay']],
    ['info', () => [at('overlay'), '--probe', ...through()], ['base', 'overlay']],
    ['map', () => [at('overlay'), ...through()], ['base', 'overlay']],
    ['check', () => [at('overlay')], ['overlay']],
    ['doctor', () => [at('overlay'), ...through()], ['base', 'overlay']],
  ] as const)('by unqcow %s, %#', async (command, args, files) => {
    const { code, stderr } = await unqcow([command, ...args(), ...terms]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(readOnTerms()).toEqual(files);
  });

  it('by unqcow serve', async () => {
    await serving([at('overlay'), ...through(), ...terms], async (url) => {
      expect((await (await fetch(url)).arrayBuffer()).byteLength).toBe(65_536);
    });
    expect(readOnTerms()).toEqual(['base', 'overlay']);
  });

  it('by the library', async () => {
    const said = { owner: OURS, requestPayer: true };
    await using image = await openImage(at('overlay'), { ...said, gate: { allow: [at('')] } });
    await image.info();
    await image.read({ start: 0, end: image.size });
    await checkImage(at('overlay'), said);
    expect(readOnTerms()).toEqual(['base', 'overlay']);
  });
});

describe('a bucket of another account than the one that is expected', () => {
  it.each(['info', 'map', 'check', 'serve'])('is not read by unqcow %s', async (command) => {
    const { code, stderr } = await unqcow([command, at('base'), '--expected-bucket-owner', OTHERS]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^unqcow: SOURCE_DENIED: /);
  });

  it('is neither read nor written to by unqcow doctor', async () => {
    const names = [at('overlay'), at('disk.raw')];
    const { code, stdout } = await unqcow(['doctor', ...names, '--json', '--expected-bucket-owner', OTHERS]);
    expect(code).toBe(1);
    const codes = (JSON.parse(stdout) as { code?: string }[]).map((each) => each.code);
    expect(codes.slice(-2)).toEqual(['SOURCE_DENIED', 'DESTINATION_DENIED']);
  });

  it('is neither read nor written to by the library', async () => {
    await expect(openImage(at('overlay'), { owner: OTHERS })).rejects.toMatchObject({ code: 'SOURCE_DENIED' });
    await expect(checkImage(at('overlay'), { owner: OTHERS })).rejects.toMatchObject({ code: 'SOURCE_DENIED' });
    await using image = await openImage(at('overlay'), { owner: OURS, gate: { allow: [at('')] } });
    const made = image.convert(at('disk.raw'), { owner: OTHERS });
    await expect(made).rejects.toMatchObject({ code: 'DESTINATION_DENIED' });
  });
});
