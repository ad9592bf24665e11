import { countByKind, longestZero, type Part, planParts } from '../plan/parts.ts';
import type { Runs } from '../plan/runs.ts';
import { PLAN_LIMITS } from '../plan/s3-limits.ts';
import { shareOut } from '../plan/shares.ts';
import { describeRaw } from '../sink/s3-description.ts';
import { abortUpload, createUpload } from '../sink/s3-multipart.ts';
import { assertReplaceable, replacing } from '../sink/s3-replacing.ts';
import type { Receipt } from '../sink/s3-target.ts';
import { putWhole } from '../sink/s3-whole.ts';
import { ensureZeros, type LentZeros, lendZeros } from '../sink/s3-zeros.ts';
import { MiB } from '../units.ts';
import { finishUpload } from './complete-job.ts';
import { hexOf } from './conversion.ts';
import { makePart, memoryOf } from './convert-share.ts';
import { diskBytes } from './convert-whole.ts';
import type { HereRequest, Target } from './here-request.ts';
import { type Making, type MakingTask, progressReporter } from './making.ts';
import type { OpenDisk } from './open-disk.ts';
import { isCopyable } from './open-stored.ts';

type S3Target = Target & { readonly kind: 's3' };

/** Starts a multipart upload. A small disk is one stream, sent by `finish`. */
export async function makeObject(
  request: HereRequest,
  { stores, target, work }: S3Target,
  disk: OpenDisk,
  runs: Runs,
): Promise<Making> {
  const { options, signal, streamUpTo = PLAN_LIMITS.wholeDisk } = request;
  const { size: diskSize } = disk;
  const description = describeRaw(options, request.copySource, disk.losses?.report().bytes);
  await assertReplaceable(stores.writer, target, options.overwrite);
  if (diskSize <= streamUpTo) {
    const body = () => tapped(diskBytes(disk, signal), progressReporter(request, diskSize));
    return {
      tasks: [],
      async finish() {
        const { crc32 } = await replacing(stores.writer, target, options.overwrite, (condition) =>
          putWhole(stores.writer, target, body(), diskSize, { condition, description, signal }),
        );
        return { crc32: hexOf(crc32) };
      },
      discard: async () => undefined,
    };
  }
  const { copySource } = request;
  const parts = partsOf(request, runs, work !== undefined);
  const { zeros, giveBack } = await zerosFor({ stores, target, work }, parts);
  const upload = await createUpload(stores.writer, target, description).catch(async (error) => {
    await giveBack();
    throw error;
  });
  const maker = { writer: stores.writer, upload, copySource, layersOf: () => disk.layers, zeros };
  const progress = progressReporter(request, diskSize);
  const receipts: Receipt[] = [];
  return {
    tasks: [...shareOut(parts, [])].flat().map(
      (task): MakingTask => ({
        start: task.start,
        memory: memoryOf(task),
        async run(stop, into) {
          const receipt = await makePart({ ...maker, into, signal: stop }, task);
          receipts.push(receipt);
          progress(receipt.length, task.kind);
        },
      }),
    ),
    async finish() {
      await disk.verify();
      const plan = { diskSize, parts, options: { ...options, maxConcurrency: request.workers } };
      const { crc32 } = await finishUpload(stores, upload, plan, receipts);
      await giveBack();
      return { crc32, parts: countByKind(parts) };
    },
    async discard() {
      // The first error matters more than a failed abort.
      await abortUpload(stores.writer, upload).catch(() => undefined);
      await giveBack();
    },
  };
}

/** A lent object of zeros is made for one conversion: it is no longer than this, and not worth it for fewer zeros. */
const LENT_ZEROS = 64 * MiB;

function partsOf({ options, copySource }: HereRequest, runs: Runs, isKept: boolean): Part[] {
  const copyParts = options.copyParts && copySource !== undefined && isCopyable(copySource);
  const { zeroParts } = options;
  if (isKept) return planParts(runs, { copyParts, zeroParts });
  const parts = planParts(runs, { copyParts, zeroParts, maxZeroPart: LENT_ZEROS });
  const zeros = parts.reduce((sum, { kind, start, end }) => (kind === 'zero' ? sum + end - start : sum), 0);
  return zeros > LENT_ZEROS ? parts : planParts(runs, { copyParts, zeroParts: false });
}

/** An object of zeros to copy from, if there are any to copy: kept in the work bucket, or lent. */
async function zerosFor(
  { stores: { writer }, target, work }: Pick<S3Target, 'stores' | 'target' | 'work'>,
  parts: readonly Part[],
): Promise<Pick<LentZeros, 'giveBack'> & Partial<LentZeros>> {
  const longest = longestZero(parts);
  const giveBack = async () => undefined;
  if (longest === 0) return { giveBack };
  if (work) return { zeros: await ensureZeros(writer, work.bucket, work.prefix, longest), giveBack };
  return lendZeros(writer, target, longest);
}

async function* tapped(body: AsyncIterable<Uint8Array>, progress: (bytes: number) => void) {
  for await (const chunk of body) {
    yield chunk;
    progress(chunk.length);
  }
}
