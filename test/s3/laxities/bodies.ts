import { ALGORITHMS, each, type Laxities } from './laxity.ts';

const NO_TRAILERS = {
  ceph: 'does not decode bodies with trailers: takes their encoding for content, or refuses them',
  swift: 'decodes no aws-chunked body: NotImplemented',
  because: 'AWS takes both kinds of trailers, and its SDKs send them by default.',
};
const NO_CHUNKS = { swift: 'decodes no aws-chunked body: NotImplemented' };
const NO_MINIMUM = {
  ...NO_CHUNKS,
  ceph: 'takes chunks of any size, where it takes chunks',
  because: 'AWS wants at least 8 KiB in every chunk but the last: InvalidChunkSizeError; the SDK names that error too.',
};

/** Bodies in chunks. */
export const BODY_LAXITIES: Laxities = {
  ...each(
    ALGORITHMS.flatMap((name) => [
      `is stored without its encoding, and with its ${name}`,
      `whose ${name} does not fit is BadDigest, and leaves nothing`,
    ]),
    NO_TRAILERS,
  ),
  ...each(
    [
      'is what the SDK sends by default for a stream',
      'that does not come is MalformedTrailerError',
      'that is no checksum is InvalidRequest',
      'of another length than announced is IncompleteBody',
      'may have signed trailers',
      'whose signed trailer does not fit is BadDigest',
      'whose trailer was changed is SignatureDoesNotMatch',
    ],
    NO_TRAILERS,
  ),
  'in chunks under 8 KiB but the last is InvalidChunkSizeError': NO_MINIMUM,
  'under 8 KiB but the last is InvalidChunkSizeError': NO_MINIMUM,
  ...each(
    [
      'of which one was changed is SignatureDoesNotMatch, and leaves nothing',
      'in another order is SignatureDoesNotMatch',
      'signed with another secret is SignatureDoesNotMatch',
    ],
    NO_CHUNKS,
  ),
  'is stored without its encoding': {
    ...NO_CHUNKS,
    ceph: 'keeps aws-chunked as the object’s Content-Encoding',
    because:
      'AWS: "Amazon S3 stores the resulting object without the aws-chunked value in the content-encoding header".',
  },
  'whose end is not signed is SignatureDoesNotMatch': {
    ...NO_CHUNKS,
    ceph: 'does not look at the signature of the last, empty chunk',
    because: 'AWS signs the empty chunk too: without it, chunks could be cut off the end unnoticed.',
  },
};
