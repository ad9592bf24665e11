import { UnqcowError } from './errors.ts';
import { statusOf } from './http-status.ts';

/**
 * What S3 says where a bucket lies in another region, as our code. Its redirection is not followed: all that crosses
 * between regions is paid for, and copies within the store are not possible.
 */
export function asRegionError(where: string, error: unknown): UnqcowError | undefined {
  const { name, Region, $response } = error as Error & {
    readonly Region?: string;
    readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
  };
  const isElsewhere = name === 'PermanentRedirect' || name === 'AuthorizationHeaderMalformed';
  if (!isElsewhere && statusOf(error) !== 301) return undefined;
  const region = $response?.headers?.['x-amz-bucket-region'] ?? Region ?? 'another region';
  return new UnqcowError('WRONG_REGION', `the bucket of ${where} lies in ${region}`, { cause: error });
}
