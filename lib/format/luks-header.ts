import { UnqcowError } from '../errors.ts';
import { CRYPTO_EXTENSION, lastOf } from './extensions.ts';
import type { Image } from './image.ts';
import { LUKS_HEADER_BYTES, type LuksHeader, parseLuks } from './luks.ts';
import { readStruct, viewOf } from './struct.ts';

/**
 * Reads the LUKS header that the image's extension points at: one read of 592 bytes.
 *
 * @throws UnqcowError as `parseLuks` does.
 */
export async function readLuks(
  image: Image,
  signal?: AbortSignal,
): Promise<{ readonly header: LuksHeader; readonly offset: number }> {
  const extension = lastOf(image.extensions, 'encryption header');
  if (!extension)
    throw new UnqcowError('BAD_CRYPTO_EXT', 'there is no encryption header', { at: 'header.extensions.crypto' });
  const { offset, length } = readStruct(viewOf(extension.data), CRYPTO_EXTENSION);
  const start = Number(offset);
  const bytes = await image.source.read({ start, end: start + LUKS_HEADER_BYTES }, { signal });
  return { header: parseLuks(bytes, Number(length)), offset: start };
}
