import { Option } from 'commander';
import { OVERWRITES, type Overwrite } from '../lib/sink/s3-condition.ts';
import { describeRaw, ENCRYPTIONS, type Keeping, STORAGE_CLASSES } from '../lib/sink/s3-description.ts';
import { many } from './arguments.ts';
import { asUsage, UsageError } from './usage.ts';

/** What the command line says about the object that is written. */
export interface KeepingFlags {
  /** False for `--no-overwrite`. */
  readonly overwrite?: Overwrite | false;
  readonly storageClass?: Keeping['storageClass'];
  readonly sse?: Keeping['sse'];
  readonly kmsKeyId?: string;
  readonly tag?: string[];
  readonly metadata?: string[];
}

export const KEEPING_OPTIONS = [
  new Option('--overwrite <what>', 'in S3: replace what unqcow made, anything, or nothing').choices(OVERWRITES),
  new Option('--no-overwrite', 'refuse a target that exists'),
  new Option('--storage-class <class>', 'to S3: of the object').choices(STORAGE_CLASSES),
  new Option('--sse <how>', 'to S3: how the object is encrypted there').choices(ENCRYPTIONS),
  new Option('--kms-key-id <key>', 'to S3: with --sse aws:kms, by which key'),
  new Option('--tag <name=value>', 'to S3: a tag of the object').argParser(many),
  new Option('--metadata <name=value>', 'to S3: metadata of the object').argParser(many),
];

/**
 * In S3 only what unqcow made is replaced, unless it is said otherwise; a file is, as by `qemu-img`.
 *
 * @throws UsageError for what a file has not, and for what S3 or we would not take of an object.
 */
export function keepingOf(flags: KeepingFlags, kind: 'file' | 's3'): Keeping & { readonly overwrite: Overwrite } {
  const { overwrite = kind === 's3' ? 'own' : 'always', storageClass, sse, kmsKeyId, tag, metadata } = flags;
  if (kind === 'file') {
    const own = overwrite === 'own' ? overwrite : undefined;
    const ofObjects = {
      'storage-class': storageClass,
      sse,
      'kms-key-id': kmsKeyId,
      tag,
      metadata,
      'overwrite own': own,
    };
    const [said] = Object.entries(ofObjects).filter(([, value]) => value !== undefined);
    if (said) throw new UsageError(`--${said[0]} is for targets in S3: a file has nothing of the kind`);
  }
  const keeping: Keeping = {
    storageClass,
    sse,
    kmsKeyId,
    ...(tag ? { tags: pairsOf(tag) } : {}),
    ...(metadata ? { metadata: pairsOf(metadata) } : {}),
  };
  asUsage(() => describeRaw(keeping));
  return { overwrite: overwrite === false ? 'never' : overwrite, ...keeping };
}

function pairsOf(texts: readonly string[]): Record<string, string> {
  const pairs = texts.map((text) => {
    const at = text.indexOf('=');
    if (at < 1) throw new UsageError(`${text} is not NAME=VALUE`);
    return [text.slice(0, at), text.slice(at + 1)] as const;
  });
  return Object.fromEntries(pairs);
}
