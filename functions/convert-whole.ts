import * as z from 'zod';
import type { ConversionResult } from '../lib/jobs/conversion.ts';
import { convertWhole } from '../lib/jobs/convert-whole.ts';
import { recordsOf, recordUpload } from '../lib/jobs/records.ts';
import { assertAllowed, assertGateAllowed } from './_shared/allowed.ts';
import { countInCall, noteInCall } from './_shared/call.ts';
import { deadline } from './_shared/deadline.ts';
import type { Deps } from './_shared/deps.ts';
import { JobName, Options, Pin, Selection, Target } from './_shared/schemas.ts';
import { onLambdaWithKeys } from './_shared/secrets.ts';
import { taskHandler } from './_shared/task.ts';

const WholeRequest = z.object({
  mode: z.literal('whole'),
  job: JobName,
  source: Pin,
  destination: Target,
  options: Options,
  ...Selection,
  keys: Target.optional(),
});

/** A small disk, whole. Safe to run twice. It keeps 10 s to abort its own upload; if it is killed, the sweeper does. */
export const createHandler = (deps: Deps) => {
  const { stores, vault, config, log } = deps;
  return taskHandler<ConversionResult>(deps, async (event, context) => {
    const request = WholeRequest.parse(event);
    noteInCall({ job: request.job });
    assertAllowed(config.sources, request.source);
    assertGateAllowed(config.sources, request.gate);
    assertAllowed(config.destinations, request.destination);
    if (request.keys) assertAllowed([config.work], request.keys);
    const { uploads } = recordsOf(config.work, request.job);
    const result = await convertWhole({ stores, vault }, request, {
      onUpload: (upload) => recordUpload(stores, uploads, upload),
      signal: deadline(context, 10_000),
    });
    countInCall({ BytesRead: result.read.bytes, BytesWritten: result.size, Conversions: 1 });
    log.info('converted', { ...result });
    return result;
  });
};

export const handler = onLambdaWithKeys(createHandler);
