import { Presets, SingleBar } from 'cli-progress';
import { formatBytes } from '../lib/units.ts';
import { note } from './report.ts';

export interface Progress {
  /** Bytes done, out of how many. */
  update(done: number, total: number): void;
  end(): void;
  /** Since it began. */
  seconds(): number;
}

/** A bar on a terminal; elsewhere a line for each tenth of the way. */
export function showProgress({ quiet }: { readonly quiet: boolean }): Progress {
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  if (quiet) return { update: () => undefined, end: () => undefined, seconds };
  return { ...(process.stderr.isTTY ? bar(seconds) : lines(seconds)), seconds };
}

function bar(seconds: () => number): Omit<Progress, 'seconds'> {
  const line = new SingleBar(
    {
      format: '{bar} {percentage}% | {done} of {size} | {rate}/s | {eta} s left',
      stream: process.stderr,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  return {
    update(done, total) {
      const shown = { done: formatBytes(done), size: formatBytes(total), rate: rate(done, seconds()) };
      if (line.isActive) line.update(done, shown);
      else line.start(total, done, shown);
    },
    end: () => line.stop(),
  };
}

function lines(seconds: () => number): Omit<Progress, 'seconds'> {
  let shown = 0;
  return {
    update(done, total) {
      const tenth = Math.floor((done / total) * 10);
      if (tenth === shown) return;
      shown = tenth;
      note(`${tenth * 10}%: ${formatBytes(done)} of ${formatBytes(total)}, ${rate(done, seconds())}/s`);
    },
    end: () => undefined,
  };
}

const rate = (done: number, seconds: number) => formatBytes(Math.round(done / Math.max(seconds, 0.001)));
