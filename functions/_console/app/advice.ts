import type { ErrorCode } from '../../../lib/errors.ts';

/** What one can do on these pages, where the API’s own words are of other ways to ask. */
const HERE: Partial<Record<ErrorCode, string>> = {
  EXTERNAL_REF_DENIED:
    'If you trust the image, allow the prefix under which the file lies: “Files that the image names” on this page.',
  BACKING_FORMAT_REQUIRED: 'Say what format the backing file has: “Files that the image names” on this page.',
  DESTINATION_EXISTS: 'Choose another key, or tick that what is there is to be replaced.',
  KEY_REQUIRED: 'Name a secret with its passphrase under keys in POST /conversions: the console handles none.',
};

interface Refused {
  readonly status: number;
  readonly code?: string | undefined;
  /** What the API says to do. */
  readonly cure?: string | undefined;
}

/** A sentence or two on what to do. */
export function adviceFor({ status, code, cure }: Refused): string {
  const here = HERE[code as ErrorCode] ?? cure;
  if (here !== undefined) return here;
  if (status === 401) return 'Paste a token under Access, or a new one: it is missing, wrong or too old.';
  if (status === 403) {
    return 'The API wants signed requests, which a page cannot make. Run bin/unqcow console --api URL on your machine.';
  }
  if (status === 0) return 'Look whether you are online and the API is there, and try again.';
  return 'Wait a little, and try again.';
}
