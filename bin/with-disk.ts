import { withWarnings } from '../lib/format/warnings.ts';
import type { OpenDisk } from '../lib/jobs/open-disk.ts';

/** Uses a disk and closes it. What is refused meanwhile also tells what was odd about the image by then. */
export async function withDisk<T>(disk: OpenDisk, use: (disk: OpenDisk) => Promise<T>): Promise<T> {
  try {
    return await use(disk);
  } catch (error) {
    throw withWarnings(error, disk.warnings);
  } finally {
    await disk.close();
  }
}
