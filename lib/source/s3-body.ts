import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import type { Meter } from './metered.ts';

interface Draining {
  readonly signal: AbortSignal;
  readonly alive: () => void;
  readonly meter?: Meter | undefined;
  /** Told up to where `into` is filled. */
  readonly received?: (end: number) => void;
}

/** Puts a body into `into` from `at` on. @throws if it is shorter or longer than what is left there. */
export async function drain(
  answer: GetObjectCommandOutput,
  into: Uint8Array,
  at: number,
  { signal, alive, meter, received = () => {} }: Draining,
): Promise<void> {
  const stop = () => destroy(answer);
  signal.addEventListener('abort', stop, { once: true });
  let end = at;
  try {
    for await (const chunk of answer.Body as AsyncIterable<Uint8Array>) {
      alive();
      const next = end + chunk.length;
      const isTooLong = next > into.length;
      end = isTooLong ? at : next; // nothing of a body that runs past the range is to be trusted
      received(end);
      if (isTooLong) throw new Error('the body is longer than the range');
      into.set(chunk, next - chunk.length);
      if (meter) meter.bytes += chunk.length;
    }
  } catch (error) {
    if (end < into.length) throw error; // else all is there, and what became of the connection does not matter
  } finally {
    signal.removeEventListener('abort', stop);
  }
  if (end === into.length) return;
  signal.throwIfAborted();
  throw new Error(`the body ended after ${end - at} of ${into.length - at} bytes`);
}

/** What `check` makes of an answer; if it refuses it, the rest of the body is not waited for. */
export function orDestroyed<T>(answer: GetObjectCommandOutput, check: () => T): T {
  try {
    return check();
  } catch (error) {
    destroy(answer);
    throw error;
  }
}

function destroy(answer: GetObjectCommandOutput): void {
  (answer.Body as { destroy?: () => void } | undefined)?.destroy?.();
}
