import middy from '@middy/core';
import * as z from 'zod';
import type { ShareResult } from '../lib/jobs/conversion.ts';
import { convertShare, recordFailure } from '../lib/jobs/convert-share.ts';
import { S3_LIMITS } from '../lib/plan/s3-limits.ts';
import { getText } from '../lib/sink/s3-object.ts';
import { assertAllowed } from './_shared/config.ts';
import { deadline } from './_shared/deadline.ts';
import { type Deps, onLambda } from './_shared/deps.ts';
import { asUnqcowError, namedErrors, ON_TIMEOUT } from './_shared/errors.ts';
import { Location, Pin, Target } from './_shared/schemas.ts';

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
  parts: z.array(Task.refine(isPart, 'not a part that S3 takes')).min(1),
});

const ShareRequest = z.object({
  uploadId: z.string().min(1),
  failure: Target,
  share: z.union([Share, z.object({ share: Bytes, at: Target })]),
});

/**
 * Makes one share's parts. Safe to run twice: the ETag pins the input, so a retry uploads the same bytes under the same
 * part numbers. The receipts go to S3 by the map's ResultWriter: 10,000 of them do not fit a state's 256 KiB.
 */
export const createHandler = ({ stores, config, log }: Deps) =>
  middy<unknown, ShareResult>(ON_TIMEOUT)
    .use(namedErrors(log))
    .handler(async (event, context) => {
      const { uploadId, failure, share: given } = ShareRequest.parse(event);
      assertAllowed([config.work], 'at' in given ? given.at : failure);
      const share = 'at' in given ? Share.parse(JSON.parse(await getText(stores.writer, given.at))) : given;
      assertAllowed(config.sources, share.source);
      if (share.zeros) assertAllowed([config.work], share.zeros);
      for (const { source, data = source } of share.layers) {
        assertAllowed(config.sources, source);
        assertAllowed(config.sources, data);
      }
      assertAllowed(config.destinations, share.destination);
      assertAllowed([config.work], failure);
      try {
        const result = await convertShare(stores, share, uploadId, deadline(context, 5_000));
        log.info('converted a share', { share: share.share, parts: share.parts.length, ...result.cost });
        return result;
      } catch (error) {
        await recordFailure(stores, failure, asUnqcowError(error)).catch((unrecorded: Error) => {
          log.error('the failure could not be recorded', { error: unrecorded });
        });
        throw error;
      }
    });

export const handler = onLambda(createHandler);
