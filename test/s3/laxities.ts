/** Servers that the suite runs against. `ours` is the one in `infra/local/s3`. */
export type Kind = 'ours' | 'ceph' | 'swift' | 'aws';

const ceph = (instead: string) => ({ ceph: instead });
const NO_CHECKSUMS = ceph('knows no additional checksums: takes the header, verifies and keeps nothing');
const NO_TRAILERS = ceph('does not decode aws-chunked bodies with unsigned trailers');

/**
 * Where real servers are laxer than AWS documents, or other: rule by rule, what they do instead. On such a server the
 * rule still runs and must not hold, so that we notice when the server changes.
 *
 * Measured with Ceph 16.2 of Debian 12.
 */
export const LAXITIES: Readonly<Record<string, Partial<Readonly<Record<Kind, string>>>>> = {
  // Buckets and keys
  'in us-east-1 has no location constraint': ceph('names its zone group, "default"'),
  'made twice is BucketAlreadyOwnedByYou': ceph('accepts, as us-east-1 once did'),
  'of more than 1,024 bytes are KeyTooLongError': ceph('calls it InvalidObjectName'),
  'many objects needs a checksum of the list': ceph('needs none'),
  'has at most 2 KiB of metadata': ceph('accepts more'),

  // Signatures
  'with an x-amz header that is not signed is AccessDenied': ceph('acts on headers that are not signed'),
  'signed for another region is AuthorizationHeaderMalformed': ceph('takes any region'),

  // Reads
  'of no bytes at the end is InvalidRange': ceph('answers the whole object'),
  'that is not a byte range is ignored': ceph('answers 416'),
  'with If-Match of *, or of a list with its ETag, is answered': ceph('compares with the header as a whole'),
  'that is 304 gives the ETag again': ceph('leaves it out'),

  // Writes and copies
  'PutObject with If-Match replaces only that version': ceph('refuses the right ETag too'),
  'answers the ETag in quotes': ceph('leaves the quotes out'),
  'an object with copy-source-if-match of another ETag is PreconditionFailed': ceph('ignores the header'),

  // Multipart uploads
  'is answered with the object’s ETag, bucket and key': ceph('answers an empty ETag'),
  'leaves out parts that Complete does not list': ceph('wants every part listed: InvalidPart'),
  'has part numbers from 1 to 10,000': ceph('accepts 0'),
  'that was aborted is NoSuchUpload': ceph('calls it NoSuchKey'),
  'refuses parts out of order': ceph('puts them in order'),
  'refuses a part listed twice': ceph('takes it once'),
  'with If-None-Match * refuses an existing key': ceph('ignores the header'),
  'with If-None-Match * lets one of several through': ceph('ignores the header'),
  'with another object size than the parts’ is InvalidRequest': ceph('ignores the header'),
  'that was aborted or never begun is NoSuchUpload': ceph('answers 500'),

  // Parts by copy
  'answers the part’s ETag in quotes': ceph('leaves the quotes out'),
  'with copy-source-if-match of another ETag is PreconditionFailed': ceph('ignores the header'),
  'refuses a range that is not bytes=first-last': ceph('answers 416 InvalidRange to some'),
  'refuses a range of a source of at most 5 MiB': ceph('copies it'),
  'answers the range’s CRC32 where the upload has checksums': NO_CHECKSUMS,

  // Checksums
  'with a wrong CRC32 is BadDigest, and leaves nothing': NO_CHECKSUMS,
  'with a wrong SHA-1 is BadDigest, and leaves nothing': NO_CHECKSUMS,
  'with a wrong SHA-256 is BadDigest, and leaves nothing': NO_CHECKSUMS,
  'with a malformed CRC32 is InvalidRequest': NO_CHECKSUMS,
  'with two checksums is InvalidRequest': NO_CHECKSUMS,
  'comes back on GET and HEAD when asked for, with its type': NO_CHECKSUMS,
  'goes with its copy, or is made for it': NO_CHECKSUMS,
  'is stored without its encoding': NO_TRAILERS,
  'is what the SDK sends by default for a stream': NO_TRAILERS,
  'that does not fit is BadDigest, and leaves nothing': NO_TRAILERS,
  'that does not come is MalformedTrailerError': NO_TRAILERS,
  'of another length than announced is IncompleteBody': NO_TRAILERS,
  'FULL_OBJECT has the CRC32 of the whole object': NO_CHECKSUMS,
  'COMPOSITE has the CRC32 of the parts’ CRC32s': NO_CHECKSUMS,
  'COMPOSITE needs the CRC32 of each part to complete': NO_CHECKSUMS,
  'computes the CRC32 of a part that comes without, and lists it': NO_CHECKSUMS,
  'refuses a part with a wrong CRC32': NO_CHECKSUMS,
  'refuses a part with a checksum of another algorithm': NO_CHECKSUMS,
  'refuses to complete with another CRC32 of the object': NO_CHECKSUMS,
  'refuses to complete with another CRC32 of a part': NO_CHECKSUMS,
  'refuses to complete with a gap in the part numbers': NO_CHECKSUMS,
  'has the CRC32 of the whole object from copied parts too': NO_CHECKSUMS,
  'still verifies the CRC32 of a part': NO_CHECKSUMS,
};
