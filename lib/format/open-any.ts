import type { ByteSource } from '../source/byte-source.ts';
import { type Image, openImage } from './image.ts';
import { openQcow1, type Qcow1Image } from './qcow1/image.ts';
import { viewOf } from './struct.ts';

/** An image of any version, as its header says. */
export type AnyImage = Image | Qcow1Image;

export const isQcow1 = (image: AnyImage): image is Qcow1Image => image.geometry.version === 1;

/**
 * Opens an image by the version that its first 8 bytes name. Costs what `openImage` or `openQcow1` does, and where the
 * source does not have its head at hand a read of 8 bytes.
 */
export async function openAny(source: ByteSource): Promise<AnyImage> {
  const probe = await source.read({ start: 0, end: Math.min(8, source.size) });
  const version = probe.length === 8 ? viewOf(probe).getUint32(4) : undefined;
  return version === 1 ? openQcow1(source) : openImage(source);
}
