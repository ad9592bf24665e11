import { beginCall } from './call.ts';
import type { Emit } from './metrics.ts';

/** What is sent while it is made. */
export type Body = AsyncIterable<Uint8Array | string>;

/**
 * As `inCall`, for an answer whose body is made while it is sent: the invocation ends when that has been sent, has failed
 * or is given up.
 *
 * @param ended Is told so within the invocation, with why the body failed if it did.
 */
export async function inStreamedCall<A extends { readonly body?: Body | undefined }>(
  emit: Emit,
  keys: Record<string, string>,
  run: () => Promise<A>,
  ended: (answer: A, error?: unknown) => void,
): Promise<A> {
  const { within, end } = beginCall(emit, keys);
  const answer = await within(run).catch((error) => {
    end();
    throw error;
  });
  const finish = (error?: unknown) => {
    within(() => ended(answer, error));
    end();
  };
  if (answer.body) return { ...answer, body: untilEnded(answer.body, within, finish) };
  finish();
  return answer;
}

/**
 * A body whose pieces are made within an invocation, though it is the stream that sends them which asks for each. No
 * generator: one that is given up before its first piece does not learn of it.
 */
function untilEnded(body: Body, within: <T>(work: () => T) => T, finish: (error?: unknown) => void): Body {
  const pieces = body[Symbol.asyncIterator]();
  let isOver = false;
  const over = (error?: unknown) => {
    if (!isOver) finish(error);
    isOver = true;
  };
  const iterator: AsyncIterableIterator<Uint8Array | string> = {
    [Symbol.asyncIterator]: () => iterator,
    async next() {
      try {
        const piece = await within(() => pieces.next());
        if (piece.done) over();
        return piece;
      } catch (error) {
        over(error);
        throw error;
      }
    },
    async return(value) {
      await within(async () => pieces.return?.()).catch(() => undefined);
      over();
      return { done: true, value };
    },
  };
  return iterator;
}
