import { UnqcowError } from '../errors.ts';
import { countByKind, type Part } from '../plan/parts.ts';
import { isMade, isProven } from '../sink/s3-made.ts';
import { abortUpload, completeUpload, crc32OfParts, listParts } from '../sink/s3-multipart.ts';
import { getText, headObject, storedAs, type Written } from '../sink/s3-object.ts';
import { replacing } from '../sink/s3-replacing.ts';
import type { Receipt, S3Target, Upload } from '../sink/s3-target.ts';
import { s3Source } from '../source/s3.ts';
import {
  type ConversionResult,
  destinationOf,
  digestOf,
  hexOf,
  type PlanRecord,
  type ShareResult,
} from './conversion.ts';
import type { Stores } from './stores.ts';

/**
 * Puts the raw object together, after making sure that every part is there as planned and that the image is still the
 * one that was planned for. Safe to run twice: an object that is there already, whole, is success.
 *
 * Costs a HEAD of each of the disk's files, a ListParts per 1,000 parts, a Complete, and a HEAD of the object.
 *
 * @throws UnqcowError `SOURCE_CHANGED`; as `finishUpload` does.
 */
export async function completeJob(
  stores: Stores,
  plan: PlanRecord,
  results: readonly ShareResult[],
  uploadId: string,
): Promise<ConversionResult> {
  const { job, source, pins, destination, parts, warnings } = plan;
  const odd = results.find((result) => result.pins !== digestOf(pins));
  if (odd) throw new UnqcowError('RECEIPTS_MISMATCH', `share ${odd.share} was made of another version of the image`);
  await Promise.all(pins.map((pin) => s3Source(stores.reader, pin).verify()));
  const receipts = results.flatMap((result) => result.receipts);
  const finished = await finishUpload(stores, { ...destination, uploadId }, plan, receipts);
  const costs = [plan.cost, ...results.map(({ cost }) => cost)];
  const read = { requests: sum(costs.map((cost) => cost.requests)), bytes: sum(costs.map((cost) => cost.bytes)) };
  return { job, source, ...finished, parts: countByKind(parts), read, warnings };
}

/** What of a plan decides how its upload is completed. */
export type Finishing = Pick<PlanRecord, 'diskSize' | 'parts' | 'options'>;

/**
 * Completes an upload out of its parts, and looks at what came of it.
 *
 * @throws UnqcowError `RECEIPTS_MISMATCH`, `CHECKSUM_MISMATCH`, `DESTINATION_EXISTS`, `UPLOAD_GONE`.
 */
export async function finishUpload(
  { writer }: Stores,
  upload: Upload,
  plan: Finishing,
  made: readonly Receipt[],
): Promise<Pick<ConversionResult, 'destination' | 'size' | 'crc32' | 'proven'>> {
  const { diskSize: size, options } = plan;
  const { uploadId: _, ...target } = upload;
  const receipts = asPlanned(plan.parts, made);
  const crc32 = crc32OfParts(receipts);
  const whole = { size, crc32, etags: receipts.map(({ etag }) => etag) };
  let written: Written | undefined;
  try {
    const parts = asStored(receipts, await listParts(writer, upload));
    written = await replacing(writer, target, options.overwrite, (condition) =>
      completeUpload(writer, upload, { parts, crc32: crc32OfParts(parts), size, condition }),
    );
  } catch (error) {
    // An earlier try may have done it, and its answer been lost; then this upload is one too many, if it is there at all.
    const mayBeDone =
      error instanceof UnqcowError && (error.code === 'UPLOAD_GONE' || error.code === 'DESTINATION_EXISTS');
    if (!mayBeDone || !isMade(await headObject(writer, target), whole)) throw error;
    await abortUpload(writer, upload);
  }
  const object = await storedAs(writer, target, size, written);
  return {
    destination: destinationOf(object),
    size,
    ...(crc32 === undefined ? {} : { crc32: hexOf(crc32) }),
    proven: isProven(object, whole),
  };
}

/** Each part's receipt, in order. A part that two workers made has two; both are for the same bytes. */
function asPlanned(parts: readonly Part[], receipts: readonly Receipt[]): Receipt[] {
  const byNumber = new Map(receipts.map((receipt) => [receipt.number, receipt]));
  if (byNumber.size !== parts.length) {
    throw new UnqcowError('RECEIPTS_MISMATCH', `${parts.length} parts were planned, and ${byNumber.size} were made`);
  }
  return parts.map(({ number, start, end }) => {
    const receipt = byNumber.get(number);
    if (receipt?.length === end - start) return receipt;
    throw new UnqcowError('RECEIPTS_MISMATCH', `part ${number} has ${receipt?.length} bytes, not ${end - start}`);
  });
}

/**
 * The parts as the store has them now. A late duplicate of a worker may have replaced one after its receipt was written:
 * under KMS that has another ETag, so the store's own is taken, where length and CRC-32 say that the bytes are the same.
 * A part that the store lists without a CRC-32 gets none here: Swift refuses a completion that names any.
 */
function asStored(receipts: readonly Receipt[], stored: readonly Receipt[]): Receipt[] {
  const byNumber = new Map(stored.map((part) => [part.number, part]));
  return receipts.map((receipt) => {
    const part = byNumber.get(receipt.number);
    const sameBytes = part?.crc32 === undefined ? part?.etag === receipt.etag : part.crc32 === receipt.crc32;
    if (part && part.length === receipt.length && sameBytes) return part;
    throw new UnqcowError('RECEIPTS_MISMATCH', `the store's part ${receipt.number} is not the one that was made`);
  });
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** Reads back what the state machine's map wrote: a manifest that names files of one result a line. */
export async function readResults(stores: Stores, manifest: S3Target): Promise<ShareResult[]> {
  const { ResultFiles } = JSON.parse(await getText(stores.writer, manifest)) as {
    ResultFiles: { SUCCEEDED: { Key: string }[] };
  };
  const files = await Promise.all(
    ResultFiles.SUCCEEDED.map(({ Key }) => getText(stores.writer, { bucket: manifest.bucket, key: Key })),
  );
  return files.flatMap((file) => file.split('\n').filter(Boolean)).map((line) => JSON.parse(line) as ShareResult);
}

/** Reads back what `planJob` wrote. */
export async function readPlan(stores: Stores, plan: S3Target): Promise<PlanRecord> {
  return JSON.parse(await getText(stores.writer, plan)) as PlanRecord;
}
