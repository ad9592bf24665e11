import { beforeAll, describe, expect, it } from 'vitest';
import type { Stores } from '../../lib/jobs/stores.ts';
import { createUpload } from '../../lib/sink/s3-multipart.ts';
import { openS3 } from '../../lib/source/s3.ts';
import { answers, type Fault, useFaultyS3 } from '../support/faulty-s3.ts';
import { useStore } from '../support/store.ts';

const store = useStore();
const faulty = useFaultyS3(() => store.s3.target.endpoint);

let stores: Stores;
beforeAll(async () => {
  await store.s3.put('disk', 'x');
  stores = store.storesAt(faulty.endpoint);
});
const open = (more: object = {}) => openS3(stores.reader, { bucket: store.s3.bucket, key: 'disk', ...more });

/** As S3 answers a GET of what was put with a key of its writer's own. */
const SSE_C: Fault = {
  kind: 'answer',
  status: 400,
  headers: { 'Content-Type': 'application/xml' },
  body:
    '<Error><Code>InvalidRequest</Code><Message>The object was stored using a form of Server Side Encryption. ' +
    'The correct parameters must be provided to retrieve the object.</Message></Error>',
};

describe('an object that cannot be read is refused by name, by one request:', () => {
  it.each([
    ['SOURCE_ENCRYPTED', SSE_C],
    ['SOURCE_ARCHIVED', answers(403, 'InvalidObjectState')],
    ['SOURCE_DENIED', answers(403, 'AccessDenied')],
    ['SOURCE_DENIED', answers(400, 'InvalidRequest')],
    ['WRONG_REGION', answers(301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-west-1' })],
    ['WRONG_REGION', answers(400, 'AuthorizationHeaderMalformed', { 'x-amz-bucket-region': 'eu-west-1' })],
  ])('%s', async (code, fault) => {
    faulty.next(fault);
    await expect(open()).rejects.toMatchObject({ code });
    expect(faulty.requests).toHaveLength(1);
  });
});

describe('a bucket in another region', () => {
  it('is named with it, also where it is written to', async () => {
    const elsewhere = answers(301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-west-1' });
    faulty.next(elsewhere);
    await expect(open()).rejects.toMatchObject({ message: expect.stringContaining('lies in eu-west-1') });
    faulty.next(elsewhere);
    const written = createUpload(stores.writer, { bucket: store.s3.bucket, key: 'raw' });
    await expect(written).rejects.toMatchObject({
      code: 'WRONG_REGION',
      message: expect.stringContaining('eu-west-1'),
    });
  });
});

describe('what a caller says of a bucket', () => {
  it('goes with every request: whose it has to be, and that we pay', async () => {
    const source = await open({ owner: '000000000000', requestPayer: true });
    await source.verify();
    expect(source.pin).toMatchObject({ owner: '000000000000', requestPayer: true });
    expect(faulty.requests).toHaveLength(2);
    for (const { headers } of faulty.requests) {
      expect(headers).toMatchObject({
        'x-amz-expected-bucket-owner': '000000000000',
        'x-amz-request-payer': 'requester',
      });
    }
  });
});
