import { each, type Laxities } from './laxity.ts';

const ERROR_CODES = 'AWS documents this code for it, and clients tell their users what it says.';

/** Signatures, and what is refused before anything else. */
export const REQUEST_LAXITIES: Laxities = {
  'with an x-amz header that is not signed is AccessDenied': { ceph: 'acts on headers that are not signed' },
  'signed for another region is AuthorizationHeaderMalformed': { ceph: 'takes any region' },
  'with an unknown access key is InvalidAccessKeyId': { swift: 'calls it SignatureDoesNotMatch' },
  'without a signature is AccessDenied': { swift: 'takes it for a request of its own protocol: 400' },
  'whose body is not what was signed is XAmzContentSHA256Mismatch, and leaves nothing': {
    swift: 'calls it BadDigest',
  },

  'that has expired says so': { ceph: 'says AccessDenied and no more' },
  'of an unknown access key is InvalidAccessKeyId': { swift: 'calls it SignatureDoesNotMatch' },
  'without one of its parameters is AuthorizationQueryParametersError': {
    ceph: 'calls it AccessDenied',
    swift: 'takes it for a request of its own protocol: 400',
    because: ERROR_CODES,
  },
  'for more than a week is AuthorizationQueryParametersError': { ceph: 'calls it AccessDenied' },
  'for another region is AuthorizationQueryParametersError': { ceph: 'takes any region' },
  'beside an Authorization header is InvalidArgument': {
    ceph: 'looks at the header only, and calls it AccessDenied',
    swift: 'looks at the query only',
    because: 'AWS: "Only one auth mechanism allowed". Which of the two counted would be up to the server.',
  },

  'in us-east-1 has no location constraint': { ceph: 'names its zone group, "default"' },
  'made twice is BucketAlreadyOwnedByYou': { ceph: 'accepts, as us-east-1 once did' },
  'of more than 1,024 bytes are KeyTooLongError': { ceph: 'calls it InvalidObjectName' },
  'of version 1 without a delimiter leaves the next marker out': { ceph: 'names it all the same' },
  'refuses another encoding than url': { ceph: 'ignores it' },
  'refuses an empty continuation token': {
    ceph: 'lists from the beginning',
    swift: 'lists from the beginning',
    because:
      'AWS answers InvalidArgument: "The continuation token provided is incorrect". A client that lost its token would list the first page for ever.',
  },
  ...each(['many objects names each, there or not', 'many objects in silence names none'], {
    swift: 'wants a Content-MD5, and knows no other checksum',
  }),
  'many objects needs a checksum of the list': { ceph: 'needs none' },
};
