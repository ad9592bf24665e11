import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { UnqcowError } from '../lib/errors.ts';
import { openAny } from '../lib/format/open-any.ts';
import { estimateDisk } from '../lib/jobs/estimate-disk.ts';
import type { Execution } from '../lib/jobs/executions.ts';
import { isCopyable, openStored } from '../lib/jobs/open-stored.ts';
import { S3_LIMITS } from '../lib/plan/s3-limits.ts';
import { newMeter } from '../lib/source/metered.ts';
import { openS3 } from '../lib/source/s3.ts';
import { noteInCall } from './_shared/call.ts';
import type { Caller } from './_shared/caller.ts';
import { viewOf } from './_shared/conversion-view.ts';
import { withinAnswer } from './_shared/deadline.ts';
import { type ExecutionDeps, onLambdaWithExecutions } from './_shared/executions.ts';
import { httpHandler, json } from './_shared/http.ts';
import { jsonBody } from './_shared/json-body.ts';
import { StartHeaders, StartQuery } from './_shared/queries.ts';
import { Conversion, NewConversion } from './_shared/schemas.ts';
import { describeTaken, hashOf, type Started, startNow, startOnce } from './_shared/start-once.ts';

const StartRequest = z.object({ headers: StartHeaders, queryStringParameters: StartQuery.prefault({}) });

type Request = z.infer<typeof NewConversion>;

const TOO_LARGE = 'the conversion was not estimated within the time of an answer; the command line has no such limit';

/**
 * `POST /conversions`: starts a conversion and answers 202 with where to follow it. The same request for the same bytes is
 * the same conversion, as long as that has not failed; under one `Idempotency-Key` it is the same whatever came of it.
 *
 * Costs a GET of 64 KiB, which pins the image and refuses what is none, and one StartExecution; where the conversion is
 * there already, what `startOnce` says; with a key, one DescribeExecution before. `?estimate=true` says what it would
 * take; where an HTTP API's 30 s do not suffice for that, it is `ESTIMATE_TOO_LARGE`.
 */
export const createHandler = (deps: ExecutionDeps) =>
  httpHandler(
    deps,
    StartRequest,
    async ({ headers, queryStringParameters: { estimate } }, { caller, event, context }) => {
      const request = NewConversion.parse(jsonBody(event));
      caller.assertSource(request.source);
      caller.assertGate(request.gate);
      caller.assertDestination(request.destination);
      caller.assertKeys(request.keys);
      if (estimate === 'true') {
        const made = await withinAnswer(context, 'ESTIMATE_TOO_LARGE', TOO_LARGE, (signal) =>
          estimated(deps, request, signal),
        );
        return json(200, made);
      }
      const key = headers['idempotency-key'];
      const { execution: id, as } = await (key === undefined
        ? startByContent(deps, caller, request)
        : startByKey(deps, caller, request, key));
      noteInCall({ job: id });
      return json(202, viewOf(id, as), { location: `${event.rawPath.replace(/\/$/, '')}/${id}` });
    },
  );

/** A conversion by its id, as it stands. */
type Begun = Pick<Started, 'execution' | 'as'>;

async function startByContent(deps: ExecutionDeps, { tenant }: Caller, request: Request): Promise<Begun> {
  const input = await pinned(deps, request);
  return startOnce(deps, hashOf([tenant ?? null, input]), input);
}

/** @throws UnqcowError `IDEMPOTENCY_KEY_REUSED` */
async function startByKey(deps: ExecutionDeps, { tenant }: Caller, request: Request, key: string): Promise<Begun> {
  const { executions } = deps;
  const execution = hashOf([tenant ?? null, 'key', key]);
  const asked = (as: Execution): Begun => {
    if (isSame(as.input, request)) return { execution, as };
    throw new UnqcowError('IDEMPOTENCY_KEY_REUSED', `the key ${JSON.stringify(key)} came with another request before`);
  };
  const known = await executions.describe(execution);
  if (known) return asked(known);
  const begun = await startNow(executions, execution, await pinned(deps, request));
  // The same key at the same time: whichever was first counts.
  return begun ? { execution, as: begun } : asked(await describeTaken(executions, execution));
}

/** Whether a conversion was asked for in the same words. What was found out since about its source does not count. */
function isSame(input: unknown, request: Request): boolean {
  const known = Conversion.parse(input);
  // Who does not pay is not on record.
  const terms = { requestPayer: false, ...known.source };
  const said = Object.keys(request.source) as (keyof Request['source'])[];
  const source = Object.fromEntries(said.map((name) => [name, terms[name]]));
  return isDeepStrictEqual({ ...known, source }, { ...request });
}

/** The request with the exact version of the image that it means. */
async function pinned({ stores }: ExecutionDeps, request: Request): Promise<Request> {
  const source = await openS3(stores.reader, request.source);
  await openAny(source);
  const { size: _, ...pin } = source.pin;
  return { ...request, source: pin };
}

/** What a conversion would take, by the cost model: nothing is started, nothing written. Costs what planning does. */
async function estimated({ stores, config }: ExecutionDeps, request: Request, signal: AbortSignal) {
  const { copyParts, zeroParts, maxConcurrency } = request.options;
  const read = newMeter();
  const { outputLimit = S3_LIMITS.maxObject } = config;
  const { disk, source } = await openStored(stores, request, { meter: read, signal, outputLimit, placesOnly: true });
  const options = { copyParts: copyParts && isCopyable(source.pin), zeroParts, maxConcurrency };
  const estimate = await estimateDisk(disk, { ...options, read, signal });
  return { source: source.pin, size: disk.size, estimate };
}

export const handler = onLambdaWithExecutions(createHandler);
