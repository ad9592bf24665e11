import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda';
import type { Deps } from './deps.ts';
import { depsOnLambda } from './deps.ts';
import { vaultFor } from './secrets.ts';
import type { Body } from './streamed-call.ts';

/** An answer whose body is made while it is sent. */
export interface StreamedAnswer {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body?: Body | undefined;
}

export type StreamedHandler = (event: APIGatewayProxyEventV2, context: Context) => Promise<StreamedAnswer>;

/**
 * Sends a body, no faster than it is taken. Not by a pipeline, which would destroy the stream where the body fails: the
 * runtime then cannot tell Lambda why, and dies.
 *
 * @throws whatever `body` throws; an AbortError if whoever asked has gone.
 */
export async function send(
  body: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
  out: Writable,
): Promise<void> {
  const gone = new AbortController();
  out.once('close', () => gone.abort());
  for await (const piece of body) if (!out.write(piece)) await once(out, 'drain', { signal: gone.signal });
  out.end();
}

/** What Lambda calls behind a function URL that streams. The runtime's own global is there only. */
export function onLambdaStreaming(create: (deps: Deps) => StreamedHandler) {
  let handler: StreamedHandler | undefined;
  const run = async (event: APIGatewayProxyEventV2, stream: awslambda.HttpResponseStream, context: Context) => {
    if (!handler) {
      const deps = depsOnLambda(context);
      handler = create({ ...deps, vault: vaultFor(deps.config) });
    }
    const { body, ...head } = await handler(event, context);
    const out = awslambda.HttpResponseStream.from(stream, head);
    out.write(''); // sends the head, also where there is no body
    await send(body ?? [], out);
  };
  const { awslambda: runtime } = globalThis as { awslambda?: Partial<typeof awslambda> };
  return runtime?.streamifyResponse?.(run) ?? run;
}
