import { beforeAll, describe, expect, it } from 'vitest';
import { openStores, type Stores } from '../../lib/jobs/stores.ts';
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
    ['S3_NOT_CONFIGURED', answers(403, 'SignatureDoesNotMatch')],
    ['S3_NOT_CONFIGURED', answers(403, 'InvalidAccessKeyId')],
    ['S3_NOT_CONFIGURED', answers(400, 'ExpiredToken')],
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

describe('credentials that S3 does not take', () => {
  it('are told also where it is written to, by one request', async () => {
    faulty.next(answers(403, 'SignatureDoesNotMatch'));
    const written = createUpload(stores.writer, { bucket: store.s3.bucket, key: 'raw' });
    await expect(written).rejects.toMatchObject({ code: 'S3_NOT_CONFIGURED', retryable: false });
    expect(faulty.requests).toHaveLength(1);
  });
});

describe('what is missing before S3 can be asked', () => {
  const location = { bucket: 'bucket', key: 'disk' };

  const none = Object.assign(new Error('none'), { name: 'CredentialsProviderError' });

  it.each([
    ['a region', { region: () => Promise.reject(new Error('Region is missing')) }],
    ['credentials', { region: 'us-east-1', credentials: () => Promise.reject(none) }],
  ])('is told, and no retry would mend it: %s', async (_, config) => {
    const { reader, writer } = openStores({ endpoint: faulty.endpoint, ...config });
    const refusal = { code: 'S3_NOT_CONFIGURED', retryable: false };
    await expect(openS3(reader, location)).rejects.toMatchObject(refusal);
    await expect(createUpload(writer, location)).rejects.toMatchObject(refusal);
    expect(faulty.requests).toEqual([]);
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
