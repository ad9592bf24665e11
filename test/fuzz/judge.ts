import { mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type ErrorCode, UnqcowError, type WarningCode } from '../../lib/errors.ts';
import { inspectAny } from '../../lib/format/inspect.ts';
import { toJson } from '../../lib/format/json.ts';
import type { MapEntry } from '../../lib/format/map.ts';
import { openAny } from '../../lib/format/open-any.ts';
import { checkDisk } from '../../lib/jobs/check-disk.ts';
import { openFile } from '../../lib/source/file.ts';
import { KiB, MiB } from '../../lib/units.ts';
import { asQemu72, besides, type Converted, convertTo, mapOf, type PlacedOptions } from '../support/images.ts';
import { noise } from '../support/qemu.ts';
import { seedFiles } from './cache.ts';
import { type Case, mended, writeCase } from './cases.ts';
import { type Answer, qemuConvert, qemuInfo, qemuMap } from './oracle.ts';
import { PASSPHRASE, SEEDS, type Seed } from './seeds.ts';
import { LENIENT, STRICTER } from './strictness.ts';

/** How a case ended. */
export interface Verdict {
  /** In a word or two, for the table; `finding` if it is a defect. */
  readonly outcome: string;
  readonly code?: ErrorCode;
  readonly finding?: string;
}

/** What a disk may have, so that none of a million gigabytes is written. */
const OUTPUT_LIMIT = 64 * MiB;
/** Beyond a few times the file and the disk, work does not follow from what is there. */
const MAX_BYTES = (file: number, disk: number) => 4 * file + 3 * disk + MiB;

type Refusal = { readonly refused: UnqcowError };
const isRefusal = (result: object): result is Refusal => 'refused' in result;

/** Whatever is thrown that is not one of our refusals is a defect. */
async function attempt<T extends object>(work: () => Promise<T>): Promise<T | Refusal> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UnqcowError && error.code !== 'INTERNAL') return { refused: error };
    throw error;
  }
}

