import { createHash } from 'node:crypto';
import { Agent, request } from 'node:http';
import { GetObjectAclCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { GiB, MiB } from '../../lib/units.ts';
import { bytes } from './support/bytes.ts';
import { refusal } from './support/refusal.ts';
import { send } from './support/send.ts';
import { useLocalS3 } from './support/use-local-s3.ts';
import { targetKind } from './target.ts';

const describeOurs = describe.runIf(targetKind === 'ours');

describeOurs('our server', () => {
  const s3 = useLocalS3();

  it('counts requests by operation, and body bytes', async () => {
    const before = s3.server.metrics();
    await s3.put('counted', bytes(1000));
    await s3.get('counted', { Range: 'bytes=0-99' });
    await s3.get('counted', { Range: 'bytes=100-299' });
    const after = s3.server.metrics();
    expect(after.requests).toMatchObject({ CreateBucket: 1, PutObject: 1, GetObject: 2 });
    expect([after.bytesIn - before.bytesIn, after.bytesOut - before.bytesOut]).toEqual([1000, 300]);
  });

  it('refuses by name what it does not do', async () => {
    await s3.put('k', 'x');
    expect(await refusal(s3.client.send(new GetObjectAclCommand({ Bucket: s3.bucket, Key: 'k' })))).toBe(
      '501 NotImplemented',
    );
    expect(await refusal(s3.get('k', { PartNumber: 1 }))).toBe('501 NotImplemented');
    expect(await refusal(s3.upload('k', { ChecksumAlgorithm: 'SHA512' }))).toBe('501 NotImplemented');
    for (const [name, value] of [
      ['x-amz-checksum-sha512', 'AAAA'],
      ['x-amz-content-sha256', 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD'],
    ] as const) {
      const raw = { method: 'PUT', path: `/${s3.bucket}/k`, headers: { [name]: value }, body: 'x' };
      expect((await send(s3.target, raw)).summary).toBe('501 NotImplemented');
    }
  });

  it('refuses more than 5 GiB at once without taking any of it', async () => {
    const headers = { 'content-length': String(5 * GiB + 1), expect: '100-continue' };
    const raw = { method: 'PUT', path: `/${s3.bucket}/huge`, headers };
    expect((await put(raw)).summary).toBe('400 EntityTooLarge');
    expect(s3.server.metrics().bytesIn).toBe(0);
  });

  it('wants to know the length of what comes', async () => {
    const headers = { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', 'transfer-encoding': 'chunked' };
    const { summary } = await send(s3.target, { method: 'PUT', path: `/${s3.bucket}/k`, headers, body: 'x' });
    expect(summary).toBe('411 MissingContentLength');
  });

  it('answers the next request on a connection whose body it refused', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const body = bytes(2 * MiB);
    const wrong = createHash('sha256').update('other').digest('hex');
    const statuses: (number | undefined)[] = [];
    const ports = new Set<number | undefined>();
    for (const path of ['/', `/${s3.bucket}/k`, '/']) {
      const headers = { 'content-length': body.length, 'x-amz-content-sha256': wrong };
      await new Promise<void>((resolve, reject) => {
        const sent = request(s3.target.endpoint + path, { method: 'PUT', agent, headers }, (response) => {
          statuses.push(response.statusCode);
          ports.add(response.socket.localPort);
          response.resume().on('end', resolve);
        });
        sent.on('error', reject).end(body);
      });
    }
    agent.destroy();
    expect(statuses).toEqual([403, 403, 403]);
    expect(ports.size).toBe(1);
  });

  /** Sends only the headers: whoever expects 100 waits for it. */
  const put = (raw: Parameters<typeof send>[1]) => send(s3.target, { ...raw, body: '' });
});
