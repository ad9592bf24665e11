import { ALGORITHMS, CRCS, each, type Laxities } from './laxity.ts';

const IGNORES = 'knows no additional checksums: takes the header, verifies and keeps nothing';
const NONE = {
  ceph: IGNORES,
  swift: IGNORES,
  because:
    'AWS verifies the checksum, keeps it with the object, and gives it back. Neither server has additional checksums yet.',
};
const TYPES = {
  ...NONE,
  because: 'AWS lists which algorithms have which checksum types, and refuses the others with InvalidRequest.',
};
const PARTS = {
  ...NONE,
  because:
    'AWS compares the algorithm of each part with the upload’s, and answers InvalidRequest: "Checksum Type mismatch occurred".',
};

/** Additional checksums of objects, parts and uploads. */
export const CHECKSUM_LAXITIES: Laxities = {
  ...each(
    ALGORITHMS.flatMap((name) => [
      `answers the ${name} that it was given`,
      `with a wrong ${name} is BadDigest, and leaves nothing`,
      `${name} comes back on GET and HEAD when asked for, with its type`,
      `${name} is made for a copy that asks for it`,
      `refuses a part with a wrong ${name}`,
    ]),
    NONE,
  ),
  ...each(
    CRCS.flatMap((name) => [
      `${name} has the ${name} of the whole object`,
      `${name} refuses to complete with another ${name} of the object`,
      `${name} gives a copied part its ${name}, and the whole its own`,
    ]),
    NONE,
  ),
  ...each(
    ALGORITHMS.filter((name) => name !== 'CRC64NVME').map(
      (name) => `${name} has the ${name} of the parts’ own, and their number`,
    ),
    NONE,
  ),
  ...each(
    [
      'with a malformed checksum is InvalidRequest',
      'with two checksums is InvalidRequest',
      'that announces a checksum which does not come is InvalidRequest',
      'goes with its copy',
      'of parts becomes one of the whole in a copy',
      'computes the checksum of a part that comes without, and lists it',
      'refuses to complete with another composite value',
      'needs the checksum of each part to complete',
      'says so when it begins',
      'refuses to complete with another one of a part',
      'answers the range’s CRC32 where the upload has checksums',
      'holds what is put with it to a checksum in the query',
    ],
    NONE,
  ),
  ...each(
    [
      'is refused for SHA-1 and SHA-256',
      'is refused for CRC64NVME',
      'refuses to complete as one of another type',
      'type needs an algorithm',
    ],
    TYPES,
  ),
  ...each(
    [
      'refuses a part that comes without its checksum',
      'refuses a part with one of another algorithm',
      'refuses a part that has one',
      'refuses to complete with one',
    ],
    PARTS,
  ),
  'refuses to complete with a gap in the part numbers': {
    ...NONE,
    because: 'AWS wants consecutive part numbers, from 1, where there are additional checksums.',
  },
};
