/** One function in a process of its own, as Lambda has it: told what to do by its parent, and may be killed at any time. */
import { depsFor } from '../../functions/_shared/deps.ts';
import { createHandler } from '../../functions/convert-part.ts';
import { lambdaContext } from '../../infra/local/step-functions/lambda-task.ts';
import type { Task } from './worker-process.ts';

process.once('message', async ({ payload, config, store }: Task) => {
  const silent = { info() {}, warn() {}, error() {} };
  const work = createHandler(depsFor(config, silent, store));
  try {
    const value = await work(
      payload,
      lambdaContext('arn:aws:lambda:us-east-1:0:function:convert-part', Date.now() + 60_000),
    );
    process.send?.({ value });
  } catch (error) {
    const { name, message } = error as Error;
    process.send?.({ error: { name, message } });
  }
  process.disconnect();
});
