import type { ByteRange } from '../ranges.ts';
import type { Run } from './runs.ts';
import { S3_LIMITS } from './s3-limits.ts';

/** What parts of one kind can be cut out of: no two neighbours are data, and all but the last are as long as a part must be. */
export type Stretch =
  | ({ readonly kind: 'zero' } & ByteRange)
  | ({ readonly kind: 'copy'; readonly host: number } & ByteRange)
  | ({ readonly kind: 'data' } & ByteRange);

export interface StretchOptions {
  readonly copyParts: boolean;
  readonly zeroParts: boolean;
  /** Runs are cut to multiples of this; what is cut off is data. */
  readonly grid: number;
  /** Where data starts and ends: a multiple of it, or at the disk's end. */
  readonly unit: number;
}

/** Joins runs to stretches. One pass; a pure function of its arguments. */
export function stretchesOf(runs: readonly Run[], options: StretchOptions): Stretch[] {
  const joined: Stretch[] = [];
  const addData = (start: number, end: number) => {
    const last = joined.at(-1);
    if (last?.kind === 'data') joined[joined.length - 1] = { ...last, end };
    else if (start < end) joined.push({ kind: 'data', start, end });
  };
  for (const run of runs) {
    const inside = cutToGrid(run, runs, options);
    addData(run.start, inside?.start ?? run.end);
    if (!inside) continue;
    joined.push(inside);
    addData(inside.end, run.end);
  }
  return widened(joined, options);
}

/** As much of a run as gets parts of its own. */
function cutToGrid(
  run: Run,
  runs: readonly Run[],
  { copyParts, zeroParts, grid }: StretchOptions,
): Stretch | undefined {
  if (run.kind === 'data' || !(run.kind === 'zero' ? zeroParts : copyParts)) return undefined;
  const start = Math.ceil(run.start / grid) * grid;
  const end = run === runs.at(-1) ? run.end : Math.floor(run.end / grid) * grid;
  return end - start >= Math.min(grid, run.end - run.start) ? { ...startingAt(run, start), end } : undefined;
}

/** Data too short for a part takes what it lacks from a neighbour: from zeros, if it can, which need no reading. */
function widened(stretches: readonly Stretch[], { unit }: StretchOptions): Stretch[] {
  const done: Stretch[] = [];
  const rest = [...stretches].reverse(); // the next one at the end
  for (let stretch = rest.pop(); stretch; stretch = rest.pop()) {
    const next = rest.at(-1);
    const before = done.at(-1);
    if (stretch.kind !== 'data' || !next || stretch.end - stretch.start >= S3_LIMITS.minPart) {
      done.push(stretch);
      continue;
    }
    const until = Math.ceil((stretch.start + S3_LIMITS.minPart) / unit) * unit;
    const from = Math.floor((stretch.end - S3_LIMITS.minPart) / unit) * unit;
    if (before?.kind === 'zero' && next.kind !== 'zero' && from - before.start >= S3_LIMITS.minPart) {
      done[done.length - 1] = { ...before, end: from };
      done.push({ ...stretch, start: from });
    } else if (next.end - until >= S3_LIMITS.minPart) {
      rest[rest.length - 1] = startingAt(next, until);
      done.push({ ...stretch, end: until });
    } else {
      rest.pop(); // all of it, and the data that then follows
      const end = rest.at(-1)?.kind === 'data' ? rest.pop()?.end : next.end;
      rest.push({ ...stretch, end: end ?? next.end });
    }
  }
  return done;
}

function startingAt(stretch: Stretch, start: number): Stretch {
  return stretch.kind === 'copy'
    ? { ...stretch, start, host: stretch.host + start - stretch.start }
    : { ...stretch, start };
}
