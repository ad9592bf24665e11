import type { ErrorCode } from './errors.ts';

const COPY_AGAIN = 'If the file is a copy, compare its length and checksum with where it came from, and copy it again.';
const COMPARE = `Look at it with \`unqcow check\`. ${COPY_AGAIN}`;
const REWRITE = 'Rewrite it with `qemu-img convert -O qcow2` where it can be read, and take the new image.';
const ASK = 'Correct what the message names: `--help` describes the command line, /openapi.json the API.';
const NOT_OURS =
  'No QEMU writes such an image. If you trust where it comes from, tell its maker; if not, leave it alone.';
const CONFIGURE = 'Whoever runs the deployment can configure it: see docs/guides/deploy.md.';
const AGAIN = 'Try again. If it keeps failing, check the store’s health and your request rates.';
const REPORT = 'Report it, with the log of the job.';

/** What to do about each refusal: one sentence or two, for people. */
export const CURES: Readonly<Record<ErrorCode, string>> = {
  BAD_REQUEST: ASK,
  NOT_ALLOWED: 'Use a source and a destination under the prefixes that the deployment allows, or have it allow these.',
  TENANT_REQUIRED: 'Get a token with the claim that the deployment asks for.',
  NO_SUCH_ROUTE: ASK,
  CONVERSION_NOT_FOUND: 'Check the id. Step Functions forgets executions 90 days after they end.',
  METHOD_NOT_ALLOWED: ASK,
  NOT_ACCEPTABLE: 'Send `Accept: application/json`, or none.',
  BODY_TOO_LARGE: ASK,
  CHECK_TOO_LARGE: 'Check it from the command line: `unqcow check s3://bucket/key`.',
  ESTIMATE_TOO_LARGE:
    'Ask the command line: `unqcow convert --estimate s3://bucket/key s3://bucket/raw`. Or start it: planning has 15 minutes.',
  UNSUPPORTED_MEDIA_TYPE: 'Send `Content-Type: application/json`.',
  LINK_INVALID: 'Get a new link: `POST /views`.',
  LINK_EXPIRED: 'Get a new link: `POST /views`, with more `seconds` if need be.',
  RANGE_REQUIRED: 'Ask for ranges, as `curl -r` and QEMU do, or convert the disk.',
  VIEWS_NOT_CONFIGURED: CONFIGURE,
  IDEMPOTENCY_KEY_REUSED: 'Use another key for another request.',
  FAILED_TOO_OFTEN:
    'Look at why the last one failed, and mend that. Then start it under an `Idempotency-Key`, or upload the image again.',
  TOO_MANY_REQUESTS:
    'Wait as long as `Retry-After` says, or a while, and ask again; for a conversion, with a lower `maxConcurrency`.',
  INTERNAL: REPORT,

  SOURCE_NOT_FOUND:
    'Check the path; in S3, bucket, key and region. Without s3:ListBucket a missing key may look like a forbidden one.',
  SOURCE_DENIED:
    'Name a file, and let this user read it. In S3, allow s3:GetObject (and s3:GetObjectVersion) on the image, and kms:Decrypt if it is encrypted by KMS; where readers have to pay, say so: `--request-payer`, `requestPayer`.',
  SOURCE_ARCHIVED: 'Restore it first: `aws s3api restore-object`. Then convert it.',
  SOURCE_ENCRYPTED: 'Copy it to an object that is encrypted by S3 or KMS, and take that.',
  S3_NOT_CONFIGURED:
    'Set AWS_REGION, and AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; or run `aws sso login`. `unqcow doctor` says what is found.',
  WRONG_REGION: 'Deploy unqcow in the bucket’s region, or set AWS_REGION to it.',
  SOURCE_CHANGED:
    'Try again once nobody writes to it. In S3, convert the new version, or name the one that is meant: `?versionId=`.',
  SOURCE_UNAVAILABLE: AGAIN,
  RANGE_BEYOND_SOURCE: REPORT,

  NOT_QCOW: 'The message names what it is, where that is known. A raw disk needs no conversion.',
  TRUNCATED_HEADER: COPY_AGAIN,
  UNSUPPORTED_VERSION: REWRITE,
  BAD_CLUSTER_BITS: NOT_OURS,
  BAD_HEADER_LENGTH: NOT_OURS,
  VIRTUAL_SIZE_TOO_LARGE: NOT_OURS,
  UNSUPPORTED_FEATURE: REWRITE,
  BAD_COMPRESSION_TYPE: NOT_OURS,
  UNSUPPORTED_COMPRESSION: REWRITE,
  UNSUPPORTED_ENCRYPTION: REWRITE,
  KEY_REQUIRED: 'Give its passphrase: `--passphrase-file`, or a secret’s ARN under `keys` in a conversion’s input.',
  HEADER_EXT_TOO_LARGE: NOT_OURS,
  BAD_BACKING_FORMAT: 'Set it anew: `qemu-img rebase -u -F FORMAT -b NAME`.',
  BAD_BACKING_NAME: 'Set it anew: `qemu-img rebase -u -F FORMAT -b NAME`.',
  BAD_CRYPTO_EXT: NOT_OURS,
  BAD_LUKS_HEADER: COMPARE,
  BAD_DATA_FILE: NOT_OURS,
  WRONG_KEY: 'Check the passphrase’s exact bytes: a newline at the end of the file counts.',
  KEY_DENIED: 'Check the ARN, and allow the planning function secretsmanager:GetSecretValue on it.',
  KEY_UNAVAILABLE: AGAIN,
  KEYS_NOT_CONFIGURED: CONFIGURE,
  KEY_SEAL_BROKEN: 'Start the conversion again. If it keeps failing, somebody writes into the work bucket.',
  KEY_TOO_COSTLY: 'Lower the key slots’ iterations: `qemu-img amend`, or rewrite the image.',
  BAD_SIZE: NOT_OURS,
  BAD_L2_BITS: NOT_OURS,
  EXTERNAL_REF_DENIED:
    'If you trust the image, allow where it leads (`--allow`, `gate.allow`) or say where the file lies (`--map`, `gate.places`, `?place=`).',
  BACKING_FORMAT_REQUIRED:
    'Say it: `--backing-format`, `gate.backingFormats` or `?backingFormat=`; or set it with `qemu-img rebase -u`.',
  BACKING_LOOP: 'Say where the right backing file lies: `--map NAME=LOCATION`.',
  BACKING_TOO_DEEP: 'Flatten the chain where it lies: `qemu-img convert`, or `qemu-img commit`.',
  COMPRESSED_IN_DATA_FILE: NOT_OURS,
  DATA_FILE_OFFSET_MISMATCH: NOT_OURS,
  L1_TOO_SMALL: COMPARE,
  L1_TOO_LARGE: NOT_OURS,
  BAD_L1_OFFSET: COMPARE,
  L1_OVERLAPS_HEADER: COMPARE,
  L1_BEYOND_EOF: COMPARE,
  L2_UNALIGNED: COMPARE,
  L2_BEYOND_EOF: COMPARE,
  CLUSTER_UNALIGNED: COMPARE,
  CLUSTER_BEYOND_EOF: COMPARE,
  METADATA_OVERLAP: COMPARE,
  ZERO_FLAG_IN_V2: COMPARE,
  INVALID_SUBCLUSTER: COMPARE,
  SNAPSHOT_NOT_FOUND: 'List them: `unqcow info`. The id is looked for first, then the name.',
  SNAPSHOT_TABLE_TOO_LARGE: COMPARE,
  BAD_SNAPSHOT_TABLE: COMPARE,
  SNAPSHOT_TABLE_BEYOND_EOF: COMPARE,
  SNAPSHOT_EXTRA_TOO_LARGE: COMPARE,
  BAD_SNAPSHOT_L1: 'The active disk may be sound: convert that. For the snapshot, copy the image again.',
  BAD_REFCOUNT_ORDER: 'Convert it: that needs no refcounts.',
  BAD_REFTABLE: 'Convert it: that needs no refcounts.',
  CHECK_LIMIT: NOT_OURS,
  DECOMPRESS_FAILED: COMPARE,
  DECOMPRESS_SHORT: COMPARE,

  OUTPUT_LIMIT: 'If so large a disk is meant, raise the limit: UNQCOW_OUTPUT_LIMIT, `--output-limit`.',
  DESTINATION_LIMIT:
    'To a file: free space, or name a folder on a larger file system. To S3: convert to a file, or to a store that takes parts of 5 GiB with their checksum in a trailer.',
  DESTINATION_EXISTS: 'Name another target, or allow it: `overwrite` in a conversion’s options, `--overwrite`.',
  DESTINATION_NOT_FOUND: 'Create the folder or bucket first; in S3, check the region.',
  DESTINATION_DENIED:
    'Name a file in a folder that this user may write to. In S3, allow s3:PutObject and s3:AbortMultipartUpload there, and kms:GenerateDataKey for its KMS key.',
  DESTINATION_UNAVAILABLE: AGAIN,
  CHECKSUM_MISMATCH: 'Delete what the message names, and convert again. If it keeps failing, do not trust that store.',
  UPLOAD_GONE: 'Convert again, and see who else aborts uploads there: a lifecycle rule may be too short.',
  RECEIPTS_MISMATCH: 'Convert again. If it keeps failing, somebody writes into the work bucket.',
  TIMED_OUT: 'Try again; for very large tables or slow stores, convert on one machine.',
  STATE_MACHINE_NOT_FOUND:
    'Look at the ARN, and at the region and the account in it: it is among the outputs of the deployment.',
  STATE_MACHINE_DENIED:
    'Look at the credentials. Allow states:StartExecution on it, states:DescribeExecution and states:StopExecution on its executions.',
  STATE_MACHINE_UNAVAILABLE:
    'Try again, with a lower `maxConcurrency` where functions found no room. If it keeps failing, look at their logs and at the alarms.',
  ABORTED: 'Nothing was left behind. Start it again when you like.',
};
