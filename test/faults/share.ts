/** Runs every so many-th cell, in a process of its own with a stack and a store of its own. */
import { cellsOf, observe, run, type Scene } from './cells.ts';
import { WAITS } from './clients.ts';
import { CONVERSIONS } from './conversions.ts';
import { QUESTIONS } from './questions.ts';
import type { ShareAnswer, ShareTask } from './run.ts';
import { select, titleOf } from './selection.ts';
import { startWorld } from './world.ts';

process.once('message', async ({ selection, share, shares, trace, known }: ShareTask) => {
  const [patient, impatient] = [await startWorld(WAITS.long), await startWorld(WAITS.short)];
  const passed = new Map(known.map((answer) => [answer.title, answer]));
  try {
    const plays = [...CONVERSIONS, ...QUESTIONS];
    // What is done for the first time may cost more.
    for (const { world } of [patient, impatient]) await observe(world, plays[0] as (typeof plays)[0]);
    const scenes: Scene[] = [];
    for (const play of plays) scenes.push(await observe(patient.world, play));
    if (share === 0) {
      for (const { play, total, kinds } of scenes) {
        process.stdout.write(`${play.name}: ${total} requests, faults at ${kinds.length} kinds\n`);
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
      const { play } = cell.scene;
      const { result, error, multiple, wrong } = await run((cell.fault.hangs ? impatient : patient).world, cell);
      if (trace) process.stdout.write(`${title}: ${error ?? result}, ${multiple.toFixed(1)}\n`);
      if (wrong.length > 0) process.stdout.write(`WRONG ${title}: ${wrong.join(', ')}\n`);
      process.send?.({
        ...{ title, when: cell.when, result, multiple },
        ...{ isWrong: wrong.length > 0, by: play.isQuestion ? cell.kind.by : undefined },
      } satisfies ShareAnswer);
    }
  } finally {
    await impatient.close();
    await patient.close();
  }
  process.disconnect();
});
