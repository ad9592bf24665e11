import { ErrorCodes } from '../../lib/errors.ts';
import { answers, type Fault, type SeenRequest } from '../support/faulty-s3.ts';
import { FAULTS, type FaultCase } from './faults.ts';
import { type Kind, kindOf, nameOf } from './kinds.ts';
import type { Mode, World } from './world.ts';

type When = 'first' | 'middle' | 'last' | 'always';

/** A conversion in which one fault befalls one kind of request. */
export interface Cell {
  readonly scene: Scene;
  readonly kind: Kind;
  readonly when: When;
  /** Which request of the kind, from 0. */
  readonly index: number;
  readonly fault: FaultCase;
}

export interface Outcome {
  readonly cell: Cell;
  readonly result: 'converted' | 'failed by name';
  /** The execution's error, if it failed. */
  readonly error: string | undefined;
  /** Requests, as a multiple of what a conversion without faults costs. */
  readonly multiple: number;
  /** What must not be. */
  readonly wrong: readonly string[];
}

/** A way to convert, and what it costs where nothing goes wrong. */
export interface Scene {
  readonly name: string;
  readonly mode: Mode;
  /** Fails in any case: its workers may not write. So the clean-up is seen too. */
  readonly doomed: boolean;
  readonly total: number;
  readonly kinds: readonly { readonly kind: Kind; readonly count: number }[];
}

const HANGS = 120_000;
/** Requests may be so many times what a conversion without faults costs: where a fault is met once, and where it stays. */
const MOST_REQUESTS = { once: 4, always: 8 } as const;
/** What Step Functions itself says of a map, where a worker could not leave word of why it failed. */
const STATES_OWN = new Set([
  'States.ExceedToleratedFailureThreshold',
  'States.ItemReaderFailed',
  'States.ResultWriterFailed',
]);
const denied = answers(403, 'AccessDenied');
const isKind = (kind: Kind) => (seen: SeenRequest) => {
  const is = kindOf(seen);
  return is !== undefined && nameOf(is) === nameOf(kind);
};
const always = (fault: Fault): Fault[] => Array.from({ length: 10_000 }, () => fault);

function doom({ faulty }: World): void {
  faulty.when(isKind({ by: 'convert-part', command: 'UploadPart' }), ...always(denied));
}

/** Runs a scene without faults, and counts. */
export async function observe(
  world: World,
  name: string,
  { mode, doomed = false, wants = () => true }: { mode: Mode; doomed?: boolean; wants?: (kind: Kind) => boolean },
): Promise<Scene> {
  const { faulty } = world;
  await world.clear(mode, name);
  faulty.reset();
  if (doomed) doom(world);
  const { status, error } = await world.convert(mode, name);
  if (status !== (doomed ? 'FAILED' : 'SUCCEEDED')) throw new Error(`${name} without faults is ${status}: ${error}`);
  const total = faulty.requests.length;
  await world.stack.sweep();
  const kinds = Map.groupBy(faulty.requests.flatMap((seen) => kindOf(seen) ?? []).filter(wants), nameOf);
  return {
    name,
    mode,
    doomed,
    total,
    kinds: [...kinds.values()].map((all) => ({ kind: all[0] as Kind, count: all.length })),
  };
}

/** That there are no zeros yet costs what making them costs: that is a scene of its own. */
const makesAnotherScene = ({ mode }: Scene, { by, command }: Kind, fault: FaultCase) =>
  mode === 'parts' && by === 'plan' && command === 'HeadObject' && fault.name === '404';

/** What dooms a scene is a fault that stays: there is no place for another. */
const isDoom = ({ doomed }: Scene, { by, command }: Kind) =>
  doomed && by === 'convert-part' && command === 'UploadPart';

/** Every fault for every kind of request of a scene: its first, its middle, its last, and all of them. */
export function cellsOf(scene: Scene): Cell[] {
  return scene.kinds.flatMap(({ kind, count }) => {
    const times = new Map<number, When>([
      [Math.floor(count / 2), 'middle'],
      [count - 1, 'last'],
      [0, 'first'],
    ]);
    const faults = FAULTS.filter((fault) => (fault.befalls?.(kind) ?? true) && !makesAnotherScene(scene, kind, fault));
    return faults.flatMap((fault) => [
      ...[...times].map(([index, when]): Cell => ({ scene, kind, when, index, fault })),
      ...(isDoom(scene, kind) ? [] : [{ scene, kind, when: 'always', index: 0, fault } satisfies Cell]),
    ]);
  });
}

let keys = 0;

export async function run(world: World, cell: Cell): Promise<Outcome> {
  const { scene, kind, when, index, fault } = cell;
  const { faulty, stack } = world;
  const key = `cell-${++keys}`;
  await world.clear(scene.mode, key);
  faulty.reset();
  if (when === 'always') faulty.when(isKind(kind), ...always(fault.fault));
  else {
    const is = isKind(kind);
    let seen = 0;
    faulty.when((request) => is(request) && seen++ === index, fault.fault);
  }
  if (scene.doomed) doom(world);
  const { status, error } = await orHang(world.convert(scene.mode, key));
  const multiple = faulty.requests.length / scene.total;
  // The sweeper meets the fault too; then it comes again, as by schedule.
  await stack.sweep().catch(() => undefined);
  faulty.reset();
  await stack.sweep();
  const made = await world.made(scene.mode, key);
  const wrong = [
    ...(made === 'WRONG' ? ['a wrong object'] : []),
    ...(status === 'SUCCEEDED' && made === 'nothing' ? ['no object'] : []),
    ...(status === 'SUCCEEDED' && scene.doomed ? ['a success that cannot be'] : []),
    ...(status === 'SUCCEEDED' || Object.hasOwn(ErrorCodes, error ?? '') || STATES_OWN.has(error ?? '')
      ? []
      : [`${error} is no code of ours`]),
    ...(error === 'INTERNAL' ? ['INTERNAL'] : []),
    ...(fault.passes && when !== 'always' && !scene.doomed && status !== 'SUCCEEDED'
      ? [`seen from outside: ${error}`]
      : []),
    ...(multiple > MOST_REQUESTS[when === 'always' ? 'always' : 'once']
      ? [`${multiple.toFixed(1)} times the requests`]
      : []),
    ...((await world.openUploads()) > 0 ? ['an upload left open'] : []),
  ];
  await world.clear(scene.mode, key);
  return { cell, result: status === 'SUCCEEDED' ? 'converted' : 'failed by name', error, multiple, wrong };
}

async function orHang<T extends { status: string; error?: string }>(
  work: Promise<T>,
): Promise<{ status: string; error?: string }> {
  const late = Promise.withResolvers<{ status: string; error: string }>();
  const timer = setTimeout(() => late.resolve({ status: 'HANGS', error: 'a conversion that hangs' }), HANGS);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
