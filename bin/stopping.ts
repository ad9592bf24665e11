import { once } from 'node:events';
import { UnqcowError } from '../lib/errors.ts';

/** Ctrl-C, an end by the system, and a terminal that is closed. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const running = new Set<AbortController>();

/** Aborted when what it belongs to is to stop, and clean up. Once disposed of, signals end the process at once again. */
export interface Stopping extends Disposable {
  readonly signal: AbortSignal;
}

/** From now on signals stop what looks at this one. */
export function stopping(): Stopping {
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    stop.abort(new UnqcowError('ABORTED', 'stopped by a signal'));
    // Who sends one again is in a hurry. But a terminal that is closed hangs up twice: the shell does, and the kernel.
    if (signal !== 'SIGHUP') process.off(signal, onSignal);
  };
  running.add(stop);
  for (const each of SIGNALS) process.on(each, onSignal);
  return {
    signal: stop.signal,
    [Symbol.dispose]() {
      running.delete(stop);
      for (const each of SIGNALS) process.off(each, onSignal);
    },
  };
}

/** Waits until then. */
export async function untilStopped(): Promise<void> {
  using stop = stopping();
  await once(stop.signal, 'abort');
}

/** Stops what runs as a signal does. @returns whether there is anything to wait for. */
export function stopAll(reason: UnqcowError): boolean {
  for (const stop of running) stop.abort(reason);
  return running.size > 0;
}
