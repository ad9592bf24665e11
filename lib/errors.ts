/**
 * Every way in which unqcow refuses or fails. A code is a contract: HTTP clients, the command line's callers and the
 * state machine match on it. Codes are added, never renamed.
 *
 * `status` is the HTTP answer, `retryable` says whether the same request may succeed later, `means` is what a person reads.
 */
export const ErrorCodes = {
  // The request
  BAD_REQUEST: { status: 400, retryable: false, means: 'the request is not one we understand' },
  NOT_ALLOWED: { status: 403, retryable: false, means: 'the source or destination is outside the allowed prefixes' },
  TENANT_REQUIRED: { status: 403, retryable: false, means: 'the caller’s token names no tenant' },
  NO_SUCH_ROUTE: { status: 404, retryable: false, means: 'there is nothing at this path' },
  CONVERSION_NOT_FOUND: { status: 404, retryable: false, means: 'there is no such conversion' },
  METHOD_NOT_ALLOWED: { status: 405, retryable: false, means: 'the path does not take this method' },
  NOT_ACCEPTABLE: { status: 406, retryable: false, means: 'answers are JSON, which the request does not accept' },
  BODY_TOO_LARGE: { status: 413, retryable: false, means: 'the request’s body is longer than what is taken' },
  CHECK_TOO_LARGE: { status: 413, retryable: false, means: 'the image takes longer to check than an answer may take' },
  ESTIMATE_TOO_LARGE: {
    status: 413,
    retryable: false,
    means: 'the disk’s tables take longer to read than an answer may take',
  },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, retryable: false, means: 'the request’s body is not application/json' },
  LINK_INVALID: {
    status: 403,
    retryable: false,
    means: 'the link was not made by this deployment, or is for what may no longer be read',
  },
  LINK_EXPIRED: { status: 410, retryable: false, means: 'the link has expired' },
  RANGE_REQUIRED: { status: 413, retryable: false, means: 'the disk is too long for one answer: ask for ranges of it' },
  VIEWS_NOT_CONFIGURED: { status: 501, retryable: false, means: 'the deployment serves no raw views' },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    retryable: false,
    means: 'the idempotency key belongs to another request',
  },
  FAILED_TOO_OFTEN: {
    status: 409,
    retryable: false,
    means: 'the same conversion failed so often in a row that it is not started again',
  },
  TOO_MANY_REQUESTS: { status: 429, retryable: true, means: 'more requests than are taken at once' },
  INTERNAL: { status: 500, retryable: false, means: 'a defect in unqcow; the log has the details' },

  // The source's bytes
  SOURCE_NOT_FOUND: { status: 404, retryable: false, means: 'there is no such file or object' },
  SOURCE_DENIED: { status: 403, retryable: false, means: 'we may not read the file or object' },
  SOURCE_ARCHIVED: {
    status: 409,
    retryable: false,
    means: 'the object lies in an archive class and has to be restored first',
  },
  SOURCE_ENCRYPTED: {
    status: 422,
    retryable: false,
    means: 'the object is encrypted with a key of its writer’s own (SSE-C), which we do not take',
  },
  S3_NOT_CONFIGURED: {
    status: 501,
    retryable: false,
    means: 'there is no region, or there are no credentials that S3 takes',
  },
  WRONG_REGION: { status: 422, retryable: false, means: 'the bucket is not in the region that we work in' },
  SOURCE_CHANGED: { status: 409, retryable: false, means: 'the file or object was changed while we were reading it' },
  SOURCE_UNAVAILABLE: {
    status: 503,
    retryable: true,
    means: 'the store answered 5xx, throttled us, or cut the body short',
  },
  RANGE_BEYOND_SOURCE: { status: 422, retryable: false, means: 'a read runs past the end of the source' },

  // Header
  NOT_QCOW: { status: 422, retryable: false, means: 'the first four bytes are not "QFI\\xfb"' },
  TRUNCATED_HEADER: { status: 422, retryable: false, means: 'the file ends inside the header' },
  UNSUPPORTED_VERSION: { status: 422, retryable: false, means: 'a QCOW version that we do not read' },
  BAD_CLUSTER_BITS: { status: 422, retryable: false, means: 'the cluster size is outside what the format allows' },
  BAD_HEADER_LENGTH: {
    status: 422,
    retryable: false,
    means: 'the header is shorter than version 3 requires, or longer than a cluster',
  },
  VIRTUAL_SIZE_TOO_LARGE: { status: 422, retryable: false, means: 'the disk is larger than the format can map' },
  UNSUPPORTED_FEATURE: { status: 422, retryable: false, means: 'valid, but not something we convert' },
  BAD_COMPRESSION_TYPE: {
    status: 422,
    retryable: false,
    means: 'the compression type and its feature bit contradict each other',
  },
  UNSUPPORTED_COMPRESSION: { status: 422, retryable: false, means: 'a compression type that we do not read' },
  UNSUPPORTED_ENCRYPTION: { status: 422, retryable: false, means: 'an encryption method that we do not read' },
  KEY_REQUIRED: { status: 422, retryable: false, means: 'the image is encrypted and no passphrase was given' },
  HEADER_EXT_TOO_LARGE: { status: 422, retryable: false, means: 'a header extension runs past the first cluster' },
  BAD_BACKING_FORMAT: { status: 422, retryable: false, means: 'the backing format extension is too long' },
  BAD_BACKING_NAME: {
    status: 422,
    retryable: false,
    means: 'the backing file name lies outside the first cluster, or is too long',
  },
  BAD_CRYPTO_EXT: {
    status: 422,
    retryable: false,
    means: 'the encryption header extension is missing, misplaced or malformed',
  },
  BAD_LUKS_HEADER: { status: 422, retryable: false, means: 'the LUKS header is missing or malformed' },
  BAD_DATA_FILE: { status: 422, retryable: false, means: 'the external data file bits contradict each other' },
  WRONG_KEY: { status: 422, retryable: false, means: 'the passphrase opens none of the image’s key slots' },
  KEY_DENIED: {
    status: 403,
    retryable: false,
    means: 'the secret that holds the passphrase does not exist, or we may not read it',
  },
  KEY_UNAVAILABLE: { status: 503, retryable: true, means: 'the secret that holds the passphrase cannot be read now' },
  KEYS_NOT_CONFIGURED: {
    status: 501,
    retryable: false,
    means: 'this deployment takes no keys: it has no sealing secret, or allows no secrets',
  },
  KEY_SEAL_BROKEN: {
    status: 500,
    retryable: false,
    means: 'the job’s sealed keys are not those that were sealed for it',
  },
  KEY_TOO_COSTLY: { status: 422, retryable: false, means: 'the image needs more key derivation than we allow' },
  BAD_SIZE: { status: 422, retryable: false, means: 'the disk size is smaller than version 1 allows' },
  BAD_L2_BITS: { status: 422, retryable: false, means: 'the L2 table size is outside what version 1 allows' },

  // Files that an image names
  EXTERNAL_REF_DENIED: {
    status: 403,
    retryable: false,
    means: 'the image names another file, which is not opened unless the caller allows it',
  },
  BACKING_FORMAT_REQUIRED: {
    status: 422,
    retryable: false,
    means: 'the backing file’s format is not stated, and we do not guess',
  },
  BACKING_LOOP: {
    status: 422,
    retryable: false,
    means: 'an image is its own backing file, directly or through others',
  },
  BACKING_TOO_DEEP: {
    status: 422,
    retryable: false,
    means: 'the chain of backing files is longer than the configured limit',
  },
  COMPRESSED_IN_DATA_FILE: {
    status: 422,
    retryable: false,
    means: 'a compressed cluster in an image whose data lies in another file',
  },
  DATA_FILE_OFFSET_MISMATCH: {
    status: 422,
    retryable: false,
    means: 'a cluster lies elsewhere in the data file than on the disk',
  },

  // Tables
  L1_TOO_SMALL: { status: 422, retryable: false, means: 'the L1 table does not cover the disk' },
  L1_TOO_LARGE: { status: 422, retryable: false, means: 'the L1 table is larger than the format allows' },
  BAD_L1_OFFSET: {
    status: 422,
    retryable: false,
    means: 'the L1 table does not start on a cluster, or ends past what the format can address',
  },
  L1_OVERLAPS_HEADER: { status: 422, retryable: false, means: 'the L1 table lies on the header' },
  L1_BEYOND_EOF: {
    status: 422,
    retryable: false,
    means: 'the L1 entries that the disk needs lie past the end of the file',
  },
  L2_UNALIGNED: { status: 422, retryable: false, means: 'an L2 table does not start on a cluster' },
  L2_BEYOND_EOF: { status: 422, retryable: false, means: 'an L2 table lies past the end of the file' },
  CLUSTER_UNALIGNED: { status: 422, retryable: false, means: 'a data cluster does not start on a cluster' },
  CLUSTER_BEYOND_EOF: { status: 422, retryable: false, means: 'the image points at data that its file does not have' },
  METADATA_OVERLAP: {
    status: 422,
    retryable: false,
    means: 'a table or data cluster lies on the image’s own metadata',
  },
  ZERO_FLAG_IN_V2: { status: 422, retryable: false, means: 'a zero cluster in a version 2 image, which has none' },
  INVALID_SUBCLUSTER: { status: 422, retryable: false, means: 'a subcluster is both allocated and zero' },
  SNAPSHOT_NOT_FOUND: { status: 404, retryable: false, means: 'there is no snapshot of that id or name' },
  SNAPSHOT_TABLE_TOO_LARGE: { status: 422, retryable: false, means: 'more snapshots than the format allows' },
  BAD_SNAPSHOT_TABLE: { status: 422, retryable: false, means: 'the snapshot table does not start on a cluster' },
  SNAPSHOT_TABLE_BEYOND_EOF: {
    status: 422,
    retryable: false,
    means: 'the snapshot table runs past the end of the file',
  },
  SNAPSHOT_EXTRA_TOO_LARGE: {
    status: 422,
    retryable: false,
    means: 'a snapshot has more extra data than the format allows',
  },
  BAD_SNAPSHOT_L1: {
    status: 422,
    retryable: false,
    means: 'a snapshot’s L1 table does not cover its disk, is misplaced, or lies past the end of the file',
  },
  BAD_REFCOUNT_ORDER: { status: 422, retryable: false, means: 'refcounts are wider than 64 bits; checking needs them' },
  BAD_REFTABLE: {
    status: 422,
    retryable: false,
    means: 'the refcount table is missing, misplaced or too large; checking needs it',
  },
  CHECK_LIMIT: {
    status: 422,
    retryable: false,
    means: 'checking the image would take more work than its size can explain',
  },
  DECOMPRESS_FAILED: { status: 422, retryable: false, means: 'a compressed cluster is not a valid stream' },
  DECOMPRESS_SHORT: {
    status: 422,
    retryable: false,
    means: 'a compressed cluster decompresses to less than a cluster',
  },

  // The destination
  OUTPUT_LIMIT: { status: 422, retryable: false, means: 'the disk is larger than the configured limit for raw output' },
  DESTINATION_LIMIT: {
    status: 422,
    retryable: false,
    means: 'the disk does not fit into one object or file at the destination',
  },
  DESTINATION_EXISTS: { status: 409, retryable: false, means: 'the destination exists and was not to be overwritten' },
  DESTINATION_NOT_FOUND: { status: 404, retryable: false, means: 'the destination bucket or folder does not exist' },
  DESTINATION_DENIED: { status: 403, retryable: false, means: 'we may not write to the destination' },
  DESTINATION_UNAVAILABLE: {
    status: 503,
    retryable: true,
    means: 'the destination answered 5xx or throttled us until retries were spent',
  },
  CHECKSUM_MISMATCH: { status: 502, retryable: false, means: 'the store holds other bytes than we sent' },

  // The job
  UPLOAD_GONE: {
    status: 409,
    retryable: false,
    means: 'the multipart upload was aborted or completed by someone else',
  },
  RECEIPTS_MISMATCH: {
    status: 500,
    retryable: false,
    means: 'the parts that were made are not the parts that were planned',
  },
  TIMED_OUT: { status: 504, retryable: true, means: 'the work did not end within the time that the function has' },
  STATE_MACHINE_NOT_FOUND: { status: 404, retryable: false, means: 'there is no such state machine' },
  STATE_MACHINE_DENIED: {
    status: 403,
    retryable: false,
    means: 'we may not start, follow or stop executions of the state machine',
  },
  STATE_MACHINE_UNAVAILABLE: {
    status: 503,
    retryable: true,
    means: 'Step Functions did not answer, or a function did not run or was ended before it could say why',
  },
  ABORTED: { status: 499, retryable: false, means: 'the caller stopped the work' },
} as const satisfies Record<string, { status: number; retryable: boolean; means: string }>;

