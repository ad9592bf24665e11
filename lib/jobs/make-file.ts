import { assemble } from '../chunk/assemble.ts';
import { countByKind, type Part, planParts } from '../plan/parts.ts';
import { READ_LIMITS } from '../plan/reads.ts';
import type { Runs } from '../plan/runs.ts';
import { type ByteRange, splitRange } from '../ranges.ts';
import { combineCrc32, crc32Of, crc32OfZeros } from '../sink/crc32.ts';
import { openFileSink } from '../sink/file.ts';
import { MiB } from '../units.ts';
import { hexOf } from './conversion.ts';
import type { HereRequest } from './here-request.ts';
import { type Making, type MakingTask, progressReporter } from './making.ts';
import type { OpenDisk } from './open-disk.ts';

/**
 * How much is assembled and written at a time, a multiple of every cluster size: out of files little enough to stay in a
 * cache, out of S3 as much as a request brings.
 */
const STRIDES = { file: 4 * MiB, s3: READ_LIMITS.maxLength };

type Stride = ByteRange & { readonly part: Part };
const lengthOf = ({ start, end }: ByteRange) => end - start;

/** Starts a file: each stride is written where it belongs; where the disk has zeros, the file has holes. */
export async function makeFile(request: HereRequest, path: string, disk: OpenDisk, runs: Runs): Promise<Making> {
  const parts = planParts(runs, { copyParts: false, zeroParts: true });
  const strides = parts.flatMap((part): Stride[] =>
    part.kind === 'zero'
      ? [{ start: part.start, end: part.end, part }]
      : splitRange(part, STRIDES[request.location.kind]).map((range) => ({ ...range, part })),
  );
  const left = new Map(parts.map((part) => [part, lengthOf(part)]));
  const progress = progressReporter(request, disk.size);
  const sink = await openFileSink(path, disk.size, { overwrite: request.options.overwrite !== 'never' });
  const sums = request.checksum ? new Array<number>(strides.length) : undefined;
  const write = async (range: ByteRange, signal: AbortSignal, into: Uint8Array) => {
    await assemble(disk, range, { signal, into });
    await sink.write(into, range.start);
  };
  return {
    tasks: strides.map((stride, i): MakingTask => {
      const { part, start } = stride;
      const length = lengthOf(stride);
      const isZero = part.kind === 'zero';
      return {
        start,
        memory: isZero ? 0 : length,
        async run(stop, buffer) {
          if (!isZero) await write(stride, stop, buffer);
          if (sums) sums[i] = isZero ? crc32OfZeros(length) : crc32Of(buffer);
          const rest = (left.get(part) ?? 0) - length;
          left.set(part, rest);
          progress(length, rest === 0 ? part.kind : undefined);
        },
      };
    }),
    async finish() {
      await disk.verify();
      await sink.finish();
      const crc32 = sums?.reduce((sum, each, i) => combineCrc32(sum, each, lengthOf(strides[i] as Stride)), 0);
      return { ...(crc32 === undefined ? {} : { crc32: hexOf(crc32) }), parts: countByKind(parts) };
    },
    discard: () => sink.discard(),
  };
}
