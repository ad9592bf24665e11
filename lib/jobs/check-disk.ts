import { type CheckOptions, checkImage } from '../format/check/check-image.ts';
import { type CheckReport, reportCheck } from '../format/check/report.ts';
import { isQcow1, openAny } from '../format/open-any.ts';
import { checkQcow1 } from '../format/qcow1/check.ts';
import { withWarnings } from '../format/warnings.ts';
import type { ByteSource } from '../source/byte-source.ts';
import { metered, newMeter } from '../source/metered.ts';
import { checkStreams } from './check-streams.ts';

export interface CheckDiskOptions extends CheckOptions {
  /** What the report calls the image. */
  readonly filename: string;
  /** Whether to decompress every compressed cluster, too. */
  readonly deep?: boolean | undefined;
}

/**
 * Checks an image of any version, where it lies: its tables, its refcounts where it has them, and if that is asked for
 * whether its compressed clusters can be decompressed. Of a chain of files only the first is checked, as `qemu-img check`
 * does; no other is opened. Keys are not needed.
 *
 * Cost: as `checkImage` or `checkQcow1`, and then `checkStreams`.
 *
 * @throws UnqcowError as `openAny`, `checkImage` and `checkQcow1` do. What is wrong with the image is no error: it is in
 * the report.
 */
export async function checkDisk(source: ByteSource, options: CheckDiskOptions): Promise<CheckReport> {
  const read = newMeter();
  const image = await openAny(metered(source, read), { tablesAnywhere: true });
  try {
    const check = await (isQcow1(image) ? checkQcow1(image, options) : checkImage(image, options));
    const decompressed = options.deep ? await checkStreams(image, check.findings, options) : undefined;
    return reportCheck(image, check, options.filename, { read, decompressed });
  } catch (error) {
    throw withWarnings(error, image.warnings);
  }
}
