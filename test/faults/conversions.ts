import type { Triggered } from '../../functions/on-upload.ts';
import { secretArn } from '../../infra/local/secrets-manager.ts';
import type { Ending, Play, Round } from './cells.ts';
import { type DiskName, SECRETS } from './disks.ts';
import type { World } from './world.ts';

interface ConversionPlay extends Omit<Play, 'begin'> {
  readonly disk: DiskName;
  /** Whether the object of zeros is to be made first. */
  readonly makesZeros?: boolean;
  /** What else its request says. */
  readonly asks?: (world: World) => object;
}

/** A conversion as the state machine is asked for it. */
function requested({ disk, makesZeros = false, asks = () => ({}), ...play }: ConversionPlay): Play {
  return {
    ...play,
    async begin(world, key) {
      await world.layZeros(!makesZeros);
      const input = { ...world.conversion(disk, key), ...asks(world) };
      return conversion(world, disk, key, async () => world.outcomeOf(world.execute(input)));
    },
  };
}

function conversion(world: World, disk: DiskName, key: string, act: () => Promise<Ending>): Round {
  return {
    act,
    // The sweeper meets the fault too; then it comes again, as by schedule.
    tidy: () => world.stack.sweep().catch(() => undefined),
    async judge({ result }) {
      await world.stack.sweep();
      const made = await world.made(disk, key);
      const wrong = [
        ...(made === 'WRONG' ? ['a wrong object'] : []),
        ...(result === 'done' && made === 'nothing' ? ['no object'] : []),
        ...((await world.openUploads()) > 0 ? ['an upload left open'] : []),
        ...((await world.sealedKeys()) > 0 ? ['keys left behind'] : []),
      ];
      await world.remove('raw', key);
      return wrong;
    },
  };
}

/** By these the store says, truly or not, that another object is there now: that one has an event of its own. */
const REPLACED = ['404', '412', 'another ETag'];

/**
 * A conversion that its upload's event starts. The event comes twice, since S3 may send it so; and each time it fails it
 * is tried again twice, as Lambda does.
 */
const uploaded: Play = {
  name: 'uploaded',
  wants: ({ by }) => by === 'on-upload',
  async begin(world, key) {
    const image = `${key}.qcow2`;
    await world.put('whole', image);
    const event = await world.uploadEvent(image);
    let isLeftAlone = false;
    const deliver = async (): Promise<Ending> => {
      try {
        const [triggered] = (await world.stack.deliver(event)) as [Triggered];
        if (triggered.outcome !== 'ignored')
          return world.outcomeOf(world.stack.stepFunctions.wait(triggered.execution));
        isLeftAlone = true;
        return { result: 'failed by name', error: triggered.why };
      } catch (error) {
        return { result: 'failed by name', error: (error as Error).name };
      }
    };
    const round = conversion(world, 'whole', `${image}.raw`, async () => {
      const first = await deliver();
      const second = await deliver();
      return second.result === 'done' ? first : { ...first, ...second };
    });
    return {
      ...round,
      async judge(ending, met) {
        const wrong = await round.judge(ending, met);
        await world.remove('images', image);
        const isLost = isLeftAlone ? !REPLACED.includes(met?.fault.name ?? '') : met?.when !== 'always';
        return ending.result !== 'done' && isLost ? [...wrong, `a lost upload: ${ending.error}`] : wrong;
      },
    };
  },
};

/** That there are no zeros yet costs what making them costs: that is a play of its own. */
const makesZeros: Play['leaves'] = ({ by, command }, { name }) =>
  by === 'plan' && command === 'HeadObject' && name === '404';

/** Ways to convert. */
export const CONVERSIONS: readonly Play[] = [
  requested({ name: 'parts', disk: 'parts', leaves: makesZeros }),
  requested({ name: 'whole', disk: 'whole', wants: ({ by }) => by !== 'sweep' }),
  requested({ name: 'zeros', disk: 'parts', makesZeros: true, wants: ({ by }) => by === 'plan' }),
  requested({ name: 'doomed', disk: 'parts', leaves: makesZeros, doom: { by: 'convert-part', command: 'UploadPart' } }),
  uploaded,
  requested({
    name: 'encrypted',
    disk: 'overlay',
    wants: ({ by, command, of }) => of !== undefined || (by !== 'sweep' && command === 'GetObject'),
    asks: ({ stack }) => ({
      gate: { allow: [`s3://${stack.buckets.images}/`] },
      keys: { '': secretArn(SECRETS.overlay), base: secretArn(SECRETS.base) },
    }),
  }),
];
