import { beforeAll, describe, expect, it } from 'vitest';
import { useFaultyS3 } from '../support/faulty-s3.ts';
import { EXT, imageBytes } from '../support/hostile.ts';
import { distinctBytes, useStore } from '../support/store.ts';
import { unqcow } from './run.ts';

const store = useStore();
const seen = useFaultyS3(() => store.s3.target.endpoint);
const backing = { backing: 'base', extensions: [{ type: EXT.backingFormat, data: 'raw' }] };
beforeAll(async () => {
  await store.s3.put('overlay', Buffer.from(imageBytes(backing)));
  await store.s3.put('base', distinctBytes(65_536));
  await store.s3.put('encrypted', Buffer.from(imageBytes({ header: { cryptMethod: 1 } })));
});

function estimate(key: string, ...more: string[]) {
  const { region, credentials } = store.s3.target;
  const { bucket } = store.s3;
  return unqcow(['convert', `s3://${bucket}/${key}`, 's3://none/none', '--estimate', '--json', ...more], undefined, {
    AWS_ENDPOINT_URL_S3: seen.endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  });
}

describe('unqcow convert --estimate', () => {
  it('reads on the terms that the conversion would, every file of a chain', async () => {
    const terms = ['--request-payer', '--expected-bucket-owner', '000000000000'];
    const { code, stderr } = await estimate('overlay', '--allow', `s3://${store.s3.bucket}/`, ...terms);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(new Set(seen.requests.map(({ path }) => /\/(\w+)(\?|$)/.exec(path)?.[1]))).toEqual(
      new Set(['overlay', 'base']),
    );
    for (const { headers } of seen.requests) {
      expect(headers).toMatchObject({
        'x-amz-expected-bucket-owner': '000000000000',
        'x-amz-request-payer': 'requester',
      });
    }
  });

  it('reads nothing from a bucket of somebody else’s', async () => {
    const { code, stderr } = await estimate('encrypted', '--expected-bucket-owner', '111111111111');
    expect({ code, refusal: JSON.parse(stderr).code }).toEqual({ code: 1, refusal: 'SOURCE_DENIED' });
  });

  it('needs no key of an encrypted image', async () => {
    const { code, stdout } = await estimate('encrypted');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).bytes.uploaded).toBe(65_536);
  });
});
