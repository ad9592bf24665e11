import { Option } from 'commander';
import type { S3Terms } from '../lib/source/s3.ts';
import type { GateFlags } from './gate-flags.ts';
import { UsageError } from './usage.ts';

/** On which terms the command line uses buckets. */
export interface TermsFlags {
  readonly expectedBucketOwner?: string;
  readonly requestPayer?: boolean;
}

export const TERMS_OPTIONS = [
  new Option('--expected-bucket-owner <account>', 'use buckets in S3 only if they belong to it'),
  new Option('--request-payer', 'pay for reading from a bucket whose owner does not'),
];

/**
 * @param names What is read and written.
 * @throws UsageError for terms where no bucket is used: neither by these, nor for a file that the image names.
 */
export function termsOf(flags: TermsFlags & Pick<GateFlags, 'allow' | 'map'>, names: readonly string[]): S3Terms {
  const { expectedBucketOwner: owner, requestPayer, allow = [], map = [] } = flags;
  const inS3 = [...names, ...allow, ...map].some((each) => /s3:\/\//i.test(each));
  if (!inS3 && owner !== undefined)
    throw new UsageError('--expected-bucket-owner is for S3, and nothing here lies there');
  if (!inS3 && requestPayer) throw new UsageError('--request-payer is for S3, and nothing here lies there');
  return { owner, requestPayer };
}
