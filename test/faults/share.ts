/** Runs every so many-th cell, in a process of its own with a stack and a store of its own. */
import { cellsOf, observe, run } from './cells.ts';
import { WAITS } from './clients.ts';
import type { ShareAnswer, ShareTask } from './run.ts';
import { select, titleOf } from './selection.ts';
import { startWorld } from './world.ts';

process.once('message', async ({ selection, share, shares, trace, known }: ShareTask) => {
  const [world, impatient] = [await startWorld(WAITS.long), await startWorld(WAITS.short)];
  const passed = new Map(known.map((answer) => [answer.title, answer]));
  try {
    for (const each of [world, impatient]) await observe(each, 'warm', { mode: 'parts' });
    const scenes = [
      await observe(world, 'parts', { mode: 'parts' }),
      await observe(world, 'whole', { mode: 'whole', wants: ({ by }) => by !== 'sweep' }),
      await observe(world, 'zeros', { mode: 'zeros', wants: ({ by }) => by === 'plan' }),
      await observe(world, 'doomed', { mode: 'parts', doomed: true }),
    ];
    if (share === 0) {
      for (const { name, total, kinds } of scenes) {
        process.stdout.write(`${name}: ${total} requests of ${kinds.length} kinds\n`);
      }
    }
    const cells = select(scenes.flatMap(cellsOf), selection).filter((_, i) => i % shares === share);
    for (const cell of cells) {
      const title = titleOf(cell);
      const before = passed.get(title);
      if (before) {
        process.send?.(before);
        continue;
      }
      const { result, error, multiple, wrong } = await run(cell.fault.hangs ? impatient : world, cell);
      if (trace) process.stdout.write(`${title}: ${error ?? result}, ${multiple.toFixed(1)}\n`);
      if (wrong.length > 0) process.stdout.write(`WRONG ${title}: ${wrong.join(', ')}\n`);
      process.send?.({ title, when: cell.when, result, multiple, isWrong: wrong.length > 0 } satisfies ShareAnswer);
    }
  } finally {
    await impatient.close();
    await world.close();
  }
  process.disconnect();
});
