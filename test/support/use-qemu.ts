import { afterAll } from 'vitest';
import { openQemu, type Qemu } from './qemu.ts';

/** QEMU for one file of tests, or for one `describe` in it: the folder goes when they have ended. */
export function useQemu(): Qemu {
  const qemu = openQemu();
  afterAll(() => qemu.close());
  return qemu;
}
