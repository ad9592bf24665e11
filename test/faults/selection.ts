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

export const titleOf = ({ scene: { play }, kind, when, fault }: Cell) =>
  `${play.isQuestion ? 'HTTP ' : ''}${play.name}: ${nameOf(kind)}, ${when}: ${fault.name}`;

/** Later requests of a kind that the core looks at, of conversions. */
const LATER = 60;

/**
 * The cells that are run. The core: what differs most at the first request of a kind, and some of it at later ones; and of
 * questions, which are answered soon, all but those that wait for what never comes.
 */
export function select(cells: readonly Cell[], { all, only, seed }: Selection): readonly Cell[] {
  if (only !== undefined) return cells.filter((cell) => titleOf(cell).includes(only));
  if (all) return cells;
  const first = cells.filter((cell) => isCore(cell) && isFirst(cell));
  // Real servers are slow, and know nothing of which request of a kind it is.
  if (targetKind !== 'ours') return first;
  const others = cells.filter((cell) => !first.includes(cell));
  const later = others.filter((cell) => isCore(cell) && !isQuestion(cell));
  return [...first, ...others.filter(isSoonAnswered), ...sampleOf(later, seed)];
}

/** Each fault that differs; and two that stay. */
const isCore = ({ fault, when, scene }: Cell) =>
  fault.core === true &&
  (scene.play.name !== 'zeros' || fault.name === 'done, answer lost') &&
  (when !== 'always' || ['500', '403'].includes(fault.name));
const isFirst = ({ when }: Cell) => when === 'first' || when === 'always';

const isQuestion = ({ scene }: Cell) => scene.play.isQuestion === true;
const isSoonAnswered = (cell: Cell) =>
  isQuestion(cell) && !cell.fault.hangs && (cell.when === 'first' || cell.when === 'last');

/** The same ones for the same seed. */
function sampleOf(cells: readonly Cell[], seed: string): readonly Cell[] {
  const rank = (cell: Cell) =>
    createHash('sha256')
      .update(`${seed} ${titleOf(cell)}`)
      .digest('hex');
  const ranked = cells.map((cell) => [rank(cell), cell] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  return ranked.slice(0, LATER).map(([, cell]) => cell);
}