/** Runs us and then `qemu-img` on one damaged image, and holds one against the other. Leaves nothing in `folder`. */
export async function judge(
  folder: string,
  each: Case,
  onPhase: (phase: 'ours' | 'theirs') => unknown,
): Promise<Verdict> {
  const seed = SEEDS[each.seed] as Seed;
  const image = await writeCase(join(folder, 'case'), each);
  const out = join(folder, 'out');
  await mkdir(out);
  try {
    await onPhase('ours');
    const ours = await attempt(() => convert(image, out, seed));
    const info = await attempt(async () => ({ json: await describe(image) }));
    await onPhase('theirs');
    const left = await readdir(out);
    if (left.length !== (isRefusal(ours) ? 0 : 1)) return found(`files were left behind: ${left}`);
    const excess = isRefusal(ours) ? undefined : await excessOf(ours, dirname(image));
    if (excess) return found(excess);
    const differs = await infoDifference(info, image, seed);
    if (differs) return found(differs);
    return isRefusal(ours)
      ? await refusedByUs(ours.refused, image, out, each)
      : await sameBytes(ours, image, each, seed);
  } catch (error) {
    return found(`crash: ${(error as Error).stack ?? error}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const found = (finding: string): Verdict => ({ outcome: 'finding', finding });

function optionsFor(image: string, seed: Seed): PlacedOptions {
  const passphrases = seed.encrypted ? { '': Buffer.from(PASSPHRASE) } : {};
  const backingFormats = seed.backingFormat ? { base: seed.backingFormat } : {};
  return { ...besides(image, { backingFormats }), passphrases, snapshot: seed.snapshot };
}

async function withSource<T>(
  image: string,
  use: (source: Awaited<ReturnType<typeof openFile>>) => Promise<T>,
): Promise<T> {
  const source = await openFile(image);
  return use(source).finally(() => source.close());
}

const convert = (image: string, out: string, seed: Seed) =>
  withSource(image, (source) => convertTo(out, source, OUTPUT_LIMIT, optionsFor(image, seed)));

const describe = (image: string) =>
  withSource(image, async (source) => toJson(await inspectAny(await openAny(source), image)));

async function excessOf({ read, size }: Converted, folder: string): Promise<string | undefined> {
  const names = await readdir(folder);
  const sizes = await Promise.all(names.map(async (name) => (await readFile(join(folder, name))).length));
  const limit = MAX_BYTES(
    sizes.reduce((sum, bytes) => sum + bytes, 0),
    size,
  );
  return read.bytes > limit ? `${read.bytes} bytes were read, and ${limit} are enough` : undefined;
}

async function sameBytes(ours: Converted, image: string, each: Case, seed: Seed): Promise<Verdict> {
  const codes = ours.warnings.map(({ code }) => code);
  const theirs = `${ours.path}.qemu`;
  let answer = await qemuConvert(image, theirs, seed);
  let outcome = 'equal';
  if (answer.kind === 'refused' && (seed.encrypted || (await isLenient(codes, answer.why, image)))) {
    const good = (await seedFiles(each.seed)).files[each.file] as Buffer;
    const path = join(dirname(image), each.file);
    await writeFile(path, mended(await readFile(path), good, seed.snapshot !== undefined));
    answer = await qemuConvert(image, theirs, seed);
    outcome = 'equal once mended';
  }
  if (answer.kind === 'gave up') return { outcome: 'qemu gave up' };
  if (answer.kind === 'refused') return found(`converted (${codes}), though QEMU says: ${answer.why}`);
  const difference = await differenceOf(ours.path, theirs, seed.snapshot !== undefined);
  if (difference) return found(`wrong bytes (${codes}): ${difference}`);
  if (each.number % 4 === 0 && outcome === 'equal') return (await mapDiffers(image, codes, seed)) ?? { outcome };
  return { outcome };
}

/**
 * Whether what QEMU refuses cannot change the disk's bytes: we warn of it, or it lies in a bitmap's own table. QEMU opens no
 * image with a damaged one; of us only `check` reads them, and must find it.
 */
async function isLenient(codes: readonly WarningCode[], why: string, image: string): Promise<boolean> {
  if (codes.some((code) => LENIENT.has(code))) return true;
  if (!/bitmap/.test(why)) return false;
  const report = await attempt(() => withSource(image, (source) => checkDisk(source, { filename: image })));
  return !isRefusal(report) && (report.unqcow.counts.BITMAPS_UNREADABLE ?? 0) > 0;
}

async function refusedByUs(refused: UnqcowError, image: string, out: string, each: Case): Promise<Verdict> {
  const { code, at, message } = refused;
  const seed = SEEDS[each.seed] as Seed;
  // QEMU would be at it for hours.
  if (code === 'OUTPUT_LIMIT' || code === 'KEY_TOO_COSTLY') return { outcome: 'unbounded', code };
  const theirs = join(out, 'theirs');
  const answer = await qemuConvert(image, theirs, seed);
  if (answer.kind === 'refused') return { outcome: 'refused by both', code };
  if (answer.kind === 'gave up') return { outcome: 'qemu gave up', code };
  if (!STRICTER.has(code)) return found(`refused, though QEMU converts it: ${code} at ${at}: ${message}`);
  const isNeeded = await missingBytesMatter(refused, image, theirs, each);
  if (isNeeded === false && code === 'CLUSTER_BEYOND_EOF')
    return found(`refused, though the bytes that are missing make no difference: ${message}`);
  return { outcome: isNeeded ? 'refused by us, proven' : 'refused by us', code };
}

const MISSING: readonly ErrorCode[] = ['L1_BEYOND_EOF', 'L2_BEYOND_EOF', 'CLUSTER_BEYOND_EOF'];
/** File systems have shorter files than images have offsets. */
const MAX_OFFSET = 2 ** 42;

/**
 * Whether QEMU makes something else of the image once noise is where we said that there is nothing. Data always shows; noise
 * for a table may point past the file's end, where QEMU finds zeros again.
 */
async function missingBytesMatter({ code, message }: UnqcowError, image: string, theirs: string, each: Case) {
  const place = Number(/ at (\d+) /.exec(message)?.[1]);
  const path = join(dirname(image), each.file);
  const { size } = await stat(path);
  if (!MISSING.includes(code) || !message.includes(` ${size} bytes`) || place > MAX_OFFSET) return undefined;
  const file = await open(path, 'r+');
  await file.write(noise(64 * KiB), 0, 64 * KiB, Math.max(place, size));
  await file.close();
  const again = await qemuConvert(image, `${theirs}.2`, SEEDS[each.seed] as Seed);
  return again.kind !== 'done' || (await differenceOf(theirs, `${theirs}.2`, false)) !== undefined;
}

/** What QEMU 7.2 cannot say as we do: bytes that the file lacks, and files that are not there. */
const NOT_MAPPED: readonly WarningCode[] = ['TAIL_ZERO_PADDED', 'ZERO_CLUSTER_BEYOND_EOF'];

async function mapDiffers(image: string, codes: readonly WarningCode[], seed: Seed): Promise<Verdict | undefined> {
  if (seed.encrypted || seed.snapshot || codes.some((code) => NOT_MAPPED.includes(code))) return undefined;
  const theirs = await qemuMap(image, seed);
  if (theirs.kind !== 'done')
    return theirs.kind === 'refused' ? found(`mapped, though QEMU says: ${theirs.why}`) : undefined;
  const ours = await withSource(image, (source) => mapOf(source, optionsFor(image, seed)));
  // Of a disk without bytes QEMU has an entry without length.
  const [a, b] = [asQemu72(ours), (JSON.parse(theirs.stdout) as MapEntry[]).filter(({ length }) => length > 0)];
  const at = a.findIndex((entry, i) => !isDeepStrictEqual(entry, b[i]));
  if (at < 0 && a.length === b.length) return undefined;
  return found(`another map at ${at}: ${JSON.stringify(a[at])} is not ${JSON.stringify(b[at])}`);
}

async function infoDifference(
  info: { json: string } | Refusal,
  image: string,
  seed: Seed,
): Promise<string | undefined> {
  const theirs: Answer = await qemuInfo(image, seed);
  if (theirs.kind === 'gave up') return undefined;
  if (isRefusal(info)) {
    const { code, message } = info.refused;
    return theirs.kind === 'done' && !STRICTER.has(code)
      ? `not described, though QEMU does: ${code}: ${message}`
      : undefined;
  }
  const { unqcow, ...ours } = JSON.parse(info.json);
  const codes: WarningCode[] = unqcow.warnings.map(({ code }: { code: WarningCode }) => code);
  if (theirs.kind === 'refused') {
    // What LUKS names need not be known to be told.
    const isTold =
      'encrypted' in ours || codes.includes('UNKNOWN_FEATURE') || (await isLenient(codes, theirs.why, image));
    return isTold ? undefined : `described (${codes}), though QEMU says: ${theirs.why}`;
  }
  const expected = JSON.parse(theirs.stdout);
  // A list that the file does not have whole is none, where QEMU takes zeros for the rest.
  if (codes.includes('BITMAPS_INVALID')) delete expected['format-specific'].data.bitmaps;
  const notCompared = new Set([
    'filename',
    'actual-size',
    ...(codes.includes('SNAPSHOT_TABLE_BEYOND_EOF') ? ['snapshots'] : []),
  ]);
  for (const key of new Set([...Object.keys(ours), ...Object.keys(expected)])) {
    if (notCompared.has(key) || isDeepStrictEqual(ours[key], expected[key])) continue;
    return `another ${key}: ${JSON.stringify(ours[key])} is not ${JSON.stringify(expected[key])}`;
  }
  return undefined;
}

const CHUNK = 4 * MiB;

/** @param prefix Whether only what both have must be equal: QEMU gives a snapshot the current disk's length. */
async function differenceOf(ours: string, theirs: string, prefix: boolean): Promise<string | undefined> {
  const files = await Promise.all([open(ours), open(theirs)]);
  try {
    const [a, b] = (await Promise.all(files.map(async (file) => (await file.stat()).size))) as [number, number];
    if (a !== b && !prefix) return `${a} bytes are not ${b}`;
    for (let at = 0; at < Math.min(a, b); at += CHUNK) {
      const length = Math.min(CHUNK, Math.min(a, b) - at);
      const [left, right] = (await Promise.all(
        files.map(async (file) => (await file.read(Buffer.alloc(length), 0, length, at)).buffer),
      )) as [Buffer, Buffer];
      if (!left.equals(right)) return `they differ from byte ${at + left.findIndex((byte, i) => byte !== right[i])} on`;
    }
    return undefined;
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}
