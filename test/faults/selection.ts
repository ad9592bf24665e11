import { createHash } from 'node:crypto';
import { targetKind } from '../s3/target.ts';
import type { Cell } from './cells.ts';
import { nameOf } from './kinds.ts';

export interface Selection {
  /** The whole matrix. */
  readonly all: boolean;
  /** Those with this in their titles. */
  readonly only?: string | undefined;
  readonly seed: string;
}

export const titleOf = ({ scene, kind, when, fault }: Cell) => `${scene.name}: ${nameOf(kind)}, ${when}: ${fault.name}`;

/** Later requests of a kind that the core looks at. */
const LATER = 60;

/** The cells that are run. The core: what differs most at the first request of a kind, and some of it at later ones. */
export function select(cells: readonly Cell[], { all, only, seed }: Selection): readonly Cell[] {
  if (only !== undefined) return cells.filter((cell) => titleOf(cell).includes(only));
  if (all) return cells;
  if (targetKind !== 'ours') return cells.filter(isForReal);
  const core = cells.filter(isCore);
  return [
    ...core.filter(isFirst),
    ...sampleOf(
      core.filter((cell) => !isFirst(cell)),
      seed,
    ),
  ];
}

/** Each fault that differs; and two that stay. */
const isCore = ({ fault, when, scene }: Cell) =>
  fault.core === true &&
  (scene.name !== 'zeros' || fault.name === 'done, answer lost') &&
  (when !== 'always' || ['500', '403'].includes(fault.name));
const isFirst = ({ when }: Cell) => when === 'first' || when === 'always';

/** What real servers are asked: what passes, what does not, and what they may have done all the same. */
const isForReal = ({ fault, when, scene }: Cell) =>
  scene.name !== 'zeros' && when === 'first' && ['500', '403', 'done, answer lost'].includes(fault.name);

/** The same ones for the same seed. */
function sampleOf(cells: readonly Cell[], seed: string): readonly Cell[] {
  const rank = (cell: Cell) =>
    createHash('sha256')
      .update(`${seed} ${titleOf(cell)}`)
      .digest('hex');
  const ranked = cells.map((cell) => [rank(cell), cell] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  return ranked.slice(0, LATER).map(([, cell]) => cell);
}
