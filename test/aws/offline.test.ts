import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { API } from '../http/ask.ts';
import { STACK } from '../pipeline/use-pipeline.ts';
import { freePorts, startOffline } from './support/offline.ts';
import { remove } from './support/sandbox.ts';

// One serverless-offline for all tests: each one's stack comes to be at the same places.
const [http = 0, s3 = 0, stepFunctions = 0] = await freePorts(3);
const dir = mkdtempSync(join(tmpdir(), 'unqcow-offline-'));
const buckets = { images: 'offline-images', raw: 'offline-raw', work: 'offline-work' };
const stateMachineArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:unqcow';
let stop: () => void = () => undefined;

beforeAll(async () => {
  stop = await startOffline(http, {
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local-secret',
    AWS_REGION: 'us-east-1',
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${s3}`,
    AWS_ENDPOINT_URL_SFN: `http://127.0.0.1:${stepFunctions}`,
    UNQCOW_SOURCES: `s3://${buckets.images}/`,
    UNQCOW_DESTINATIONS: `s3://${buckets.raw}/`,
    UNQCOW_WORK: `s3://${buckets.work}/`,
    UNQCOW_STATE_MACHINE_ARN: stateMachineArn,
  });
});
afterAll(() => {
  stop();
  remove(dir);
});

STACK.options = { buckets, store: { dir, port: s3 }, stepFunctionsPort: stepFunctions };
API.endpoint = `http://127.0.0.1:${http}`;

// The HTTP API's own tests. Where serverless-offline does otherwise than API Gateway, they say so and leave it out: its one
// id for all requests, its own answers to preflights, paths that it does not decode. It knows no IAM, and says null for
// what API Gateway leaves out.
describe.each(['protocol', 'openapi', 'conversions', 'maps', 'checks', 'terms'])(
  'over serverless-offline, %s',
  async (suite) => {
    await import(`../http/${suite}.test.ts`);
  },
);
