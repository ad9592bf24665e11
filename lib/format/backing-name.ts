import type { Warning } from '../errors.ts';
import { qemuText } from './qemu-text.ts';

/** The name of a backing file, or nothing if it starts with a NUL: to QEMU, too, there is no backing file then. */
export function backingName(bytes: Uint8Array, warn: (warning: Warning) => void): string | undefined {
  const name = qemuText(bytes);
  if (name !== '') return name;
  const message = 'the name of the backing file starts with a NUL';
  warn({ code: 'BACKING_NAME_EMPTY', message, at: 'header.backing_file_offset' });
  return undefined;
}
