import { GiB, MiB } from '../units.ts';

/**
 * What AWS takes in time and money, as the cost model counts it. us-east-1, arm64, without free tiers. Each figure says
 * where it is from: *documented* by AWS, *reported* by its users, *measured* by us on one core, or *assumed*.
 */
export const AWS_MODEL = {
  lambda: {
    /** Both directions together, of one environment. Reported. */
    bytesPerSecond: 78e6,
    /** Memory that brings one core. Documented. */
    memoryPerCore: 1769 * MiB,
    /** Documented. */
    dollarsPerGiBSecond: 0.0000133334,
    /** Documented. */
    dollarsPerInvocation: 0.2 / 1e6,
    /** Environments that a function may gain in each 10 s. Documented. */
    rampStep: 1_000,
    rampSeconds: 10,
    /** Start of a new environment, billed like the rest. Assumed, from what importing a bundle takes here. */
    coldStartSeconds: 0.8,
  },
  s3: {
    /** To the first byte. Documented as 100 to 200 ms for small objects; most are well below. */
    latencySeconds: 0.1,
    /** One UploadPartCopy; 35 to 70 MB/s are reported. */
    copyBytesPerSecond: 50e6,
    /** Of one prefix, at least. Documented. */
    putsPerSecond: 3_500,
    getsPerSecond: 5_500,
    /** PUT, COPY, POST, LIST. Documented. */
    dollarsPerPut: 0.005 / 1_000,
    dollarsPerGet: 0.0004 / 1_000,
    dollarsPerGiBMonth: 0.023 * (GiB / 1e9),
    /** CompleteMultipartUpload of 10,000 parts. Assumed. */
    completeSeconds: 3,
  },
  stepFunctions: {
    /** Documented. */
    dollarsPerTransition: 0.025 / 1_000,
    /** A child is charged for its start and for its only state. Documented. */
    transitionsPerChild: 2,
    /** Plan, Small?, ConvertParts, Complete, and the two choices before the end. */
    transitionsPerJob: 6,
    /** Plan, Small?, ConvertWhole, and the two choices before the end. */
    transitionsPerWhole: 5,
    /** From entering a Distributed Map to its first child, and from its last child to its results. Assumed. */
    mapSeconds: 2,
  },
  /** Bytes per second of one core. Measured: what comes out of zlib, and what goes through TLS, CRC-32 and copies. */
  core: { deflate: 300e6, zstd: 665e6, transfer: 500e6 },
} as const;
