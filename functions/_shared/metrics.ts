import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';

const { Bytes, Count, Milliseconds } = MetricUnit;

/** What is counted, and in what. Sums over all invocations are a conversion's, or a day's. */
export const METRICS = {
  /** Every attempt. */
  S3Requests: Count,
  /** Attempts that failed in a way that passes, and so were tried again. */
  S3Retries: Count,
  Duration: Milliseconds,
  BytesRead: Bytes,
  /** Read beyond what the disk's data occupies: tables, gaps between them, and what was read twice. */
  BytesOverFetched: Bytes,
  /** Raw disk that passed through a function; that S3 copied from the image; that S3 copied from zeros. */
  BytesWritten: Bytes,
  BytesCopied: Bytes,
  BytesZero: Bytes,
  DataParts: Count,
  CopyParts: Count,
  ZeroParts: Count,
  Conversions: Count,
} as const;

export type Counts = Readonly<Partial<Record<keyof typeof METRICS, number>>>;

/** Hands one invocation's counts on, with what one would look for in the log. */
export type Emit = (counts: Counts, keys: Readonly<Record<string, string>>) => void;

/** Writes counts as CloudWatch reads them out of a log: embedded metric format, by function. */
export function emfEmitter(functionName: string): Emit {
  const metrics = new Metrics({ namespace: 'unqcow', serviceName: 'unqcow' });
  return (counts, keys) => {
    metrics.addDimension('function', functionName);
    for (const [name, value] of Object.entries(counts)) metrics.addMetric(name, METRICS[name as keyof Counts], value);
    for (const [name, value] of Object.entries(keys)) metrics.addMetadata(name, value);
    metrics.publishStoredMetrics();
  };
}
