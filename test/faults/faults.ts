import {
  alters,
  answers,
  answersHeaders,
  drips,
  endsAfter,
  type Fault,
  isLate,
  isSilent,
  resets,
  resetsAfter,
  resetsAfterwards,
  resetsUpload,
  stallsAfter,
} from '../support/faulty-s3.ts';
import type { Kind } from './kinds.ts';

/** One way in which a request goes wrong. */
export interface FaultCase {
  readonly name: string;
  readonly fault: Fault;
  /** Whether it passes: met once, it must not be seen from outside. */
  readonly passes: boolean;
  /** Which requests it can befall; all if left out. */
  readonly befalls?: (kind: Kind) => boolean;
  /** That nothing comes: it ends only when nobody waits any longer. */
  readonly hangs?: boolean;
  /** Whether it is among the few of the core run. */
  readonly core?: boolean;
}

const ANSWERED_WITH_BODY = [
  'GetObject',
  'ListParts',
  'ListObjectsV2',
  'CreateMultipartUpload',
  'CompleteMultipartUpload',
  'UploadPartCopy',
];
const hasBody = ({ command }: Kind) => ANSWERED_WITH_BODY.includes(command);
const sends = ({ command }: Kind) => command === 'PutObject' || command === 'UploadPart';
const reads = ({ command }: Kind) => command === 'GetObject' || command === 'HeadObject';
const mayFailLate = ({ command }: Kind) => command === 'CompleteMultipartUpload' || command === 'UploadPartCopy';

/** An answer to HEAD has no body to say which error it is. Nobody is slow to send one; and another request sets the clock right. */
const isTold = ({ command }: Kind) => command !== 'HeadObject';

/**
 * A store whose clock is ahead: as far as lets the SDK set its own by it, and no farther than what the store behind the
 * proxy takes from a client that has done so.
 */
const clockSkew: Fault = {
  kind: 'answer',
  status: 403,
  get headers() {
    return { 'Content-Type': 'application/xml', Date: new Date(Date.now() + 600_000).toUTCString() };
  },
  body: '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>RequestTimeTooSkewed</Code><Message>late</Message></Error>',
};

/** The store has not done it, whatever the status says. */
const withErrorBody: Fault = {
  kind: 'answer',
  status: 200,
  headers: { 'Content-Type': 'application/xml' },
  body: '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code><Message>try again</Message></Error>',
};

export const FAULTS: readonly FaultCase[] = [
  { name: '500', fault: answers(500, 'InternalError'), passes: true, core: true },
  { name: '503 SlowDown', fault: answers(503, 'SlowDown'), passes: true, core: true },
  { name: '429', fault: answers(429, 'TooManyRequests'), passes: true },
  { name: '400 RequestTimeout', fault: answers(400, 'RequestTimeout'), passes: true, befalls: isTold },
  { name: 'clock skew', fault: clockSkew, passes: true, befalls: isTold },
  { name: 'reset before the answer', fault: resets, passes: true, core: true },
  { name: 'reset inside the upload', fault: resetsUpload, passes: true, befalls: sends },
  { name: 'reset inside the answer', fault: resetsAfter(20), passes: true, befalls: hasBody, core: true },
  { name: 'answer cut short', fault: endsAfter(20), passes: true, befalls: hasBody },
  { name: 'answer stalls', fault: stallsAfter(20), passes: true, hangs: true, befalls: hasBody },
  { name: 'no answer', fault: isSilent, passes: true, hangs: true },
  { name: 'slow first byte', fault: isLate(100), passes: true },
  { name: 'slow drip', fault: drips(5, 40), passes: true, befalls: hasBody },
  { name: 'done, answer lost', fault: resetsAfterwards, passes: true, core: true },
  { name: '200 with an error', fault: withErrorBody, passes: true, befalls: mayFailLate, core: true },
  {
    name: 'wrong Content-Range',
    fault: answersHeaders({ 'content-range': 'bytes 7-8/9' }),
    passes: true,
    befalls: ({ command }) => command === 'GetObject',
  },
  {
    name: 'another ETag',
    fault: answersHeaders({ etag: '"00000000000000000000000000000000"' }),
    passes: false,
    befalls: reads,
    core: true,
  },
  {
    name: 'another ETag of what was written',
    fault: alters((answer) => ({
      ...answer,
      headers: { ...answer.headers, etag: '"00000000000000000000000000000000"' },
    })),
    passes: false,
    befalls: sends,
  },
  { name: '403', fault: answers(403, 'AccessDenied'), passes: false, core: true },
  { name: '404', fault: answers(404, 'NoSuchKey'), passes: false, core: true },
  { name: '412', fault: answers(412, 'PreconditionFailed'), passes: false, core: true },
];
