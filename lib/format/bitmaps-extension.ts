import { FORMAT_LIMITS } from './limits.ts';
import { type Read, readStruct, viewOf } from './struct.ts';

/** qcow2.rst § Bitmaps extension. */
const BITMAPS_EXTENSION = {
  count: [0, 'u32'],
  reserved: [4, 'u32'],
  directorySize: [8, 'u64'],
  directoryOffset: [16, 'u64'],
} as const;

/** An entry without extra data, which none may have, and with the longest name. */
const MIN_ENTRY = 24;
const MAX_ENTRY = 1048;

/** Reads the extension's payload, or says what is wrong with it. */
export function parseBitmapsExtension(
  data: Uint8Array,
  { clusterBits, fileSize }: { readonly clusterBits: number; readonly fileSize: number },
): Read<typeof BITMAPS_EXTENSION> | string {
  if (data.length !== 24) return `the extension has ${data.length} bytes, not 24`;
  const extension = readStruct(viewOf(data), BITMAPS_EXTENSION);
  const { count, reserved, directorySize: size, directoryOffset: offset } = extension;
  if (reserved !== 0) return 'the reserved field is not zero';
  if (count === 0 || count > FORMAT_LIMITS.maxBitmaps) return `there cannot be ${count} bitmaps`;
  if (offset % (1n << BigInt(clusterBits)) !== 0n) return `the directory cannot lie at ${offset}`;
  if (size > FORMAT_LIMITS.maxBitmapDirectoryBytes) return `the directory cannot have ${size} bytes`;
  if (size < count * MIN_ENTRY || size > count * MAX_ENTRY)
    return `${size} bytes of directory are not ${count} bitmaps`;
  if (offset + size > fileSize) return `the directory at ${offset} runs past the file's ${fileSize} bytes`;
  return extension;
}