export type ErrorCode = keyof typeof ErrorCodes;

/** A refusal or failure with a stable code. Its `name` is the code, so that Step Functions' Retry and Catch can match it. */
export class UnqcowError extends Error {
  readonly code: ErrorCode;
  /** Where in the image: `header.cluster_bits`, `l1[3]`, `l2[3][17]`. */
  readonly at: string | undefined;
  /** What was odd about the image by then, where that is known. */
  declare warnings?: readonly Warning[];

  constructor(code: ErrorCode, message: string, options: { readonly at?: string; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = code;
    this.code = code;
    this.at = options.at;
  }

  get status(): number {
    return ErrorCodes[this.code].status;
  }

  get retryable(): boolean {
    return ErrorCodes[this.code].retryable;
  }
}

/** What is odd about an image without being able to change its bytes. Codes are added, never renamed. */
export const WarningCodes = {
  HEADER_LENGTH_UNALIGNED: 'the header length is not a multiple of 8',
  BAD_REFCOUNT_ORDER: 'refcount entries are wider than 64 bits; refcounts are not needed to read',
  BAD_REFTABLE: 'the refcount table is missing, misplaced or too large; refcounts are not needed to read',
  SIZE_NOT_512: 'the disk size is not a multiple of 512 and is rounded down, as QEMU does',
  DIRTY: 'the image was not closed properly; only refcounts can be affected',
  CORRUPT: 'QEMU marked the image as corrupt',
  UNKNOWN_FEATURE: 'the image needs a feature that we do not know; it is not converted',
  UNKNOWN_EXTENSION: 'a header extension that we do not know',
  BACKING_NAME_EMPTY: 'a backing file offset is set but the name is empty; there is no backing file',
  BAD_BACKING_FORMAT: 'the backing format extension is too long; there is no backing file',
  DATA_FILE_NAME_UNUSED: 'a data file is named but the image does not use one',
  BITMAPS_STALE: 'the bitmaps were not kept up to date by the last writer',
  BITMAPS_MISSING: 'the bitmaps bit is set but there is no bitmaps extension',
  BITMAPS_INVALID: 'the bitmaps extension is malformed; bitmaps cannot be listed',
  SNAPSHOT_TABLE_TOO_LARGE: 'more snapshots than the format allows; they cannot be listed',
  BAD_SNAPSHOT_TABLE: 'the snapshot table is misplaced; snapshots cannot be listed',
  MULTIPLE_FORMATS: 'the file also carries the signature of another format',
  L1_SURPLUS_BEYOND_EOF: 'L1 entries that the disk does not need lie past the end of the file',
  L1E_RESERVED_BITS: 'reserved bits are set in an L1 entry',
  L1E_WITHOUT_TABLE: 'an L1 entry has the copied flag but names no L2 table; its stretch is unallocated',
  SURPLUS_L2_BEYOND_EOF: 'an L1 entry that the disk does not need names an L2 table past the end of the file',
  L2E_RESERVED_BITS: 'reserved bits are set in an L2 entry',
  SNAPSHOT_TABLE_BEYOND_EOF: 'the snapshot table runs past the end of the file; snapshots cannot be listed',
  SNAPSHOT_EXTRA_TOO_LARGE: 'a snapshot has more extra data than the format allows; snapshots cannot be listed',
  DUPLICATE_SNAPSHOT_ID: 'two snapshots have the same id; the first is meant',
  SNAPSHOT_WITHOUT_DISK_SIZE: 'a snapshot does not say how large its disk was; the current size is taken',
  SUBCLUSTERS_ON_COMPRESSED: 'a compressed cluster has subcluster bits, which do not apply',
  ZERO_BIT_WITH_SUBCLUSTERS: 'a zero flag in an image with extended L2 entries, where it does not apply',
  L2_UNALIGNED: 'an L2 table that does not start on a sector; version 1 allows it',
  SHARED_CLUSTER:
    'two places of the disk have their bytes in one cluster of the file; writing to one would change both',
  COPIED_ON_COMPRESSED: 'the copied flag is set on a compressed cluster',
  TAIL_ZERO_PADDED: 'the file ends inside its last data cluster; the rest reads as zeros',
  ZERO_CLUSTER_BEYOND_EOF: 'a zero cluster’s allocation lies past the end of the file',
} as const satisfies Record<string, string>;

export type WarningCode = keyof typeof WarningCodes;

export interface Warning {
  readonly code: WarningCode;
  readonly message: string;
  readonly at?: string;
}

/**
 * What `check` finds, and how it counts: as `errors`, `corruptions` and `leaks` as `qemu-img check` counts them, or as
 * `ownCorruptions`, which only unqcow looks for. Codes are added, never renamed.
 */
export const FindingCodes = {
  REFCOUNT_UNREADABLE: {
    counts: 'errors',
    means: 'a refcount cannot be read: its block is misplaced',
  },
  SNAPSHOTS_UNREADABLE: { counts: 'errors', means: 'the snapshot table cannot be read' },
  BITMAPS_UNREADABLE: { counts: 'errors', means: 'the bitmap directory or a bitmap’s table cannot be read' },
  CLUSTER_LEAKED: { counts: 'leaks', means: 'a refcount is higher than there are references: space is lost, no data' },
  REFCOUNT_TOO_LOW: { counts: 'corruptions', means: 'a refcount is lower than there are references' },
  REFCOUNT_OVERFLOW: { counts: 'corruptions', means: 'more references to a cluster than its refcount can count' },
  REFERENCE_BEYOND_EOF: { counts: 'corruptions', means: 'a table or cluster lies past the end of the file' },
  COPIED_FLAG_WRONG: { counts: 'corruptions', means: 'a copied flag does not say whether the refcount is 1' },
  COPIED_ON_COMPRESSED: { counts: 'corruptions', means: 'the copied flag is set on a compressed cluster' },
  L1E_RESERVED_BITS: { counts: 'corruptions', means: 'reserved bits are set in an L1 entry' },
  L2E_RESERVED_BITS: { counts: 'corruptions', means: 'reserved bits are set in an L2 entry' },
  L2_UNALIGNED: { counts: 'corruptions', means: 'an L2 table does not start on a cluster' },
  CLUSTER_UNALIGNED: { counts: 'corruptions', means: 'a data cluster does not start on a cluster' },
  INVALID_SUBCLUSTER: {
    counts: 'corruptions',
    means: 'a subcluster is both allocated and zero, or allocated in a cluster that is not',
  },
  SUBCLUSTERS_ON_COMPRESSED: { counts: 'corruptions', means: 'a compressed cluster has subcluster bits' },
  COMPRESSED_IN_DATA_FILE: {
    counts: 'corruptions',
    means: 'a compressed cluster in an image whose data lies in another file',
  },
  SNAPSHOTS_WITH_DATA_FILE: {
    counts: 'corruptions',
    means: 'snapshots in an image whose data lies in another file',
  },
  SNAPSHOT_INCOMPLETE: { counts: 'corruptions', means: 'a snapshot does not say how large its disk was' },
  BAD_SNAPSHOT_L1: { counts: 'corruptions', means: 'a snapshot’s L1 table is misplaced or too large' },
  REFTABLE_RESERVED_BITS: { counts: 'corruptions', means: 'reserved bits are set in an entry of the refcount table' },
  REFBLOCK_UNALIGNED: { counts: 'corruptions', means: 'a refcount block does not start on a cluster' },
  REFBLOCK_BEYOND_EOF: { counts: 'corruptions', means: 'a refcount block lies past the end of the file' },
  REFBLOCK_SHARED: { counts: 'corruptions', means: 'a refcount block is also something else' },
  METADATA_OVERLAP: {
    counts: 'ownCorruptions',
    means: 'one of the image’s own structures lies on another, or on data',
  },
  L1_BEYOND_EOF: { counts: 'ownCorruptions', means: 'the L1 table lies past the end of the file (version 1)' },
  L2_BEYOND_EOF: { counts: 'ownCorruptions', means: 'an L2 table lies past the end of the file (version 1)' },
  CLUSTER_BEYOND_EOF: {
    counts: 'ownCorruptions',
    means: 'a cluster lies past the end of the file (version 1, and compressed ones)',
  },
  CLUSTER_OFF_SECTOR: { counts: 'ownCorruptions', means: 'a data cluster does not start on a sector (version 1)' },
  CLUSTER_SHARED: { counts: 'ownCorruptions', means: 'a cluster or table is used twice (version 1)' },
  DECOMPRESS_FAILED: { counts: 'ownCorruptions', means: 'a compressed cluster is not a valid stream' },
  DECOMPRESS_SHORT: { counts: 'ownCorruptions', means: 'a compressed cluster decompresses to less than a cluster' },
} as const satisfies Record<string, { counts: 'errors' | 'corruptions' | 'leaks' | 'ownCorruptions'; means: string }>;

export type FindingCode = keyof typeof FindingCodes;
