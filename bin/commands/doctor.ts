import { access, constants, stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { styleText } from 'node:util';
import { CURES } from '../../lib/cures.ts';
import { UnqcowError } from '../../lib/errors.ts';
import { toJson } from '../../lib/format/json.ts';
import { openAny } from '../../lib/format/open-any.ts';
import type { Stores } from '../../lib/jobs/stores.ts';
import { abortUpload, createUpload } from '../../lib/sink/s3-multipart.ts';
import { type Location, parseLocation } from '../../lib/source/location.ts';
import type { S3Terms } from '../../lib/source/s3.ts';
import { formatBytes } from '../../lib/units.ts';
import { VERSION } from '../../lib/version.ts';
import { EXIT, print, printable } from '../report.ts';
import { openNamed, theStores } from '../source.ts';
import { type TermsFlags, termsOf } from '../terms-flags.ts';

interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly says: string;
  readonly code?: string;
  /** What to do about it. */
  readonly cure?: string;
}

interface DoctorFlags extends TermsFlags {
  readonly json?: boolean;
}

/** `unqcow doctor [IMAGE] [TARGET]`: whether a conversion would get as far as its first byte, and if not, why. */
export async function doctor(image: string | undefined, target: string | undefined, flags: DoctorFlags): Promise<void> {
  const findings = [versions()];
  const names = [image, target].filter((name) => name !== undefined);
  const terms = termsOf(flags, names.length === 0 ? ['s3://'] : names);
  const isS3 = [image, target].some((name) => name?.startsWith('s3://'));
  if (isS3 || image === undefined) findings.push(...(await storeFindings()));
  let size: bigint | undefined;
  if (image !== undefined) {
    const [finding, found] = await readable(image, terms);
    findings.push(finding);
    size = found;
  }
  if (target !== undefined) findings.push(await writable(parseLocation(target), terms, size));
  if (flags.json) print(toJson(findings, 4));
  else for (const finding of findings) printFinding(finding);
  if (findings.some(({ ok }) => !ok)) process.exitCode = EXIT.refused;
}

function printFinding({ check, ok, says, cure }: Finding): void {
  const verdict = styleText(ok ? 'green' : 'red', ok ? 'ok  ' : 'FAIL', { stream: process.stdout });
  print(`${verdict} ${printable(`${check}: ${says}`)}`);
  if (cure) print(`     ${cure}`);
}

function versions(): Finding {
  const ok = Number(process.versions.node.split('.')[0]) >= 24;
  const cure = 'Install Node 24, or start bin/unqcow, which brings its own.';
  return {
    check: 'versions',
    ok,
    says: `unqcow ${VERSION}, Node ${process.versions.node}`,
    ...(ok ? {} : { cure }),
  };
}

/** Without credentials nothing can be asked. */
async function storeFindings(): Promise<Finding[]> {
  const { reader } = await theStores();
  const found = await credentials(reader);
  return found.ok ? [found, await endpoint(reader)] : [found];
}

type Reader = Stores['reader'];

const CREDENTIALS_CURE =
  'Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_REGION; or run `aws sso login`.';

async function credentials({ config }: Reader): Promise<Finding> {
  const check = 'S3 credentials';
  try {
    const { accessKeyId, expiration } = await config.credentials();
    const region = await config.region();
    const until = expiration ? `, until ${expiration.toISOString()}` : '';
    return { check, ok: true, says: `…${accessKeyId.slice(-4)}${until}, region ${region}` };
  } catch (error) {
    return { check, ok: false, says: (error as Error).message, cure: CREDENTIALS_CURE };
  }
}

/** Milliseconds that an answer is waited for. */
const PATIENCE = 5_000;

/** Refusals that speak of who asks, not of what is asked: credentials that were found are not those of this S3. */
const STRANGER: readonly (string | undefined)[] = [
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
];

/** Whether anybody answers there. That whoever asks may not list buckets is no fault: most may not. */
async function endpoint(reader: Reader): Promise<Finding> {
  const check = 'S3 endpoint';
  const where = process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL ?? 'AWS';
  const signal = AbortSignal.timeout(PATIENCE);
  const { answerOf } = await import('../../lib/source/s3-answer.ts');
  try {
    const { status, refusal } = await answerOf(reader, signal);
    if (!STRANGER.includes(refusal)) return { check, ok: true, says: `${where} answers (${status})` };
    return { check, ok: false, says: `${where} answers ${refusal}`, cure: CREDENTIALS_CURE };
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    const why = signal.aborted ? `nothing within ${PATIENCE / 1000} s` : message || code;
    const cure =
      'See that AWS_ENDPOINT_URL_S3 and AWS_REGION are right, that it runs, and that no firewall is between.';
    return { check, ok: false, says: `${where} does not answer: ${why}`, cure };
  }
}

async function readable(name: string, terms: S3Terms): Promise<[Finding, bigint | undefined]> {
  const check = `read ${name}`;
  try {
    const { source } = await openNamed(name, terms);
    try {
      const { geometry } = await openAny(source);
      const size = BigInt(geometry.diskSize);
      return [
        { check, ok: true, says: `version ${geometry.version}, ${formatBytes(geometry.diskSize)} of disk` },
        size,
      ];
    } finally {
      await source.close();
    }
  } catch (error) {
    return [failed(check, error), undefined];
  }
}

async function writable(location: Location, { owner }: S3Terms, size: bigint | undefined): Promise<Finding> {
  if (location.kind === 'file') return writableFile(location.path, size);
  const check = `write s3://${location.bucket}/${location.key}`;
  try {
    const { writer } = await theStores();
    await abortUpload(writer, await createUpload(writer, { ...location, owner }));
    return { check, ok: true, says: 'an upload was opened there, and aborted' };
  } catch (error) {
    return failed(check, error);
  }
}

async function writableFile(path: string, size: bigint | undefined): Promise<Finding> {
  const check = `write ${path}`;
  const folder = dirname(resolve(path));
  try {
    await access(folder, constants.W_OK);
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const there = await stat(path).then(
      () => 'it exists and would be replaced; ',
      () => '',
    );
    const says = `${there}${formatBytes(free)} free`;
    if (size === undefined || size <= free) return { check, ok: true, says };
    const cure = 'A raw disk is sparse here, so it may fit all the same; if not, convert to S3.';
    return { check, ok: false, says: `${says}, and the disk has ${formatBytes(Number(size))}`, cure };
  } catch (error) {
    return {
      check,
      ok: false,
      says: (error as Error).message,
      cure: 'Name a folder that exists and that you may write to.',
    };
  }
}

function failed(check: string, error: unknown): Finding {
  if (!(error instanceof UnqcowError)) return { check, ok: false, says: (error as Error).message };
  const { code, message } = error;
  return { check, ok: false, says: `${code}: ${message}`, code, cure: CURES[code] };
}
