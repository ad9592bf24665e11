import type { ByteSource } from '../source/byte-source.ts';
import { HEAD_LENGTH, withHead } from '../source/with-head.ts';
import type { OpenOptions } from './checks.ts';
import { type Image, openImage } from './image.ts';
import { openQcow1, type Qcow1Image } from './qcow1/image.ts';
import { viewOf } from './struct.ts';

/** An image of any version, as its header says. */
export type AnyImage = Image | Qcow1Image;

export const isQcow1 = (image: AnyImage): image is Qcow1Image => image.geometry.version === 1;

/**
 * Opens an image by the version that its first bytes name. Costs what `openImage` or `openQcow1` does.
 */
export async function openAny(source: ByteSource, options: OpenOptions = {}): Promise<AnyImage> {
  const head = await source.read({ start: 0, end: Math.min(HEAD_LENGTH, source.size) });
  const version = head.length >= 8 ? viewOf(head).getUint32(4) : undefined;
  const primed = withHead(source, head);
  return version === 1 ? openQcow1(primed, options) : openImage(primed, options);
}
