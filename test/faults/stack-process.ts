/** The local stack in a process of its own, which tells its parent where it is, and may be killed there. */
import { startStack } from '../../infra/local/stack.ts';
import { SMALL_PARTS } from '../pipeline/small-world.ts';

process.once('message', async ({ dir, input }: { readonly dir: string; readonly input: unknown }) => {
  const stack = await startStack({
    store: { dir },
    limits: SMALL_PARTS,
    onEvent: (event) => process.send?.(event.type === 'state' ? event.state : event.type),
  });
  stack.stepFunctions.start('killed', input);
});
