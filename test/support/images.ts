import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UnqcowError } from '../../lib/errors.ts';
import { diskBatches } from '../../lib/format/layer.ts';
import { type MapEntry, mapEntries } from '../../lib/format/map.ts';
import { convertHere, type HereResult } from '../../lib/jobs/convert-here.ts';
import { type DiskOptions, openDisk } from '../../lib/jobs/open-disk.ts';
import type { ByteRange } from '../../lib/ranges.ts';
import type { ByteSource, OpenSource } from '../../lib/source/byte-source.ts';
import { memorySource } from '../../lib/source/memory.ts';

/** A source that also tells which ranges were asked of it, in order. */
export interface Recorded extends OpenSource {
  readonly requests: readonly ByteRange[];
}

export function recorded(source: ByteSource): Recorded {
  const requests: ByteRange[] = [];
  return {
    size: source.size,
    id: source.id,
    requests,
    verify: async () => undefined,
    close: async () => undefined,
    read({ start, end }, options) {
      requests.push({ start, end });
      return source.read({ start, end }, options);
    },
  };
}

/** Bytes that nobody changes or closes, as a source that could be. */
export function openBytes(bytes: Uint8Array): OpenSource {
  return { ...memorySource(bytes), verify: async () => undefined, close: async () => undefined };
}

const PLACE = { kind: 'file', path: 'disk.qcow2' } as const;

/** The whole map, as `unqcow map` prints it. */
export async function mapOf(source: OpenSource, options: DiskOptions = {}): Promise<MapEntry[]> {
  const disk = await openDisk(source, PLACE, { placesOnly: true, ...options });
  const isEncrypted = (layer: number) => disk.layers[layer]?.plain === false;
  return Array.fromAsync(mapEntries(diskBatches(disk, { start: 0, end: disk.size }), isEncrypted));
}

export interface Converted extends HereResult {
  readonly path: string;
}

/** Converts to a new file in `folder`. */
export async function convertTo(
  folder: string,
  source: OpenSource,
  outputLimit?: number,
  more: DiskOptions = {},
): Promise<Converted> {
  const path = join(folder, `${randomUUID()}.raw`);
  const result = await convertHere({
    ...more,
    source,
    location: PLACE,
    copySource: undefined,
    target: { kind: 'file', path },
    options: { overwrite: false, copyParts: false, zeroParts: false },
    workers: 2,
    outputLimit,
  });
  return { ...result, path };
}

/** What a refusal says, and that it is one: anything else that is thrown is a defect. */
export async function refusalOf(work: Promise<unknown>): Promise<UnqcowError | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof UnqcowError && error.code !== 'INTERNAL') return error;
    throw error;
  }
}

export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
