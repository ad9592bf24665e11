import { Option } from 'commander';
import type { S3Terms } from '../lib/source/s3.ts';

/** On which terms the command line uses buckets. */
export interface TermsFlags {
  readonly expectedBucketOwner?: string;
  readonly requestPayer?: boolean;
}

export const TERMS_OPTIONS = [
  new Option('--expected-bucket-owner <account>', 'use buckets in S3 only if they belong to it'),
  new Option('--request-payer', 'pay for reading from a bucket whose owner does not'),
];

export const termsOf = ({ expectedBucketOwner: owner, requestPayer }: TermsFlags): S3Terms => ({ owner, requestPayer });
