import { createHash } from 'node:crypto';
import type { Disk } from '../format/layer.ts';
import type { ByteRange } from '../ranges.ts';

/** What of an HTTP request decides the answer. */
export interface RawRequest {
  readonly method: string;
  readonly range?: string | undefined;
  readonly ifRange?: string | undefined;
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  /** Of a body. A longer range is cut to it; a longer whole is refused. */
  readonly maxBytes?: number;
}

export interface RawAnswer {
  readonly status: 200 | 206 | 304 | 405 | 412 | 413 | 416;
  readonly headers: Readonly<Record<string, string>>;
  /** Guest bytes to send; nothing for a HEAD and for refusals. */
  readonly body?: ByteRange;
}

/** A disk as an HTTP resource: how long it is, and a strong ETag. */
export interface RawDisk {
  readonly size: number;
  /** With its quotes. */
  readonly etag: string;
}

/**
 * The same bytes have the same ETag: it names the exact version of every file of the chain, what it was taken for, and the
 * snapshot.
 */
export function rawDiskOf({ size, layers }: Disk, snapshot = ''): RawDisk {
  const hash = createHash('sha256');
  for (const { source, data, map } of layers) hash.update(`${source.id}\0${data.id}\0${map.geometry.version}\0`);
  return { size, etag: `"${hash.update(`${size}\0${snapshot}`).digest('base64url').slice(0, 32)}"` };
}

/**
 * What a raw disk answers to a request, as RFC 9110 has it: one range or the whole; conditions on its ETag. Several
 * ranges at once are answered by the whole, as the RFC allows. No I/O.
 */
export function answerRaw(request: RawRequest, { size, etag }: RawDisk): RawAnswer {
  const { method, range, ifRange, ifMatch, ifNoneMatch, maxBytes = Number.POSITIVE_INFINITY } = request;
  const common = { 'Accept-Ranges': 'bytes', ETag: etag, 'Cache-Control': 'private, no-cache' };
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, headers: { ...common, Allow: 'GET, HEAD' } };
  if (ifMatch !== undefined && !names(ifMatch, etag)) return { status: 412, headers: common };
  if (ifNoneMatch !== undefined && names(ifNoneMatch, etag)) return { status: 304, headers: common };

  const wanted = range !== undefined && (ifRange === undefined || ifRange === etag) ? rangeOf(range, size) : 'whole';
  if (wanted === 'none') {
    return { status: 416, headers: { ...common, 'Content-Range': `bytes */${size}`, 'Content-Length': '0' } };
  }
  if (wanted === 'whole' && method === 'GET' && size > maxBytes) return { status: 413, headers: common };
  const { start, end } = wanted === 'whole' ? { start: 0, end: size } : wanted;
  const body = { start, end: wanted === 'whole' ? end : Math.min(end, start + maxBytes) };
  const headers = {
    ...common,
    'Content-Type': 'application/octet-stream',
    'Content-Length': String(body.end - body.start),
    ...(wanted === 'whole' ? {} : { 'Content-Range': `bytes ${body.start}-${body.end - 1}/${size}` }),
  };
  return { status: wanted === 'whole' ? 200 : 206, headers, ...(method === 'HEAD' ? {} : { body }) };
}

function names(list: string, etag: string): boolean {
  return list.split(',').some((each) => each.trim() === '*' || each.trim() === etag);
}

/** One range of bytes, as RFC 9110 § 14.1.2 spells it. What is anything else is as if it were not there. */
function rangeOf(header: string, size: number): ByteRange | 'whole' | 'none' {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header.trim()) ?? [];
  if (first === '' && last === '') return 'whole';
  if (first !== '' && last !== '' && Number(last) < Number(first)) return 'whole';
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1);
  return start < end ? { start, end } : 'none';
}
