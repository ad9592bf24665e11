import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { StateError } from './state-error.ts';

/** Where the items of a JSON Lines object lie: byte ranges, half-open, of one version of it. */
export interface ItemIndex {
  readonly object: { readonly Bucket: string; readonly Key: string; readonly IfMatch: string | undefined };
  readonly items: readonly { readonly start: number; readonly end: number }[];
}

/**
 * Reads the object once, streamed, and notes where each line lies. Items are read one by one as their children start: with
 * 10,000 of them, of up to 200 KiB, they do not all belong in memory, and no connection stays open while children work.
 *
 * @throws StateError `States.ItemReaderFailed` if the object cannot be read or a line is not JSON.
 */
export async function indexItems(
  s3: S3Client,
  object: { readonly Bucket: string; readonly Key: string },
  abortSignal: AbortSignal,
): Promise<ItemIndex> {
  try {
    const answer = await s3.send(new GetObjectCommand({ ...object }), { abortSignal });
    const items: { start: number; end: number }[] = [];
    for await (const { start, end, text } of lines(answer.Body as unknown as AsyncIterable<Buffer>)) {
      if (text.trim() === '') continue;
      JSON.parse(text);
      items.push({ start, end });
    }
    return { object: { ...object, IfMatch: answer.ETag }, items };
  } catch (error) {
    throw readerFailed(error);
  }
}

/** Reads one item: one ranged request. @throws StateError `States.ItemReaderFailed`, also if the object was replaced. */
export async function readItem(s3: S3Client, index: ItemIndex, at: number, abortSignal: AbortSignal): Promise<unknown> {
  const item = index.items[at];
  if (item === undefined) throw new RangeError(`there is no item ${at}`);
  try {
    const Range = `bytes=${item.start}-${item.end - 1}`;
    const { Body } = await s3.send(new GetObjectCommand({ ...index.object, Range }), { abortSignal });
    return JSON.parse((await Body?.transformToString()) ?? '');
  } catch (error) {
    throw readerFailed(error);
  }
}

async function* lines(chunks: AsyncIterable<Buffer>): AsyncGenerator<{ start: number; end: number; text: string }> {
  let offset = 0;
  let start = 0;
  let pieces: Buffer[] = [];
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      pieces.push(chunk.subarray(from, at));
      yield { start, end: offset + at, text: Buffer.concat(pieces).toString() };
      pieces = [];
      from = at + 1;
      start = offset + from;
    }
    pieces.push(chunk.subarray(from));
    offset += chunk.length;
  }
  yield { start, end: offset, text: Buffer.concat(pieces).toString() };
}

function readerFailed(error: unknown): StateError {
  return new StateError('States.ItemReaderFailed', error instanceof Error ? error.message : String(error));
}
