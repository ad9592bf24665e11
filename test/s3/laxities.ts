import { BODY_LAXITIES } from './laxities/bodies.ts';
import { CHECKSUM_LAXITIES } from './laxities/checksums.ts';
import type { Laxities } from './laxities/laxity.ts';
import { OBJECT_LAXITIES } from './laxities/objects.ts';
import { REQUEST_LAXITIES } from './laxities/requests.ts';
import { UPLOAD_LAXITIES } from './laxities/uploads.ts';
import { VERSION_LAXITIES } from './laxities/versions.ts';

export type { Kind } from './laxities/laxity.ts';

/**
 * Where real servers are laxer than AWS documents, or other: rule by rule, what they do instead. On such a server the
 * rule still runs and must not hold, so that we notice when the server changes.
 *
 * Measured with Ceph 16.2 and OpenStack Swift 2.30, both of Debian 12.
 */
export const LAXITIES: Laxities = {
  ...REQUEST_LAXITIES,
  ...OBJECT_LAXITIES,
  ...CHECKSUM_LAXITIES,
  ...BODY_LAXITIES,
  ...UPLOAD_LAXITIES,
  ...VERSION_LAXITIES,
};
