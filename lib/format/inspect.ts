import { type ImageInfo, inspect } from './info.ts';
import { type AnyImage, isQcow1 } from './open-any.ts';
import type { Page } from './page.ts';
import { describeQcow1, type Qcow1Info } from './qcow1/info.ts';

export type AnyInfo = ImageInfo | Qcow1Info;

/** Says what is in an image of any version. Costs what `inspect` does; for version 1 nothing more. */
export async function inspectAny(image: AnyImage, filename: string, page: Page = {}): Promise<AnyInfo> {
  return isQcow1(image) ? describeQcow1(image, filename) : inspect(image, filename, page);
}
