import { pMapIterable } from 'p-map';
import { UnqcowError } from '../../errors.ts';
import type { ByteSource } from '../../source/byte-source.ts';
import { zeroPadded } from '../../source/zero-padded.ts';
import { KiB, MiB } from '../../units.ts';
import { viewOf } from '../struct.ts';
import type { L2Table } from './l2-tables.ts';

/** Two tables nearer than this are fetched by one request. */
export const TABLES_TOGETHER = { maxGap: 256 * KiB, maxLength: 8 * MiB };
const CHUNKS_AHEAD = 3;
/** An L2 table that is remembered takes some 200 bytes, and as many again are while they are chosen. */
const BYTES_PER_TABLE = 400;
/** L2 tables that do not lie on each other have no more bytes than the file; these are for a few that do. */
const SPARE_TABLE_BYTES = 256 * MiB;

/** How many L2 tables to remember at a time: a quarter of the memory. */
export const tablesAtATime = (memory: number): number => Math.max(1, Math.floor(memory / 4 / BYTES_PER_TABLE));

/** @throws UnqcowError `CHECK_LIMIT` if tables lie on each other, so that they could have any number of bytes in all. */
export function assertWork(tables: number, bytes: number, fileSize: number): void {
  if (bytes <= fileSize + SPARE_TABLE_BYTES) return;
  const message = `${tables} L2 tables that lie on each other are more to read than the whole file`;
  throw new UnqcowError('CHECK_LIMIT', message, { at: 'l1' });
}

export interface ReadTablesOptions {
  /** Length of a table. */
  readonly bytes: number;
  readonly signal?: AbortSignal | undefined;
}

/** Reads tables, a few requests of up to 8 MiB ahead. Of one that the file cuts off, the rest is zeros. */
export async function* readTables(
  source: ByteSource,
  tables: readonly L2Table[],
  { bytes, signal }: ReadTablesOptions,
): AsyncGenerator<readonly [L2Table, DataView]> {
  const padded = zeroPadded(source);
  const read = (chunk: readonly L2Table[]) =>
    Promise.all(
      chunk.map(async (table) => {
        const range = { start: table.offset, end: table.offset + bytes };
        return [table, viewOf(await padded.read(range, { signal }))] as const;
      }),
    );
  const perChunk = Math.min(256, Math.max(1, Math.floor(TABLES_TOGETHER.maxLength / bytes)));
  const chunks = pMapIterable(chunksOf(tables, perChunk), read, {
    concurrency: CHUNKS_AHEAD,
    backpressure: CHUNKS_AHEAD,
  });
  for await (const chunk of chunks) yield* chunk;
}

function* chunksOf<T>(items: readonly T[], length: number): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += length) yield items.slice(at, at + length);
}
