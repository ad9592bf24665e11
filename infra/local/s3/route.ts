import { ROUTES, type Route } from './operations/index.ts';
import type { S3Request } from './protocol/request.ts';
import { S3Error } from './s3-error.ts';

/** Headers that are understood, or may safely be ignored. */
const KNOWN_HEADERS = new Set([
  'x-amz-acl',
  'x-amz-checksum-algorithm',
  'x-amz-checksum-crc32',
  'x-amz-checksum-crc32c',
  'x-amz-checksum-crc64nvme',
  'x-amz-checksum-mode',
  'x-amz-checksum-sha1',
  'x-amz-checksum-sha256',
  'x-amz-checksum-type',
  'x-amz-content-sha256',
  'x-amz-copy-source',
  'x-amz-copy-source-if-match',
  'x-amz-copy-source-if-modified-since',
  'x-amz-copy-source-if-none-match',
  'x-amz-copy-source-if-unmodified-since',
  'x-amz-copy-source-range',
  'x-amz-date',
  'x-amz-decoded-content-length',
  'x-amz-expected-bucket-owner',
  'x-amz-metadata-directive',
  'x-amz-mp-object-size',
  'x-amz-request-payer',
  'x-amz-sdk-checksum-algorithm',
  'x-amz-security-token',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-source-expected-bucket-owner',
  'x-amz-storage-class',
  'x-amz-tagging',
  'x-amz-trailer',
  'x-amz-user-agent',
]);

/** Which operation a request asks for, by name. Undefined if it is none that this server does. */
export function operationOf({
  method,
  bucket,
  key,
  query,
  headers,
}: Omit<S3Request, 'message' | 'transfer'>): string | undefined {
  const on = bucket === '' ? 'service' : key === '' ? 'bucket' : 'object';
  const copies = headers['x-amz-copy-source'] !== undefined;
  // `x-id` is the operation's name, which the SDKs add for whoever reads the access log.
  const asked = [...query.keys()].filter((name) => name !== 'x-id');
  const fits = (route: Route) => {
    const { with: required = [], may = [] } = route;
    if (route.method !== method || route.on !== on || (route.copies ?? false) !== copies) return false;
    return (
      required.every((name) => query.has(name)) && asked.every((name) => required.includes(name) || may.includes(name))
    );
  };
  return Object.entries(ROUTES).find(([, route]) => fits(route))?.[0];
}

/** The account that all buckets belong to. */
const ACCOUNT = '000000000000';

/** Refuses what would otherwise be ignored in silence. @throws S3Error `NotImplemented`, naming the header */
export function checkHeaders({ headers }: Pick<S3Request, 'headers'>): void {
  const known = (name: string) =>
    !name.startsWith('x-amz-') || name.startsWith('x-amz-meta-') || KNOWN_HEADERS.has(name);
  const refused = Object.keys(headers).find((name) => !known(name));
  if (refused === undefined) {
    const payer = headers['x-amz-request-payer'];
    if (payer !== undefined && payer !== 'requester') throw new S3Error('InvalidArgument');
    // There is one account, and it owns everything: whoever expects another must not be served.
    const owners = [headers['x-amz-expected-bucket-owner'], headers['x-amz-source-expected-bucket-owner']];
    if (owners.some((owner) => owner !== undefined && owner !== ACCOUNT)) throw new S3Error('AccessDenied');
    return;
  }
  const message = `A header you provided implies functionality that is not implemented: ${refused}`;
  throw new S3Error('NotImplemented', message, { details: { Header: refused } });
}
