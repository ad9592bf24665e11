import { createHash, createHmac } from 'node:crypto';
import type { Target } from '../target.ts';
import type { RawRequest } from './send.ts';

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

interface Options {
  /** Bytes of each chunk. */
  readonly size: number;
  /** Signed behind the body. */
  readonly trailer?: { readonly name: string; readonly value: string };
  /** Changes the chunks after they were signed: each is its bytes and its signature. */
  readonly tamper?: (chunks: { data: Buffer; signature: string }[]) => void;
}

/** A PUT whose chunks are signed, one after the other, from the signature of its headers. */
export function signedChunks(target: Target, path: string, body: Buffer, options: Options): RawRequest {
  const { size, trailer } = options;
  const count = Math.ceil(body.length / size);
  const pieces = Array.from({ length: count }, (_, i) => body.subarray(i * size, (i + 1) * size));
  const framing = [...pieces, Buffer.alloc(0)].map(
    (piece) => `${piece.length.toString(16)};chunk-signature=${'0'.repeat(64)}\r\n\r\n`.length,
  );
  const end = trailer === undefined ? 0 : `${trailer.name}:${trailer.value}\r\n`.length + 64 + 26;
  const length = body.length + framing.reduce((sum, bytes) => sum + bytes, 0) + end;
  return {
    method: 'PUT',
    path,
    headers: {
      'x-amz-content-sha256': `STREAMING-AWS4-HMAC-SHA256-PAYLOAD${trailer === undefined ? '' : '-TRAILER'}`,
      'content-encoding': 'aws-chunked',
      'x-amz-decoded-content-length': String(body.length),
      'content-length': String(length),
      ...(trailer && { 'x-amz-trailer': trailer.name }),
    },
    body: (headers) => encode(target, headers, pieces, options),
  };
}

function encode(target: Target, headers: Record<string, string>, pieces: readonly Buffer[], options: Options): Buffer {
  const [, day = ''] = /Credential=[^/]+\/(\d+)\//.exec(headers.authorization ?? '') ?? [];
  const scope = `${day}/${target.region}/s3/aws4_request`;
  const key = [day, target.region, 's3', 'aws4_request'].reduce<string | Buffer>(
    hmac,
    `AWS4${target.credentials.secretAccessKey}`,
  );
  let [, previous = ''] = /Signature=([0-9a-f]+)/.exec(headers.authorization ?? '') ?? [];
  const sign = (kind: string, ...digests: string[]) => {
    const text = [`AWS4-HMAC-SHA256-${kind}`, headers['x-amz-date'], scope, previous, ...digests].join('\n');
    previous = hmac(key, text).toString('hex');
    return previous;
  };
  const chunks = [...pieces, Buffer.alloc(0)].map((data) => ({
    data,
    signature: sign('PAYLOAD', sha256(''), sha256(data)),
  }));
  const { trailer } = options;
  const trailers = trailer && {
    line: `${trailer.name}:${trailer.value}\r\n`,
    signature: sign('TRAILER', sha256(`${trailer.name}:${trailer.value}\n`)),
  };
  options.tamper?.(chunks);
  const encoded = chunks.map(({ data, signature }) => {
    const line = Buffer.from(`${data.length.toString(16)};chunk-signature=${signature}\r\n`);
    return data.length === 0 ? line : Buffer.concat([line, data, Buffer.from('\r\n')]);
  });
  const end = trailers && `${trailers.line}x-amz-trailer-signature:${trailers.signature}\r\n`;
  return Buffer.concat([...encoded, Buffer.from(`${end ?? ''}\r\n`)]);
}
