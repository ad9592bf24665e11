import { join, resolve } from 'node:path';
import { secretArn } from '../../infra/local/secrets-manager.ts';
import { startStack } from '../../infra/local/stack.ts';
import type { ExecutionEvent } from '../../infra/local/step-functions/server.ts';
import { messageOf } from '../../lib/jobs/executions.ts';
import { listening } from '../listening.ts';
import { ownFolder } from '../own-folder.ts';
import { print } from '../report.ts';
import { untilStopped } from '../stopping.ts';

export interface LocalFlags {
  readonly port: number;
  readonly dir: string;
}

/** `unqcow local`: the whole stack on this machine, until Ctrl-C. */
export async function local({ port, dir }: LocalFlags): Promise<void> {
  const data = resolve(dir);
  await using _folder = await ownFolder(data, '--dir');
  const stack = await listening(() =>
    startStack({
      store: { dir: data, port },
      secrets: { dir: join(data, 'secrets') },
      apiPort: port + 1,
      stepFunctionsPort: port + 2,
      onEvent: (event) => print(tell(event)),
      onUploads: (uploads) => {
        for (const upload of uploads)
          if (upload.outcome === 'ignored') print(`${upload.key} is left alone: ${upload.why}`);
      },
    }),
  );
  const { store, buckets, apiEndpoint, stepFunctions, stateMachineArn } = stack;
  print(`unqcow is running; its data lies in ${join(data, 's3')}

  S3               ${store.endpoint}
  HTTP API         ${apiEndpoint}
  Console          ${apiEndpoint}/
  Step Functions   ${stepFunctions.endpoint}, ${stateMachineArn}

An image uploaded to s3://${buckets.images} as *.qcow2 comes out in s3://${buckets.raw}:

  export AWS_ENDPOINT_URL_S3=${store.endpoint} AWS_ENDPOINT_URL_SFN=${stepFunctions.endpoint} AWS_REGION=${store.region} \\
         AWS_ACCESS_KEY_ID=${store.credentials.accessKeyId} AWS_SECRET_ACCESS_KEY=${store.credentials.secretAccessKey}
  aws --endpoint-url ${store.endpoint} s3 cp disk.qcow2 s3://${buckets.images}/
  curl ${apiEndpoint}/images/${buckets.images}/disk.qcow2

A passphrase in ${join(data, 'secrets/disks/NAME')} is the secret ${secretArn('disks/NAME').replace(/-\w+$/, '')}.

Ctrl-C ends it.`);
  await untilStopped();
  await stack.close();
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
      return `${name}  ${event.status}${event.error ? `: ${event.error}: ${messageOf(event.cause ?? '')}` : ''}`;
  }
}
