import { S3ServiceException } from '@aws-sdk/client-s3';

/** How S3 refused a request: `412 PreconditionFailed`. `accepted` if it did not. Other errors pass. */
export async function refusal(request: Promise<unknown>): Promise<string> {
  try {
    await request;
    return 'accepted';
  } catch (error) {
    if (error instanceof S3ServiceException) return `${error.$metadata.httpStatusCode} ${error.name}`;
    throw error;
  }
}

/** The status alone, for answers to HEAD and for 304: these have no body to hold a code. 200 if it was accepted. */
export async function statusOf(request: Promise<unknown>): Promise<number> {
  const text = await refusal(request);
  return text === 'accepted' ? 200 : Number.parseInt(text, 10);
}
