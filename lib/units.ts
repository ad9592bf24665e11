/** Sizes, in bytes. */
export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

/** A disk's smallest piece, in bytes: sizes are counted in it, and each is encrypted by itself. */
export const SECTOR = 512;

/** A size as a person reads it: `1.5 GiB`. Exact below 1 KiB, one decimal above. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let unit = 0;
  let size = bytes;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(size < 10 && !Number.isInteger(size) ? 1 : 0)} ${units[unit]}`;
}
