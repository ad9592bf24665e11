import { besides, isPlainRelative } from '../../../lib/relative-name.ts';
import type { Gate, ImageInfo } from './answers.ts';
import { api, type ObjectName, Refusal } from './api.ts';

/** A file below an image in its chain, as far as one could look into it. */
export interface ChainFile {
  /** What the image above calls it. */
  readonly name: string;
  /** As the image above states it. */
  readonly format: string | undefined;
  /** Where it lies, if it could be reached. */
  readonly at?: ObjectName;
  readonly info?: ImageInfo;
  /** Bytes of a raw one. */
  readonly size?: number;
  /** Why it could not be reached. */
  readonly because?: string;
}

/** As many as a chain may have. */
const MOST = 64;

/**
 * The files below an image, each as soon as it is known: found as a conversion would find them, and asked for as whoever
 * looks at this page may. Ends at a raw file, at a file that backs nothing, or at one that cannot be reached. Costs a
 * `GET /images` for each, of a raw one a listing of one object. No disk is read.
 */
export async function* filesBelow(image: ImageInfo, from: ObjectName, gate?: Gate): AsyncGenerator<ChainFile> {
  const seen = new Set([idOf(from)]);
  let [info, above]: [ImageInfo | undefined, ObjectName] = [image, from];
  while (info?.['backing-filename'] !== undefined) {
    const name: string = info['backing-filename'];
    const stated = said(gate?.backingFormats, name) ?? gate?.backingFormats[''];
    const file = { name, format: info['backing-filename-format'] ?? stated };
    const at = placeOf(name, above, gate);
    const reached: ChainFile = at
      ? await lookInto(file, at, seen)
      : { ...file, because: 'only a name beside the image is followed' };
    yield reached;
    [info, above] = [reached.info, at ?? above];
  }
}

const idOf = ({ bucket, key }: ObjectName) => `${bucket}/${key}`;

const said = (all: Readonly<Record<string, string>> = {}, name: string) =>
  Object.hasOwn(all, name) ? all[name] : undefined;

/** Where a name leads: to the place that is said of it, or beside the image above. */
function placeOf(name: string, above: ObjectName, gate: Gate | undefined): ObjectName | undefined {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+?)(?:\?versionId=.*)?$/s.exec(said(gate?.places, name) ?? '') ?? [];
  if (bucket !== undefined && key !== undefined) return { bucket, key };
  return isPlainRelative(name) ? { bucket: above.bucket, key: besides(above.key, name) } : undefined;
}

async function lookInto(file: ChainFile, at: ObjectName, seen: Set<string>): Promise<ChainFile> {
  const { format } = file;
  if (seen.has(idOf(at))) return { ...file, because: 'the chain comes back to it' };
  if (seen.size >= MOST) return { ...file, because: `the chain has more than ${MOST} files` };
  seen.add(idOf(at));
  if (format === undefined) return { ...file, because: 'its format is not stated, and not guessed' };
  try {
    if (format === 'raw') return await lookAtRaw(file, at);
    if (!format.startsWith('qcow')) return { ...file, because: `files of format ${format} are not read` };
    return { ...file, at, info: await api.image(at) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { ...file, because: error.title };
  }
}

async function lookAtRaw(file: ChainFile, at: ObjectName): Promise<ChainFile> {
  const { objects } = await api.objects(at.bucket, { prefix: at.key, limit: 1 });
  const [first] = objects;
  return first?.key === at.key ? { ...file, at, size: first.size } : { ...file, because: 'there is no such object' };
}
