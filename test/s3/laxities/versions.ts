import type { Laxities } from './laxity.ts';

const HANGS = 'does not answer when a version is deleted';

/** Versions of objects. */
export const VERSION_LAXITIES: Laxities = {
  'knows what is older than versioning as null': {
    ceph: 'does not say the version id null',
    swift: 'does not say the version id null, and loses the older object when it is replaced',
    because: 'AWS: objects stored before versioning have the version ID null, and stay when it is enabled.',
  },
  'answers NoSuchVersion for an id of no version': {
    ceph: 'calls it NoSuchKey',
    swift: 'calls it NoSuchKey',
    because: 'AWS documents NoSuchVersion, 404, for a version ID that does not match an existing version.',
  },
  'gives the version of a completed upload': { swift: 'leaves it out' },
  'says so on what is not there any more': {
    ceph: 'leaves both headers out',
    swift: 'leaves both headers out',
    because: 'AWS: the 404 for a delete marker has x-amz-delete-marker: true and the marker’s version id.',
  },
  'makes markers that cannot be read: MethodNotAllowed': {
    ceph: 'calls it NoSuchKey',
    swift: 'calls it NoSuchKey',
    because: 'AWS: "If the specified version is a delete marker, the response returns a 405 Method Not Allowed error".',
  },
  'come in pages': { swift: 'ends after the first page' },
  'makes markers even for what was never there': { swift: 'makes none' },
  'a marker brings the object back': { swift: HANGS },
  'a version is for ever, and leaves the others': {
    ceph: 'calls the version that is gone NoSuchKey',
    swift: HANGS,
    because: 'AWS documents NoSuchVersion for it, and 204 for deleting it.',
  },
  'many at once names the markers made, and removes versions': {
    swift: 'wants a Content-MD5, and knows no other checksum',
  },
  'takes the version that is named, and says which': { ceph: 'does not say which' },
  'puts null versions, one a key, and keeps the others': { ceph: 'does not say the version id null' },
  'deletes the null version, and puts a null delete marker': { swift: 'puts no marker' },
};
