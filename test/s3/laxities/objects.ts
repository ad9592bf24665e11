import { each, type Laxities } from './laxity.ts';

const NO_CONDITIONAL_PUT = 'has no conditional PUT: NotImplemented';
const IGNORED = { ceph: 'ignores the header' };
const BY_BEGINNING = 'dates a write by its beginning: a delete that comes during it is the later one, and wins';

/** Reads, writes and copies of objects, and the conditions on them. */
export const OBJECT_LAXITIES: Laxities = {
  'has at most 2 KiB of metadata': {
    ceph: 'accepts more',
    swift: 'answers InternalError',
    because: 'AWS documents MetadataTooLarge past 2 KB of user-defined metadata.',
  },
  'that does not exist is NoSuchKey, and 404 without a body for HEAD': {
    swift: 'sends a body with the answer to HEAD',
  },

  'of no bytes at the end is InvalidRange': { ceph: 'answers the whole object' },
  'that is not a byte range is ignored': { ceph: 'answers 416' },
  'with If-Match of *, or of a list with its ETag, is answered': { ceph: 'compares with the header as a whole' },
  'that is 304 gives the ETag again': { ceph: 'leaves it out' },
  'with a true If-Match overrules a false If-Unmodified-Since': { swift: 'wants both' },
  'changed since is PreconditionFailed for If-Unmodified-Since': { swift: 'sends a body with the answer to HEAD' },
  'does not count beside an ETag that was not given before': { swift: 'answers 304 if either says so' },
  'that is no date is ignored': { ceph: 'answers 400' },

  'PutObject with If-None-Match * refuses an existing key': { swift: NO_CONDITIONAL_PUT },
  'PutObject with If-None-Match * lets one of many through': { swift: NO_CONDITIONAL_PUT },
  'PutObject with If-Match replaces only that version': {
    ceph: 'refuses the right ETag too',
    swift: NO_CONDITIONAL_PUT,
    because: 'AWS has compare-and-swap by ETag since 2024: 412 for another ETag, done for the right one.',
  },
  'PutObject with If-None-Match * is ConditionalRequestConflict': {
    ceph: 'lets the write through',
    swift: NO_CONDITIONAL_PUT,
    because:
      'AWS: 409 "if a delete request to an object succeeds before a conditional write operation on that object completes".',
  },
  'PutObject with If-Match is NoSuchKey': {
    ceph: 'answers 412 PreconditionFailed',
    swift: NO_CONDITIONAL_PUT,
    because:
      'AWS: 404 "if a concurrent delete request to an object succeeds before a conditional write operation on that object completes".',
  },
  'PutObject without a condition does not mind': { swift: BY_BEGINNING },
  'DeleteObject with If-Match of another ETag is PreconditionFailed': IGNORED,

  'CopyObject with If-None-Match * refuses an existing key': {
    ceph: 'ignores the header',
    swift: NO_CONDITIONAL_PUT,
    because: 'AWS evaluates If-None-Match on copies as on any write: 412 PreconditionFailed.',
  },
  'answers the ETag in quotes': { ceph: 'leaves the quotes out' },
  'an object with copy-source-if-match of another ETag is PreconditionFailed': IGNORED,
  ...each(
    [
      'copy-source-if-none-match of its ETag',
      'copy-source-if-modified-since of its time',
      'copy-source-if-unmodified-since of an earlier time',
      'copy-source-if-none-match of its ETag, though modified since',
    ].map((condition) => `of an object with ${condition} is PreconditionFailed`),
    IGNORED,
  ),
  'of an object with copy-source-if-match of its ETag, though modified since is done': { swift: 'wants both' },
};
