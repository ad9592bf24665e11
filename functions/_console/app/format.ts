import { formatBytes } from '../../../lib/units.ts';

export { formatBytes };

/** A size for people and for machines. */
export const size = (bytes: number): string =>
  bytes < 1024 ? `${bytes} bytes` : `${formatBytes(bytes)} (${count(bytes)} bytes)`;

export const count = (number: number): string => number.toLocaleString('en');

export const hex = (offset: number): string => `0x${offset.toString(16)}`;

export const percent = (part: number, whole: number): string =>
  whole === 0 ? '0 %' : `${((100 * part) / whole).toFixed(part === 0 || part === whole ? 0 : 1)} %`;

/** A date that an image or the API tells, if it is one. */
export function date(milliseconds: number): string {
  const at = new Date(milliseconds);
  return Number.isNaN(at.getTime())
    ? 'no date'
    : at
        .toISOString()
        .replace('T', ' ')
        .replace(/\.\d+Z$/, ' UTC');
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export const dollars = (amount: number): string => `$${amount < 0.01 ? amount.toPrecision(2) : amount.toFixed(2)}`;

/** The last part of a key; a folder's keeps its slash. */
export const nameOf = (key: string): string => /[^/]*\/?$/.exec(key)?.[0] || key;
