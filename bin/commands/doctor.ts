import { stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { styleText } from 'node:util';
import { CURES } from '../../lib/cures.ts';
import { UnqcowError } from '../../lib/errors.ts';
import { toJson } from '../../lib/format/json.ts';
import { isVersionOfTarget } from '../../lib/jobs/convert-here.ts';
import { assertElsewhere } from '../../lib/jobs/elsewhere.ts';
import type { Target } from '../../lib/jobs/here-request.ts';
import { type OpenDisk, openDisk } from '../../lib/jobs/open-disk.ts';
import type { Stores } from '../../lib/jobs/stores.ts';
import { targetOf } from '../../lib/jobs/target.ts';
import { UNKNOWN_CALLER } from '../../lib/s3-setup.ts';
import { openFileSink } from '../../lib/sink/file.ts';
import type { S3Terms } from '../../lib/source/s3.ts';
import { formatBytes } from '../../lib/units.ts';
import { VERSION } from '../../lib/version.ts';
import { type GateFlags, gateOf, withPassphrases } from '../gate-flags.ts';
import { locationOf, targetLocation } from '../location.ts';
import { EXIT, print, printable } from '../report.ts';
import { openNamed, theStores } from '../source.ts';
import { type TermsFlags, termsOf } from '../terms-flags.ts';
import { asUsage } from '../usage.ts';

interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly says: string;
  readonly code?: string;
  /** What to do about it. */
  readonly cure?: string;
}

interface DoctorFlags extends GateFlags, TermsFlags {
  readonly json?: boolean;
  readonly snapshot?: string;
}

/** `unqcow doctor [IMAGE] [TARGET]`: whether a conversion would get as far as its first byte, and if not, why. */
export async function doctor(image: string | undefined, target: string | undefined, flags: DoctorFlags): Promise<void> {
  const findings = [versions()];
  const names = [image, target].filter((name) => name !== undefined);
  // Without an image it is S3 that is looked at.
  const terms = termsOf(flags, image === undefined ? ['s3://'] : names);
  const isS3 = names.some((name) => locationOf(name).kind === 's3');
  if (isS3 || image === undefined) findings.push(...(await storeFindings()));
  let disk: OpenDisk | undefined;
  if (image !== undefined) {
    const [finding, opened] = await readable(image, terms, flags);
    findings.push(finding);
    disk = opened;
  }
  if (target !== undefined) findings.push(await writable(target, terms, disk));
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

/** Whether anybody answers there. That whoever asks may not list buckets is no fault: most may not. */
async function endpoint(reader: Reader): Promise<Finding> {
  const check = 'S3 endpoint';
  const where = process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL ?? 'AWS';
  const signal = AbortSignal.timeout(PATIENCE);
  const { answerOf } = await import('../../lib/source/s3-answer.ts');
  try {
    const { status, refusal } = await answerOf(reader, signal);
    if (refusal === undefined || !UNKNOWN_CALLER.has(refusal))
      return { check, ok: true, says: `${where} answers (${status})` };
    return { check, ok: false, says: `${where} answers ${refusal}`, cure: CREDENTIALS_CURE };
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    const why = signal.aborted ? `nothing within ${PATIENCE / 1000} s` : message || code;
    const cure =
      'See that AWS_ENDPOINT_URL_S3 and AWS_REGION are right, that it runs, and that no firewall is between.';
    return { check, ok: false, says: `${where} does not answer: ${why}`, cure };
  }
}

/** Opens the disk as a conversion would, with all files that it lies in. It comes back closed. */
async function readable(name: string, terms: S3Terms, flags: DoctorFlags): Promise<[Finding, OpenDisk | undefined]> {
  const check = `read ${name}`;
  try {
    const { source, location, open } = await openNamed(name, terms);
    try {
      const { snapshot } = flags;
      const disk = await withPassphrases(flags, (passphrases) =>
        openDisk(source, location, { gate: gateOf(flags), open, snapshot, passphrases }),
      );
      await disk.close();
      const version = disk.layers[0]?.map.geometry.version;
      return [{ check, ok: true, says: `version ${version}, ${formatBytes(disk.size)} of disk` }, disk];
    } finally {
      await source.close();
    }
  } catch (error) {
    return [failed(check, error), undefined];
  }
}

/** Opens the target as a conversion would, and leaves nothing there. */
async function writable(name: string, { owner }: S3Terms, disk: OpenDisk | undefined): Promise<Finding> {
  const check = `write ${name}`;
  const location = targetLocation(name);
  const stores = location.kind === 's3' ? await theStores() : undefined;
  const target = asUsage(() => targetOf(location, undefined, () => stores as Stores, owner));
  try {
    if (disk) assertElsewhere(disk, await isVersionOfTarget(target), 'target');
    return target.kind === 'file'
      ? await writableFile(check, target.path, disk?.size)
      : await writableObject(check, target);
  } catch (error) {
    return failed(check, error);
  }
}

async function writableObject(
  check: string,
  { stores: { writer }, target }: Target & { kind: 's3' },
): Promise<Finding> {
  const { abortUpload, createUpload } = await import('../../lib/sink/s3-multipart.ts');
  const { assertReplaceable } = await import('../../lib/sink/s3-replacing.ts');
  await assertReplaceable(writer, target, 'own');
  await abortUpload(writer, await createUpload(writer, target));
  return { check, ok: true, says: 'an upload was opened there, and aborted' };
}

async function writableFile(check: string, path: string, size: number | undefined): Promise<Finding> {
  const sink = await openFileSink(path, size ?? 0, { overwrite: true });
  await sink.discard();
  const { bavail, bsize } = await statfs(dirname(resolve(path)));
  const free = bavail * bsize;
  const there = await stat(path).then(
    () => 'it exists and would be replaced; ',
    () => '',
  );
  const says = `${there}${formatBytes(free)} free`;
  if (size === undefined || size <= free) return { check, ok: true, says };
  const cure = 'A raw disk is sparse here, so it may fit all the same; if not, convert to S3.';
  return { check, ok: false, says: `${says}, and the disk has ${formatBytes(size)}`, cure };
}

function failed(check: string, error: unknown): Finding {
  if (!(error instanceof UnqcowError)) return { check, ok: false, says: (error as Error).message };
  const { code, message } = error;
  return { check, ok: false, says: `${code}: ${message}`, code, cure: CURES[code] };
}
