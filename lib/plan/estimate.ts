import type { Compression } from '../format/geometry.ts';
import { GiB } from '../units.ts';
import { AWS_MODEL } from './aws-model.ts';
import { type Part, storedIn } from './parts.ts';
import { READ_LIMITS } from './reads.ts';
import { PLAN_LIMITS, S3_LIMITS } from './s3-limits.ts';

const { lambda, s3, stepFunctions, core } = AWS_MODEL;

/** What is to be done, and with how many hands. */
export interface Work {
  /** Bytes of raw disk. */
  readonly diskSize: number;
  /** What planning reads: the header and every table. */
  readonly planned: { readonly requests: number; readonly bytes: number };
  /** Each worker's share, in the order in which they are started. */
  readonly shares: readonly (readonly Part[])[];
  readonly compression: Compression;
  /** Workers at once. */
  readonly workers: number;
  /** Bytes of memory of a worker, which bring its share of a core. */
  readonly memory: number;
}

/** What a conversion will take on AWS, by the model in `AWS_MODEL`: a forecast, not a promise. */
export interface Estimate {
  readonly seconds: {
    readonly plan: number;
    readonly convert: number;
    readonly complete: number;
    readonly total: number;
  };
  /** When the first worker ran out of work, over when the last did: 1 is a perfect balance. */
  readonly balance: number;
  /** By what S3 charges for: GET and HEAD; PUT, COPY, POST and LIST. */
  readonly requests: { readonly get: number; readonly put: number };
  /** Bytes that workers read and upload, and that S3 copies by itself. */
  readonly bytes: { readonly read: number; readonly uploaded: number; readonly copied: number };
  readonly lambdaSeconds: number;
  readonly transitions: number;
  readonly dollars: {
    readonly lambda: number;
    readonly requests: number;
    readonly transitions: number;
    readonly total: number;
    /** Of the raw object, in S3's standard class. */
    readonly storagePerMonth: number;
  };
}

/** What one part takes of each thing that a worker has, and of S3. */
interface Load {
  readonly network: number;
  readonly core: number;
  /** Time that only passes: S3's latency, and its copies. Shared by as many as are in flight. */
  readonly waiting: number;
  readonly get: number;
  readonly put: number;
}

/** What a part takes. A data part is taken for compressed: its bytes cost a core more than plain ones. */
export function loadOf(part: Part, compression: Compression): Load {
  const length = part.end - part.start;
  if (part.kind !== 'data') {
    return {
      network: 0,
      core: 0,
      waiting: (s3.latencySeconds + length / s3.copyBytesPerSecond) / PLAN_LIMITS.copiesAtOnce,
      get: 0,
      put: 1,
    };
  }
  const moved = storedIn(part) + length;
  return {
    network: moved / lambda.bytesPerSecond,
    core: length / core[compression] + moved / core.transfer,
    waiting: (3 * s3.latencySeconds) / PLAN_LIMITS.partsAtOnce, // tables, reads, upload: one after another
    get: 1 + Math.ceil(storedIn(part) / READ_LIMITS.maxLength),
    put: 1,
  };
}

/** Seconds of one worker for one share: the scarcest of network, core and waiting, since parts overlap. */
function secondsOf(loads: readonly Load[], cores: number): number {
  const sum = (of: keyof Load) => loads.reduce((total, load) => total + load[of], 0);
  return 2 * s3.latencySeconds + Math.max(sum('network'), sum('core') / cores, sum('waiting'));
}

/**
 * Forecasts a conversion: plays the shares out over the workers, by the order, ramp and limits that the services
 * document. Pure: the same work gives the same answer.
 */
export function estimate(work: Work): Estimate {
  const { diskSize, planned, shares, compression, workers, memory } = work;
  const cores = memory / lambda.memoryPerCore;
  const loads = shares.map((share) => share.map((part) => loadOf(part, compression)));
  const played = playOut(loads, { workers, cores });
  const parts = shares.flat();
  const bytes = bytesOf(parts);

  const pages = Math.ceil(parts.length / 1_000);
  const seconds = {
    plan:
      lambda.coldStartSeconds + 2 * s3.latencySeconds + planned.bytes / lambda.bytesPerSecond + 2 * s3.latencySeconds,
    convert: stepFunctions.mapSeconds + played.end,
    complete:
      lambda.coldStartSeconds +
      (pages + 3) * s3.latencySeconds +
      (s3.completeSeconds * parts.length) / S3_LIMITS.maxParts,
  };
  // The plan's HEAD for zeros and two PUTs; each child's receipt; create and complete; the pin, and the object made.
  const requests = {
    get: planned.requests + 1 + played.get + 2 + shares.length,
    put: 2 + played.put + 2 + pages,
  };
  const lambdaSeconds = seconds.plan + played.busy + seconds.complete;
  const transitions = stepFunctions.transitionsPerJob + stepFunctions.transitionsPerChild * shares.length;
  const dollars = {
    lambda:
      (lambdaSeconds * memory * lambda.dollarsPerGiBSecond) / GiB + (shares.length + 2) * lambda.dollarsPerInvocation,
    requests: requests.get * s3.dollarsPerGet + requests.put * s3.dollarsPerPut,
    transitions: transitions * stepFunctions.dollarsPerTransition,
  };
  return {
    seconds: { ...seconds, total: seconds.plan + seconds.convert + seconds.complete },
    balance: played.end === 0 ? 1 : played.firstIdle / played.end,
    requests,
    bytes,
    lambdaSeconds,
    transitions,
    dollars: {
      ...dollars,
      total: dollars.lambda + dollars.requests + dollars.transitions,
      storagePerMonth: (diskSize / GiB) * s3.dollarsPerGiBMonth,
    },
  };
}

function bytesOf(parts: readonly Part[]): Estimate['bytes'] {
  let [read, uploaded, copied] = [0, 0, 0];
  for (const part of parts) {
    const length = part.end - part.start;
    if (part.kind === 'data') [read, uploaded] = [read + storedIn(part), uploaded + length];
    else copied += length;
  }
  return { read, uploaded, copied };
}

/**
 * Gives each share to the worker that is free first. Workers come as fast as Lambda lets them; a share waits while S3's
 * request rate is used up.
 */
function playOut(loads: readonly (readonly Load[])[], { workers, cores }: { workers: number; cores: number }) {
  const count = Math.min(workers, loads.length);
  const free = Float64Array.from({ length: count }, (_, i) => Math.floor(i / lambda.rampStep) * lambda.rampSeconds);
  const started = new Uint8Array(count);
  const total = { get: 0, put: 0, busy: 0 };
  for (const share of loads) {
    const worker = earliest(free);
    const start = Math.max(free[worker] ?? 0, total.get / s3.getsPerSecond, total.put / s3.putsPerSecond);
    const cold = started[worker] ? 0 : lambda.coldStartSeconds;
    const seconds = cold + secondsOf(share, cores);
    started[worker] = 1;
    free[worker] = start + seconds;
    total.busy += seconds;
    for (const { get, put } of share) [total.get, total.put] = [total.get + get, total.put + put];
  }
  const end = free.reduce((max, each) => Math.max(max, each), 0);
  return { ...total, end, firstIdle: free.reduce((min, each) => Math.min(min, each), end) };
}

function earliest(free: Float64Array): number {
  let first = 0;
  for (let i = 1; i < free.length; i += 1) if ((free[i] as number) < (free[first] as number)) first = i;
  return first;
}
