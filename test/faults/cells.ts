import { ErrorCodes } from '../../lib/errors.ts';
import { answers, type Fault, type FaultyS3, type SeenRequest } from '../support/faulty-s3.ts';
import { FAULTS, type FaultCase } from './faults.ts';
import { type Kind, kindOf, nameOf } from './kinds.ts';
import type { World } from './world.ts';

type When = 'first' | 'middle' | 'last' | 'always';

/** A way to use unqcow, each time anew. */
export interface Play {
  readonly name: string;
  /** Whether it is a question over HTTP; a conversion, if not. */
  readonly isQuestion?: boolean;
  /** Which requests faults befall; all if left out. */
  readonly wants?: (kind: Kind) => boolean;
  /** What is a play of its own, and so is left out of this one. */
  readonly leaves?: (kind: Kind, fault: FaultCase) => boolean;
  /** Requests that are denied in any case: what follows from that is what the play is about. */
  readonly doom?: Kind;
  /** Lays out what one time needs, under a key of its own. */
  begin(world: World, key: string): Promise<Round>;
}

/** A play, one time. */
export interface Round {
  act(): Promise<Ending>;
  /** What comes after it, and meets the fault as well. */
  tidy?(): Promise<unknown>;
  /** What must not be, once the fault is gone. Leaves nothing behind. */
  judge(ending: Ending, met?: Met): Promise<readonly string[]>;
}

export interface Ending {
  /** Done as it should be; refused or failed by a name; or cut off so that whoever asked sees it. */
  readonly result: 'done' | 'failed by name' | 'cut off';
  /** The name. */
  readonly error?: string | undefined;
}

/** A play whose requests are known. */
export interface Scene {
  readonly play: Play;
  /** What it costs where nothing goes wrong. */
  readonly total: number;
  readonly kinds: readonly { readonly kind: Kind; readonly count: number }[];
}

/** One fault that befalls one kind of request. */
export interface Cell {
  readonly scene: Scene;
  readonly kind: Kind;
  readonly when: When;
  /** Which request of the kind, from 0. */
  readonly index: number;
  readonly fault: FaultCase;
}

export type Met = Pick<Cell, 'fault' | 'when'>;

export interface Outcome extends Ending {
  readonly cell: Cell;
  /** Requests, as a multiple of what the play costs without faults. */
  readonly multiple: number;
  /** What must not be. */
  readonly wrong: readonly string[];
}

const HANGS = 120_000;
/** Requests may be so many times what a play without faults costs: where a fault is met once, and where it stays. */
const MOST_REQUESTS = { once: 4, always: 8 } as const;
/** What Step Functions itself says of a map, where a worker could not leave word of why it failed. */
const STATES_OWN = new Set([
  'States.ExceedToleratedFailureThreshold',
  'States.ItemReaderFailed',
  'States.ResultWriterFailed',
]);
const denied = answers(403, 'AccessDenied');
const isSame = (one: Kind | undefined, other: Kind | undefined) =>
  one !== undefined && other !== undefined && nameOf(one) === nameOf(other);
const isKind = (kind: Kind) => (seen: SeenRequest) => isSame(kindOf(seen), kind);

function always(faulty: FaultyS3, kind: Kind, fault: Fault): void {
  faulty.when(isKind(kind), ...Array.from({ length: 10_000 }, () => fault));
}

function once(faulty: FaultyS3, kind: Kind, index: number, fault: Fault): void {
  const is = isKind(kind);
  let seen = 0;
  faulty.when((request) => is(request) && seen++ === index, fault);
}

/** Runs a play without faults, and counts. @throws if it does not come out right. */
export async function observe(world: World, play: Play): Promise<Scene> {
  const { faulty } = world;
  const round = await play.begin(world, `${play.name}-without-faults`);
  faulty.reset();
  if (play.doom) always(faulty, play.doom, denied);
  const ending = await round.act();
  const total = faulty.requests.length;
  await round.tidy?.();
  const { wants = () => true } = play;
  const kinds = Map.groupBy(faulty.requests.flatMap((seen) => kindOf(seen) ?? []).filter(wants), nameOf);
  faulty.reset();
  const wrong = await round.judge(ending);
  if (wrong.length > 0 || (ending.result === 'done') === (play.doom !== undefined))
    throw new Error(`${play.name} without faults: ${[ending.error ?? ending.result, ...wrong].join(', ')}`);
  return { play, total, kinds: [...kinds.values()].map((all) => ({ kind: all[0] as Kind, count: all.length })) };
}

/** Every fault for every kind of request of a scene: its first, its middle, its last, and all of them. */
export function cellsOf(scene: Scene): Cell[] {
  const { doom, leaves = () => false } = scene.play;
  return scene.kinds.flatMap(({ kind, count }) => {
    const times = new Map<number, When>([
      [Math.floor(count / 2), 'middle'],
      [count - 1, 'last'],
      [0, 'first'],
    ]);
    const faults = FAULTS.filter((fault) => (fault.befalls?.(kind) ?? true) && !leaves(kind, fault));
    return faults.flatMap((fault) => [
      ...[...times].map(([index, when]): Cell => ({ scene, kind, when, index, fault })),
      // Where one stays already there is no place for another.
      ...(isSame(doom, kind) ? [] : [{ scene, kind, when: 'always', index: 0, fault } satisfies Cell]),
    ]);
  });
}

let keys = 0;

export async function run(world: World, cell: Cell): Promise<Outcome> {
  const { scene, kind, when, index, fault } = cell;
  const { faulty } = world;
  const { play } = scene;
  const round = await play.begin(world, `cell-${++keys}`);
  faulty.reset();
  if (when === 'always') always(faulty, kind, fault.fault);
  else once(faulty, kind, index, fault.fault);
  if (play.doom) always(faulty, play.doom, denied);
  const ending = await orHang(round.act());
  const multiple = faulty.requests.length / scene.total;
  await round.tidy?.();
  faulty.reset();
  const wrong = [
    ...wrongWith(ending),
    ...(fault.passes && when !== 'always' && !play.doom && ending.result !== 'done'
      ? [`seen from outside: ${ending.error}`]
      : []),
    ...(multiple > MOST_REQUESTS[when === 'always' ? 'always' : 'once']
      ? [`${multiple.toFixed(1)} times the requests`]
      : []),
    ...(await round.judge(ending, cell)),
  ];
  return { cell, ...ending, multiple, wrong };
}

function wrongWith({ result, error = '' }: Ending): string[] {
  if (result !== 'failed by name') return [];
  if (error === 'INTERNAL') return ['INTERNAL'];
  return Object.hasOwn(ErrorCodes, error) || STATES_OWN.has(error) ? [] : [`${error} is no code of ours`];
}

async function orHang(work: Promise<Ending>): Promise<Ending> {
  const late = Promise.withResolvers<Ending>();
  const hangs = { result: 'failed by name', error: 'what hangs' } as const;
  const timer = setTimeout(() => late.resolve(hangs), HANGS);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
