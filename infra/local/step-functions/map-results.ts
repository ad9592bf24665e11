import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { StateError } from './state-error.ts';

/** A child execution that has ended. Dates are ISO strings. */
export interface ChildResult {
  readonly ExecutionArn: string;
  readonly Name: string;
  readonly StartDate: string;
  readonly StopDate: string;
  readonly outcome:
    | { readonly ok: true; readonly output: unknown }
    | { readonly ok: false; readonly Error: string; readonly Cause: string };
}

/** What a Distributed Map with a ResultWriter answers with. */
export interface MapOutput {
  readonly MapRunArn: string;
  readonly ResultWriterDetails: { readonly Bucket: string; readonly Key: string };
}

/**
 * Writes the results as Step Functions does for COMPACT and JSONL: `<prefix>/<run>/SUCCEEDED_0.jsonl` with one child's output
 * a line, `FAILED_0.jsonl` (COMPACT does not apply to failures), and `manifest.json`, last. Two or three requests.
 * Children that were never started are not listed as PENDING: nothing of ours reads that.
 *
 * @throws StateError `States.ResultWriterFailed`.
 */
export async function writeResults(
  s3: S3Client,
  to: { readonly Bucket: string; readonly Prefix: string; readonly runId: string; readonly MapRunArn: string },
  children: readonly ChildResult[],
): Promise<MapOutput> {
  const { Bucket, MapRunArn } = to;
  const folder = `${to.Prefix === '' || to.Prefix.endsWith('/') ? to.Prefix : `${to.Prefix}/`}${to.runId}`;
  const put = async (Key: string, Body: string) => {
    await s3.send(new PutObjectCommand({ Bucket, Key, Body, ContentType: 'application/json' }));
    return { Key, Size: Buffer.byteLength(Body) };
  };
  const file = async (status: string, lines: readonly unknown[]) =>
    lines.length === 0
      ? []
      : [await put(`${folder}/${status}_0.jsonl`, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))];
  try {
    const SUCCEEDED = await file(
      'SUCCEEDED',
      children.flatMap(({ outcome }) => (outcome.ok ? [outcome.output] : [])),
    );
    const FAILED = await file('FAILED', children.flatMap(failure));
    const manifest = { DestinationBucket: Bucket, MapRunArn, ResultFiles: { FAILED, PENDING: [], SUCCEEDED } };
    const { Key } = await put(`${folder}/manifest.json`, JSON.stringify(manifest));
    return { MapRunArn, ResultWriterDetails: { Bucket, Key } };
  } catch (error) {
    throw new StateError('States.ResultWriterFailed', error instanceof Error ? error.message : String(error));
  }
}

function failure({ outcome, ...child }: ChildResult): unknown[] {
  return outcome.ok ? [] : [{ ...child, Error: outcome.Error, Cause: outcome.Cause, Status: 'FAILED' }];
}
