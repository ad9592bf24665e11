import type { Laxities } from './laxity.ts';

const IGNORED = { ceph: 'ignores the header' };

/** Multipart uploads, and parts by copy. */
export const UPLOAD_LAXITIES: Laxities = {
  'is answered with the object’s ETag, bucket and key': { ceph: 'answers an empty ETag' },
  'leaves out parts that Complete does not list': { ceph: 'wants every part listed: InvalidPart' },
  'has part numbers from 1 to 10,000': { ceph: 'accepts 0' },
  'that was aborted is NoSuchUpload': { ceph: 'calls it NoSuchKey' },
  'refuses parts out of order': { ceph: 'puts them in order' },
  'refuses a part listed twice': { ceph: 'takes it once' },
  'refuses an empty list and broken XML': { swift: 'calls an empty body InvalidRequest' },
  'an upload with If-None-Match * refuses an existing key': {
    ceph: 'ignores the header',
    swift: 'answers 412, but with the code InvalidRequest',
    because: 'AWS documents 412 PreconditionFailed, which is what clients match on.',
  },
  'with If-None-Match * lets one of several through': {
    ceph: 'ignores the header',
    swift: 'answers 412, but with the code InvalidRequest',
    because: 'AWS: the first conditional write to end succeeds, the others are 412 PreconditionFailed.',
  },
  'Complete with If-None-Match * is ConditionalRequestConflict': {
    ceph: 'lets the write through',
    swift: 'lets the write through',
    because: 'AWS: 409, and "the entire multipart upload must be re-initiated".',
  },
  'Complete with If-Match of the object’s ETag replaces it': { swift: 'answers 412 to the right ETag too' },
  'Complete with If-Match of another ETag is PreconditionFailed': IGNORED,
  'Complete with If-Match of what is not there is NoSuchKey': {
    ceph: 'ignores the header',
    swift: 'answers 412 PreconditionFailed',
    because:
      'AWS: "If there’s no current object version with the same name … the operation fails with a 404 Not Found error".',
  },
  'with another object size than the parts’ is InvalidRequest': {
    ceph: 'ignores the header',
    swift: 'ignores the header',
    because:
      'AWS: "If there is a mismatch in the specified object size value, the request fails with an HTTP 400 InvalidRequest error".',
  },
  'that was aborted or never begun is NoSuchUpload': { ceph: 'answers 500' },

  'answers the part’s ETag in quotes': { ceph: 'leaves the quotes out' },
  'with copy-source-if-match of another ETag is PreconditionFailed': IGNORED,
  'of a part looks at its source’s ETag and time too': IGNORED,
  'refuses a range that runs past the source': { swift: 'copies what there is' },
  'refuses a range that is not bytes=first-last': {
    ceph: 'answers 416 InvalidRange to some',
    swift: 'takes open ranges',
    because: 'AWS: "the range value must use the form bytes=first-last": InvalidArgument.',
  },
  'refuses a range of a source of at most 5 MiB': {
    ceph: 'copies it',
    swift: 'copies it',
    because: 'AWS: "You can copy a range only if the source object is greater than 5 MB".',
  },
};
