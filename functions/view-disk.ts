import { LRUCache } from 'lru-cache';
import * as z from 'zod';
import { assembleInOrder } from '../lib/chunk/in-order.ts';
import { UnqcowError } from '../lib/errors.ts';
import { toJson } from '../lib/format/json.ts';
import type { Disk } from '../lib/format/layer.ts';
import { cachedDisk } from '../lib/jobs/cached-disk.ts';
import { openStored } from '../lib/jobs/open-stored.ts';
import { answerRaw, type RawDisk, rawDiskOf } from '../lib/jobs/raw-view.ts';
import { newMeter } from '../lib/source/metered.ts';
import { MiB } from '../lib/units.ts';
import { isAllowed } from './_shared/allowed.ts';
import { s3Usage } from './_shared/call.ts';
import { deadline } from './_shared/deadline.ts';
import type { Deps } from './_shared/deps.ts';
import { asUnqcowError, logRefusal } from './_shared/errors.ts';
import { problemOf } from './_shared/problem.ts';
import { inStreamedCall } from './_shared/streamed-call.ts';
import { onLambdaStreaming, type StreamedAnswer, type StreamedHandler } from './_shared/streaming.ts';
import { type Grant, grantReader } from './_shared/view-link.ts';

/** Lambda streams up to 200 MB. A longer range is answered by its beginning, as Content-Range says. */
const MAX_ANSWER = 128 * MiB;
/** Of all files of a chain together, for the next request. */
const CACHE = { maxBytes: 16 * MiB };
const MAX_DISKS = 4;
/** Milliseconds that are kept for what is on its way. */
const MARGIN = 5_000;

interface Viewed {
  readonly disk: Disk;
  readonly raw: RawDisk;
}

/**
 * `GET /disks/{bucket}/{key+}?token=`: ranges of the raw disk that an image means, streamed. Behind a function URL, since
 * an HTTP API cannot stream; and since curl and QEMU cannot sign, a token of `POST /views` is what lets a request pass. The
 * path is for people to read: clients change it, where a key has `..` in it.
 *
 * Costs, on a disk's first request, what opening it does: a GET of 64 KiB and one for its tables, for each file of the
 * chain; then a GET for each L2 table that was not needed before, and few of up to 8 MiB for what the range is made of.
 */
export const createHandler = (deps: Deps): StreamedHandler => {
  const view = viewer(deps);
  return (event, context) => {
    const { requestId, http } = event.requestContext;
    const started = Date.now();
    const run = async () => {
      const signal = deadline(context, MARGIN);
      const answered = await answer(event, (token) => view(token, signal), signal).catch((error: unknown) =>
        problem(deps.log, asUnqcowError(error)),
      );
      const headers: Record<string, string> = {
        ...answered.headers,
        'X-Content-Type-Options': 'nosniff',
        'X-Request-Id': requestId,
      };
      return { ...answered, headers, ...(http.method === 'HEAD' ? { body: undefined } : {}) };
    };
    return inStreamedCall(deps.emit, { requestId }, run, ({ statusCode: status, headers }, error) => {
      if (error !== undefined) logRefusal(deps.log, asUnqcowError(error));
      // The query holds the token, which is as good as a key.
      const range = headers['Content-Range'];
      const cost = { ...s3Usage(), milliseconds: Date.now() - started };
      deps.log.info('answered', { method: http.method, path: event.rawPath, status, range, ...cost });
    });
  };
};

/** Opens what a token grants; for a few disks, what was read of them before is kept. */
function viewer(deps: Deps) {
  const granted = grantReader(deps.vault);
  const disks = new LRUCache<string, Promise<Viewed>>({ max: MAX_DISKS });
  return async (token: string, signal: AbortSignal): Promise<Viewed> => {
    const grant = await granted(token);
    if (!isAllowed(deps.config.sources, grant)) {
      throw new UnqcowError('LINK_INVALID', 'the link is for what may no longer be read');
    }
    const { expires: _, secret: __, ...what } = grant;
    const name = JSON.stringify(what);
    const known = disks.get(name) ?? openView(deps, what, signal);
    disks.set(name, known);
    known.catch(() => disks.delete(name));
    return known;
  };
}

type Event = Parameters<StreamedHandler>[0];
const DisksPath = z.string().startsWith('/disks/');

async function answer(
  { rawPath, headers, queryStringParameters, requestContext }: Event,
  view: (token: string) => Promise<Viewed>,
  signal: AbortSignal,
): Promise<StreamedAnswer> {
  if (!DisksPath.safeParse(rawPath).success) throw new UnqcowError('NO_SUCH_ROUTE', `there is nothing at ${rawPath}`);
  const { disk, raw } = await view(queryStringParameters?.token ?? '');
  const { method } = requestContext.http;
  const conditions = {
    range: headers.range,
    ifRange: headers['if-range'],
    ifMatch: headers['if-match'],
    ifNoneMatch: headers['if-none-match'],
  };
  const { status, headers: told, body } = answerRaw({ method, ...conditions, maxBytes: MAX_ANSWER }, raw);
  if (status === 405) throw new UnqcowError('METHOD_NOT_ALLOWED', `a disk takes GET and HEAD, not ${method}`);
  if (status === 413) {
    throw new UnqcowError('RANGE_REQUIRED', `the disk has ${raw.size} bytes; ask for ranges of up to ${MAX_ANSWER}`);
  }
  return {
    statusCode: status,
    headers: { ...told },
    ...(body ? { body: assembleInOrder(disk, body, { signal }) } : {}),
  };
}

type What = Omit<Grant, 'expires' | 'secret'>;

async function openView({ stores, config }: Deps, what: What, signal: AbortSignal): Promise<Viewed> {
  const { snapshot, gate, ...source } = what;
  const { outputLimit } = config;
  const { disk } = await openStored(stores, { source, snapshot, gate }, { meter: newMeter(), signal, outputLimit });
  return { disk: cachedDisk(disk, CACHE), raw: rawDiskOf(disk, snapshot) };
}

function problem(log: Deps['log'], error: UnqcowError): StreamedAnswer {
  logRefusal(log, error);
  const headers = {
    'Content-Type': 'application/problem+json',
    'Cache-Control': 'no-store',
    ...(error.retryable ? { 'Retry-After': '5' } : {}),
  };
  return { statusCode: error.status, headers, body: once(toJson(problemOf(error))) };
}

async function* once(text: string) {
  yield text;
}

export const handler = onLambdaStreaming(createHandler);
