import type { Context } from 'aws-lambda';
import { afterAll, beforeAll } from 'vitest';
import { lambdaContext } from '../../infra/local/step-functions/lambda-task.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { ALLOWED_REQUEST, type HandlerWorld, openHandlerWorld, requestLine } from '../support/handler-world.ts';

/** What the functions are let loose on, and the log of all that they ask of it. */
export interface GateWorld extends Pick<HandlerWorld, 'deps' | 'put' | 'started'> {
  context(): Context;
  /** The method, bucket and key of each request since the last call, as the wire had them, decoded once. */
  log(): string[];
  /** What was asked for outside of what is allowed. */
  trespasses(): string[];
}

/** For one file of tests. */
export function useGateWorld(): GateWorld {
  const proxy = new FaultyS3();
  let world: HandlerWorld;
  beforeAll(async () => {
    world = await openHandlerWorld(async (endpoint) => {
      await proxy.start(endpoint);
      return proxy.endpoint;
    });
  });
  afterAll(async () => {
    await proxy.close();
    await world.close();
  });
  const log = () => {
    const seen = proxy.requests.map(({ method, path: url }) => {
      const [path = '', query] = url.split('?');
      return requestLine(method, path, new URLSearchParams(query).get('prefix') ?? '');
    });
    proxy.reset();
    return seen;
  };
  return {
    get deps() {
      return world.deps;
    },
    get started() {
      return world.started;
    },
    put: (...object) => world.put(...object),
    context: () => lambdaContext('arn:aws:lambda:us-east-1:000000000000:function:gate', Date.now() + 60_000),
    log,
    trespasses: () => log().filter((each) => !ALLOWED_REQUEST.test(each)),
  };
}
