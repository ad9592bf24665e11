import type { HereResult } from '../lib/jobs/here-request.ts';
import { formatBytes } from '../lib/units.ts';

type Told = Pick<HereResult, 'target' | 'size' | 'crc32' | 'parts' | 'read' | 'lost'>;

/** A conversion that is done, in a line. */
export function describeResult({ target, size, crc32, parts, read, lost }: Told, seconds: number): string {
  const kinds = Object.entries(parts ?? {}).flatMap(([kind, count]) => (count > 0 ? [`${count} ${kind}`] : []));
  const made = kinds.length > 0 ? `, parts: ${kinds.join(', ')}` : '';
  const missing = lost && lost.bytes > 0 ? `, of which ${formatBytes(lost.bytes)} are lost` : '';
  const sum = crc32 ? `, CRC-32 ${crc32}` : '';
  const cost = `read ${formatBytes(read.bytes)} in ${read.requests} requests`;
  return `${target}: ${formatBytes(size)}${missing}${sum}${made}; ${cost}, ${seconds.toFixed(1)} s`;
}
