import type { Compression } from '../format/geometry.ts';
import { GiB } from '../units.ts';
import { AWS_MODEL } from './aws-model.ts';
import { type Part, storedIn } from './parts.ts';
import { READ_LIMITS } from './reads.ts';
import { PLAN_LIMITS, S3_LIMITS } from './s3-limits.ts';

const { lambda, s3, stepFunctions, core } = AWS_MODEL;

/** A disk to be converted. */
interface Disk {
  /** Bytes of raw disk. */
  readonly diskSize: number;
  /** What planning reads: the header and every table. */
  readonly planned: { readonly requests: number; readonly bytes: number };
  readonly compression: Compression;
  /** Bytes of memory of a worker, which bring its share of a core. */
  readonly memory: number;
}

/** What is to be done in parts, and with how many hands. */
export interface Work extends Disk {
  /** Each worker's share, in the order in which they are started. */
  readonly shares: readonly (readonly Part[])[];
  /** Workers at once. */
  readonly workers: number;
}

/** What one worker is to do alone. */
export interface WholeWork extends Disk {
  /** Bytes of the image's files that the disk is made of. */
  readonly stored: number;
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
  const { planned, shares, compression, workers, memory } = work;
  const cores = memory / lambda.memoryPerCore;
  const loads = shares.map((share) => share.map((part) => loadOf(part, compression)));
  const played = playOut(loads, { workers, cores });
  const parts = shares.flat();
  const bytes = bytesOf(parts);

  const pages = Math.ceil(parts.length / 1_000);
  const seconds = {
    plan: planSeconds(planned),
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
  return {
    seconds: { ...seconds, total: seconds.plan + seconds.convert + seconds.complete },
    balance: played.end === 0 ? 1 : played.firstIdle / played.end,
    requests,
    bytes,
    lambdaSeconds,
    transitions,
    dollars: dollarsOf(work, { requests, lambdaSeconds, transitions, invocations: shares.length + 2 }),
  };
}

/** Forecasts the conversion of a disk that one worker streams: its bytes all pass through it, and nothing is copied. */
export function estimateWhole(work: WholeWork): Estimate {
  const { diskSize, planned, stored, compression, memory } = work;
  const load = loadOf({ kind: 'data', number: 1, start: 0, end: diskSize, stored }, compression);
  // It reads the tables again, to be sure of them.
  const tables = planned.bytes / lambda.bytesPerSecond;
  const convert = lambda.coldStartSeconds + tables + secondsOf([load], memory / lambda.memoryPerCore);
  const seconds = { plan: planSeconds(planned), convert, complete: 0 };
  const parts = Math.ceil(diskSize / PLAN_LIMITS.wholePart);
  // What is at the destination is looked at by Plan, before the upload and after it. The record for the sweeper; the
  // disk, in parts with an upload to create, put on record and complete.
  const requests = { get: 2 * planned.requests + load.get + 3, put: 1 + (parts > 1 ? parts + 3 : 1) };
  const lambdaSeconds = seconds.plan + seconds.convert;
  const transitions = stepFunctions.transitionsPerWhole;
  return {
    seconds: { ...seconds, total: lambdaSeconds },
    balance: 1,
    requests,
    bytes: { read: stored, uploaded: diskSize, copied: 0 },
    lambdaSeconds,
    transitions,
    dollars: dollarsOf(work, { requests, lambdaSeconds, transitions, invocations: 2 }),
  };
}

const planSeconds = ({ bytes }: Disk['planned']) =>
  lambda.coldStartSeconds + 4 * s3.latencySeconds + bytes / lambda.bytesPerSecond;

type Amounts = Pick<Estimate, 'requests' | 'lambdaSeconds' | 'transitions'> & { readonly invocations: number };

function dollarsOf({ diskSize, memory }: Disk, { requests, lambdaSeconds, transitions, invocations }: Amounts) {
  const dollars = {
    lambda: (lambdaSeconds * memory * lambda.dollarsPerGiBSecond) / GiB + invocations * lambda.dollarsPerInvocation,
    requests: requests.get * s3.dollarsPerGet + requests.put * s3.dollarsPerPut,
    transitions: transitions * stepFunctions.dollarsPerTransition,
  };
  return {
    ...dollars,
    total: dollars.lambda + dollars.requests + dollars.transitions,
    storagePerMonth: (diskSize / GiB) * s3.dollarsPerGiBMonth,
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
