import { Presets, SingleBar } from 'cli-progress';
import type { PartCounts } from '../lib/jobs/here-request.ts';
import { formatBytes } from '../lib/units.ts';
import { note } from './report.ts';

export interface Progress {
  /** Bytes done, out of how many, and the parts so far by their kinds, if there are any. */
  update(done: number, total: number, parts?: PartCounts): void;
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
      format: '{bar} {percentage}% | {done} of {size} | {rate}/s | {eta_formatted} left{parts}',
      stream: process.stderr,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  return {
    update(done, total, parts) {
      const made = countsOf(parts);
      const shown = {
        done: formatBytes(done),
        size: formatBytes(total),
        rate: rate(done, seconds()),
        parts: made && ` | ${made}`,
      };
      if (line.isActive) line.update(done, shown);
      else line.start(total, done, shown);
    },
    end: () => line.stop(),
  };
}

function lines(seconds: () => number): Omit<Progress, 'seconds'> {
  let shown = 0;
  return {
    update(done, total, parts) {
      const tenth = Math.floor((done / total) * 10);
      if (tenth === shown) return;
      shown = tenth;
      const left = Math.ceil((seconds() * (total - done)) / done);
      const told = [`${formatBytes(done)} of ${formatBytes(total)}`, `${rate(done, seconds())}/s`, `${left} s left`];
      note(`${tenth * 10}%: ${[...told, countsOf(parts)].filter(Boolean).join(', ')}`);
    },
    end: () => undefined,
  };
}

const rate = (done: number, seconds: number) => formatBytes(Math.round(done / Math.max(seconds, 0.001)));

/** `3 data, 2 zero`. */
function countsOf(parts: PartCounts = {}): string {
  return Object.entries(parts)
    .map(([kind, count]) => `${count} ${kind}`)
    .join(', ');
}
