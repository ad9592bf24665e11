import { ListBucketsCommand, type S3Client } from '@aws-sdk/client-s3';
import { statusOf } from '../http-status.ts';

/** That an S3 answered, and what it called its refusal if it refused. */
export interface S3Answer {
  readonly status: number;
  readonly refusal?: string;
}

/**
 * Asks an S3 for its buckets, to see whether anybody answers: a refusal is an answer, too. Costs one request, which
 * is not tried again.
 *
 * @throws what the network or the credentials said, if there was no answer.
 */
export async function answerOf(client: S3Client, signal: AbortSignal): Promise<S3Answer> {
  try {
    await client.send(new ListBucketsCommand({}), { abortSignal: signal });
    return { status: 200 };
  } catch (error) {
    const status = statusOf(error);
    if (status === undefined) throw error;
    return { status, refusal: (error as Error).name };
  }
}
