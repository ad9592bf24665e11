import { KiB } from '../../../../lib/units.ts';
import { parseXml, textOf } from '../protocol/parse-xml.ts';
import { receiveText } from '../protocol/receive.ts';
import { toXml } from '../protocol/to-xml.ts';
import { S3Error } from '../s3-error.ts';
import type { Operation } from './operation.ts';

/** There is one owner of everything. */
export const OWNER = { ID: 'local', DisplayName: 'local' } as const;

export const listBuckets: Operation = async (_request, { store }) => {
  const buckets = store.buckets
    .list()
    .map(({ name, created }) => ({ Name: name, CreationDate: new Date(created).toISOString() }));
  return { status: 200, body: toXml('ListAllMyBucketsResult', { Owner: OWNER, Buckets: { Bucket: buckets } }) };
};

export const createBucket: Operation = async (request, { store, region }) => {
  const text = await receiveText(request, 64 * KiB);
  const configuration = text === '' ? {} : parseXml(text, 'CreateBucketConfiguration', []);
  const constraint = textOf(configuration, 'LocationConstraint');
  if (constraint !== undefined && constraint !== region) {
    throw new S3Error('InvalidArgument', `The ${constraint} location constraint is not this server's region.`);
  }
  await store.buckets.create(request.bucket);
  return { status: 200, headers: { Location: `/${request.bucket}` } };
};

export const headBucket: Operation = async (request, { store, region }) => {
  store.buckets.get(request.bucket);
  return { status: 200, headers: { 'x-amz-bucket-region': region } };
};

export const getBucketLocation: Operation = async (request, { store, region }) => {
  store.buckets.get(request.bucket);
  return { status: 200, body: toXml('LocationConstraint', region === 'us-east-1' ? '' : region) };
};

/** Multipart uploads into the bucket go with it. */
export const deleteBucket: Operation = async (request, { store }) => {
  await store.buckets.delete(request.bucket);
  for (const upload of store.uploads.list(request.bucket)) await store.uploads.finish(upload);
  return { status: 204 };
};
