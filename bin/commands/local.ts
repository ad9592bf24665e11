import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { startStack } from '../../infra/local/stack.ts';
import type { ExecutionEvent } from '../../infra/local/step-functions/server.ts';
import { UnqcowError } from '../../lib/errors.ts';
import { print } from '../report.ts';

export interface LocalFlags {
  readonly port: number;
  readonly dir: string;
}

/** `unqcow local`: the whole stack on this machine, until Ctrl-C. */
export async function local({ port, dir }: LocalFlags): Promise<void> {
  const data = resolve(dir);
  await mkdir(data, { recursive: true });
  const stack = await started({
    store: { dir: data, port },
    apiPort: port + 1,
    stepFunctionsPort: port + 2,
    onEvent: (event) => print(tell(event)),
  });
  const { store, buckets, apiEndpoint, stepFunctions } = stack;
  print(`unqcow is running; its data lies in ${join(data, 's3')}

  S3               ${store.endpoint}
  HTTP API         ${apiEndpoint}
  Step Functions   ${stepFunctions.endpoint}

An image uploaded to s3://${buckets.images} as *.qcow2 comes out in s3://${buckets.raw}:

  export AWS_ENDPOINT_URL_S3=${store.endpoint} AWS_REGION=${store.region} \\
         AWS_ACCESS_KEY_ID=${store.credentials.accessKeyId} AWS_SECRET_ACCESS_KEY=${store.credentials.secretAccessKey}
  aws s3 cp disk.qcow2 s3://${buckets.images}/
  curl ${apiEndpoint}/images/${buckets.images}/disk.qcow2

Ctrl-C ends it.`);
  await new Promise<void>((stop) => process.once('SIGINT', () => stop()).once('SIGTERM', () => stop()));
  await stack.close();
}

/** @throws UnqcowError `BAD_REQUEST` if a port is taken. */
async function started(options: Parameters<typeof startStack>[0]) {
  try {
    return await startStack(options);
  } catch (error) {
    const { code, port } = error as NodeJS.ErrnoException & { port?: number };
    if (code !== 'EADDRINUSE') throw error;
    throw new UnqcowError('BAD_REQUEST', `port ${port} is taken; --port asks for another`, {
      at: '--port',
      cause: error,
    });
  }
}

/** One line for each thing that happens to a conversion. */
export function tell(event: ExecutionEvent): string {
  const name = event.execution.slice(0, 12);
  switch (event.type) {
    case 'started':
      return `${name}  started`;
    case 'state':
      return `${name}  ${event.state}`;
    case 'map':
      return `${name}  ${event.state}: ${event.done} of ${event.total} shares`;
    case 'ended':
      return `${name}  ${event.status}${event.error ? `: ${event.error} ${event.cause ?? ''}` : ''}`;
  }
}
