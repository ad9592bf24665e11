import * as z from 'zod';
import type { ShareResult } from '../lib/jobs/conversion.ts';
import { convertShare, recordFailure } from '../lib/jobs/convert-share.ts';
import { jobOf } from '../lib/jobs/records.ts';
import { S3_LIMITS } from '../lib/plan/s3-limits.ts';
import type { PartTask } from '../lib/plan/shares.ts';
import { getText } from '../lib/sink/s3-object.ts';
import { assertAllowed } from './_shared/allowed.ts';
import { countInCall, noteInCall } from './_shared/call.ts';
import { deadline } from './_shared/deadline.ts';
import type { Deps } from './_shared/deps.ts';
import { asUnqcowError } from './_shared/errors.ts';
import type { Counts } from './_shared/metrics.ts';
import { Location, Pin, Target } from './_shared/schemas.ts';
import { onLambdaWithKeys } from './_shared/secrets.ts';
import { taskHandler } from './_shared/task.ts';

const Bytes = z.int().nonnegative();
const PartBase = z.object({ number: z.int().min(1).max(10_000), start: Bytes, end: Bytes });
type PartRange = z.infer<typeof PartBase>;
/** Parts are assembled in memory, or copied in one piece. */
const isPart = ({ start, end }: PartRange) => start < end && end - start <= S3_LIMITS.maxPart;

const Slice = z.object({ firstTable: Bytes, l2Offsets: z.array(Bytes) });

const Task = z.discriminatedUnion('kind', [
  PartBase.extend({ kind: z.literal('zero') }),
  PartBase.extend({ kind: z.literal('copy'), host: Bytes }),
  PartBase.extend({ kind: z.literal('data'), stored: Bytes, slices: z.array(Slice.nullable()).min(1) }),
]);

const Geometry = z.discriminatedUnion('version', [
  z.object({
    version: z.literal(1),
    clusterBits: z.int().min(9).max(16),
    l2Bits: z.int().min(6).max(13),
    diskSize: Bytes,
    encrypted: z.boolean(),
  }),
  z.object({
    version: z.literal([2, 3]),
    clusterBits: z.int().min(9).max(21),
    diskSize: Bytes,
    extendedL2: z.boolean(),
    compression: z.enum(['deflate', 'zstd']),
    dataFile: z.boolean(),
    encrypted: z.boolean(),
  }),
  z.object({ version: z.literal('raw'), diskSize: Bytes }),
]);

const Share = z.object({
  share: Bytes,
  source: Pin,
  destination: Target,
  layers: z.array(z.object({ source: Pin, data: Pin.optional(), geometry: Geometry })).min(1),
  zeros: Location.extend({ etag: z.string() }).optional(),
  keys: Target.optional(),
  parts: z.array(Task.refine(isPart, 'not a part that S3 takes')).min(1),
});

/** Where a worker leaves word of why it failed: of all that is asked, this is looked at first. */
const JobRequest = z.object({ failure: Target });

const ShareRequest = z.object({
  uploadId: z.string().min(1),
  share: z.union([Share, z.object({ share: Bytes, at: Target })]),
});

/**
 * Makes one share's parts. Safe to run twice: the ETag pins the input, so a retry uploads the same bytes under the same
 * part numbers. The receipts go to S3 by the map's ResultWriter: 10,000 of them do not fit a state's 256 KiB.
 */
export const createHandler = (deps: Deps) => {
  const { stores, vault, config, log } = deps;
  return taskHandler<ShareResult>(deps, async (event, context) => {
    const { failure } = JobRequest.parse(event);
    noteInCall({ job: jobOf(failure) });
    assertAllowed([config.work], failure);
    try {
      const { uploadId, share: given } = ShareRequest.parse(event);
      const share = await shareOf(deps, given);
      const result = await convertShare({ stores, vault }, share, uploadId, deadline(context, 5_000));
      countInCall(countsOf(share, result));
      log.info('converted a share', { share: share.share, parts: share.parts.length, ...result.cost });
      return result;
    } catch (error) {
      await recordFailure(stores, failure, asUnqcowError(error)).catch((unrecorded: Error) => {
        log.error('the failure could not be recorded', { error: unrecorded });
      });
      throw error;
    }
  });
};

/** The share itself, wherever it lies, if all that it names is allowed. Costs a request if it was too long for an item. */
async function shareOf({ stores, config }: Deps, given: z.infer<typeof ShareRequest>['share']) {
  if ('at' in given) assertAllowed([config.work], given.at);
  const share = 'at' in given ? Share.parse(JSON.parse(await getText(stores.writer, given.at))) : given;
  assertAllowed(config.sources, share.source);
  if (share.zeros) assertAllowed([config.work], share.zeros);
  if (share.keys) assertAllowed([config.work], share.keys);
  for (const { source, data = source } of share.layers) {
    assertAllowed(config.sources, source);
    assertAllowed(config.sources, data);
  }
  assertAllowed(config.destinations, share.destination);
  return share;
}

/** What a share comes to, by the kinds of its parts. */
function countsOf({ parts }: Pick<z.infer<typeof Share>, 'parts'>, { cost }: ShareResult): Counts {
  const of = (kind: PartTask['kind']) => parts.filter((part) => part.kind === kind);
  const bytes = (kind: PartTask['kind']) => of(kind).reduce((sum, { start, end }) => sum + end - start, 0);
  const stored = parts.reduce((sum, part) => sum + (part.kind === 'data' ? part.stored : 0), 0);
  return {
    ...{ BytesRead: cost.bytes, BytesOverFetched: Math.max(0, cost.bytes - stored) },
    ...{ BytesWritten: bytes('data'), BytesCopied: bytes('copy'), BytesZero: bytes('zero') },
    ...{ DataParts: of('data').length, CopyParts: of('copy').length, ZeroParts: of('zero').length },
  };
}

export const handler = onLambdaWithKeys(createHandler);
