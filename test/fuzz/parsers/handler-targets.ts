import type { APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { createHandler as checkImage } from '../../../functions/check-image.ts';
import { createHandler as complete } from '../../../functions/complete.ts';
import { createHandler as consolePage } from '../../../functions/console.ts';
import { createHandler as convertPart } from '../../../functions/convert-part.ts';
import { createHandler as convertWhole } from '../../../functions/convert-whole.ts';
import { createHandler as getConversion } from '../../../functions/get-conversion.ts';
import { createHandler as getImage } from '../../../functions/get-image.ts';
import { createHandler as getMap } from '../../../functions/get-map.ts';
import { createHandler as getOpenApi } from '../../../functions/get-openapi.ts';
import { createHandler as listObjects } from '../../../functions/list-objects.ts';
import { createHandler as listPlaces } from '../../../functions/list-places.ts';
import { createHandler as noRoute } from '../../../functions/no-route.ts';
import { createHandler as onUpload } from '../../../functions/on-upload.ts';
import { createHandler as plan } from '../../../functions/plan.ts';
import { createHandler as startConversion } from '../../../functions/start-conversion.ts';
import { createHandler as startView } from '../../../functions/start-view.ts';
import { createHandler as stopConversion } from '../../../functions/stop-conversion.ts';
import { createHandler as sweep } from '../../../functions/sweep.ts';
import { createHandler as viewDisk } from '../../../functions/view-disk.ts';
import { lambdaContext } from '../../../infra/local/step-functions/lambda-task.ts';
import { ErrorCodes } from '../../../lib/errors.ts';
import { DEFAULT_OPTIONS } from '../../../lib/jobs/conversion.ts';
import type { Stores } from '../../../lib/jobs/stores.ts';
import { ALLOWED_REQUEST, type HandlerWorld, requestLine } from '../../support/handler-world.ts';
import { imageBytes } from '../../support/hostile.ts';
import { mutatedJson } from './mutate-json.ts';
import { assert, orRefuse, type Target } from './target.ts';

const source = { bucket: 'images', key: 'in/disk.qcow2' };
const pin = { ...source, etag: '"0"', size: 28_672 };
const destination = { bucket: 'raw', key: 'out/disk.raw' };
const at = (key: string) => ({ bucket: 'work', key: `jobs/${key}` });
const gate = { allow: ['s3://images/in/'], places: { base: 's3://images/in/base' }, backingFormats: { '': 'raw' } };
const geometry = {
  version: 3,
  clusterBits: 12,
  diskSize: 65_536,
  extendedL2: false,
  compression: 'deflate',
  dataFile: false,
  encrypted: false,
};
const part = {
  kind: 'data',
  number: 1,
  start: 0,
  end: 65_536,
  stored: 8192,
  slices: [{ firstTable: 0, l2Offsets: [16_384] }],
};
const share = { share: 0, source: pin, destination, layers: [{ source: pin, geometry }], parts: [part] };

/** Events that a task of the state machine, or the upload trigger, takes. */
const TASKS = {
  plan: { job: 'job', request: { source, destination, gate, options: {}, snapshot: '1' } },
  'convert-part': { uploadId: 'upload', failure: at('failure.json'), share },
  'convert-whole': { mode: 'whole', job: 'job', source: pin, destination, options: DEFAULT_OPTIONS, gate },
  complete: {
    plan: at('plan.json'),
    destination,
    upload: { uploadId: 'upload' },
    results: { manifest: at('manifest') },
  },
  sweep: { job: 'job' },
  'on-upload': {
    Records: [
      {
        eventSource: 'aws:s3',
        eventName: 'ObjectCreated:Put',
        s3: { bucket: { name: 'images' }, object: { key: 'in/disk.qcow2', eTag: '0', sequencer: '0A' } },
      },
    ],
  },
} as const;

const request = (method: string, rawPath: string, more: object) => ({
  version: '2.0',
  rawPath,
  rawQueryString: '',
  headers: { accept: 'application/json', 'content-type': 'application/json', 'idempotency-key': 'k' },
  requestContext: { requestId: 'id', stage: '$default', http: { method, path: rawPath } },
  isBase64Encoded: false,
  ...more,
});
const object = { pathParameters: { bucket: 'images', key: 'in/disk.qcow2' }, queryStringParameters: { offset: '1' } };
const REQUESTS = {
  'get-image': request('GET', '/images/images/in/disk.qcow2', object),
  'get-map': request('GET', '/maps/images/in/disk.qcow2', {
    pathParameters: object.pathParameters,
    rawQueryString: 'place=base=s3://images/in/base&place=b=s3://images/in/b',
    queryStringParameters: { limit: '2', snapshot: '1', place: 'base=s3://images/in/base,b=s3://images/in/b' },
  }),
  'check-image': request('GET', '/checks/images/in/disk.qcow2', {
    pathParameters: object.pathParameters,
    queryStringParameters: { deep: 'true' },
  }),
  'list-objects': request('GET', '/objects/images', {
    pathParameters: { bucket: 'images' },
    queryStringParameters: { prefix: 'in/', delimiter: '/', limit: '2' },
  }),
  'list-places': request('GET', '/places', {}),
  'get-openapi': request('GET', '/openapi.json', {}),
  'get-conversion': request('GET', '/conversions/c', { pathParameters: { id: 'c' } }),
  'stop-conversion': request('DELETE', '/conversions/c', { pathParameters: { id: 'c' } }),
  'no-route': request('PUT', '/images/images/key', {}),
} as const;
const BODY = { source, destination, gate, options: { overwrite: true, maxConcurrency: 3 } };

/** A link that nobody signed. */
const TOKEN = `${Buffer.from(JSON.stringify({ ...pin, expires: 2 ** 40, secret: 'v' })).toString('base64url')}.AAAA`;

/** Each function, as whoever may call it could call it. */
export async function handlerTargets({ deps, put }: HandlerWorld): Promise<Target[]> {
  for (const [bucket, key] of [
    ['images', 'in/disk.qcow2'],
    ['images', 'out/disk.qcow2'],
    ['secrets', 'in/disk.qcow2'],
  ] as const) {
    await put(bucket, key, imageBytes());
  }
  const asked = requestsOf(deps.stores);
  const context = () => lambdaContext('arn:aws:lambda:us-east-1:000000000000:function:fuzz', Date.now() + 60_000);
  const watched = (name: string, run: (bytes: Uint8Array) => Promise<unknown>): Target => ({
    name,
    seeds: [new Uint8Array(0), Buffer.of(3, 7, 10), Buffer.of(0, 0, 0, 5, 7, 40)],
    async run(bytes) {
      await run(bytes);
      for (const each of asked.splice(0)) assert(ALLOWED_REQUEST.test(each), `${each} is allowed`);
    },
  });
  const tasks = {
    plan,
    'convert-part': convertPart,
    'convert-whole': convertWhole,
    complete,
    'on-upload': onUpload,
    sweep,
  };
  const routes = {
    'get-image': getImage,
    'get-map': getMap,
    'check-image': checkImage,
    'list-objects': listObjects,
    'list-places': listPlaces,
    'get-openapi': getOpenApi,
    'get-conversion': getConversion,
    'stop-conversion': stopConversion,
    'no-route': noRoute,
  };
  const start = startConversion(deps);
  const page = consolePage(deps);
  const secret = { bytes: Buffer.alloc(32, 'secret'), versionId: 'v' };
  const withVault = { ...deps, vault: { readSecret: async () => secret, sealingSecret: 'arn:of:the:secret' } };
  const view = startView(withVault);
  const disk = viewDisk(withVault);
  return [
    ...Object.entries(tasks).map(([name, create]) => {
      const handler = create(deps) as (event: unknown, context: Context) => Promise<unknown>;
      const good = TASKS[name as keyof typeof TASKS];
      return watched(name, (bytes) => orRefuse(() => handler(mutatedJson(good, bytes), context())));
    }),
    ...Object.entries(routes).map(([name, create]) => {
      const handler = create(deps);
      const good = REQUESTS[name as keyof typeof REQUESTS];
      return watched(name, async (bytes) => assertAnswer(await handler(asEvent(mutatedJson(good, bytes)), context())));
    }),
    watched('console', async (bytes) => {
      const { statusCode } = await page(asEvent(mutatedJson(request('GET', '/', {}), bytes)), context());
      assert(statusCode === 200 || statusCode === 304, 'it is the page');
    }),
    watched('start-conversion', async (bytes) => {
      const body = JSON.stringify(mutatedJson(BODY, bytes)) ?? '';
      assertAnswer(await start(asEvent(request('POST', '/conversions', { body })), context()));
    }),
    watched('start-view', async (bytes) => {
      const body = JSON.stringify(mutatedJson({ source, seconds: 60, gate, snapshot: '1' }, bytes)) ?? '';
      assertAnswer(await view(asEvent(request('POST', '/views', { body })), context()));
    }),
    watched('view-disk', async (bytes) => {
      const query = { queryStringParameters: { token: TOKEN } };
      const good = request('GET', '/disks/images/in/disk.qcow2', query);
      const { statusCode, body } = await disk(asEvent(mutatedJson(good, bytes)), context());
      const chunks = body ? await Array.fromAsync(body) : [];
      assertAnswer({ statusCode, body: chunks.map((each) => Buffer.from(each as Uint8Array).toString()).join('') });
    }),
  ];
}

/** What the gateway itself always sends, whatever it was asked. */
function asEvent(mutated: unknown) {
  const { requestContext, rawPath } = REQUESTS['get-image'];
  const event = (typeof mutated === 'object' && mutated !== null ? mutated : {}) as Record<string, unknown>;
  const rawQueryString = String(event.rawQueryString ?? '');
  return {
    rawPath,
    ...event,
    rawQueryString,
    headers: stringsOf(event.headers),
    requestContext,
    body: event.body,
  } as never;
}

const stringsOf = (headers: unknown) =>
  Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)]));

/** Every answer is JSON, and every refusal has one of our codes: none is a defect. */
function assertAnswer({ statusCode, body = '' }: APIGatewayProxyStructuredResultV2): void {
  const answer = body === '' ? {} : JSON.parse(body);
  assert(answer.code !== 'INTERNAL', `it is no defect: ${answer.detail}`);
  if (statusCode !== undefined && statusCode >= 400) assert(answer.code in ErrorCodes, `${answer.code} is a code`);
}

/** Every request that is sent to S3 from now on: its method, bucket and key. */
function requestsOf({ reader, writer }: Stores): string[] {
  const asked: string[] = [];
  for (const { middlewareStack } of [reader, writer]) {
    middlewareStack.add(
      (next) => async (args) => {
        const { method, path, query } = args.request as { method: string; path: string; query?: { prefix?: string } };
        asked.push(requestLine(method, path, query?.prefix));
        return next(args);
      },
      { step: 'finalizeRequest', priority: 'low', name: 'witness' },
    );
  }
  return asked;
}
