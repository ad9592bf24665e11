import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import pMap from 'p-map';
import { describe, expect, it } from 'vitest';
import { GiB, MiB } from '../../lib/units.ts';
import { bytes, MIN_PART } from './support/bytes.ts';
import { useLocalS3 } from './support/use-local-s3.ts';

// Asked for by name only, with the other tests that take minutes.
describe.runIf(process.env.UNQCOW_TEST_CLIENTS === '1')('our server', () => {
  const s3 = useLocalS3();

  it('streams 5 GiB in and out in less than 200 MiB of memory', { timeout: 600_000 }, async () => {
    await s3.stop();
    const { accessKeyId, secretAccessKey } = s3.credentials;
    const script = fileURLToPath(new URL('./support/serve.ts', import.meta.url));
    const child = spawn(process.execPath, [script, s3.dir, accessKeyId, secretAccessKey]);
    try {
      const [line] = await once(child.stdout, 'data');
      s3.use(String(line).trim());
      await s3.put('large', Readable.from(pieces(5 * GiB)), { ContentLength: 5 * GiB });
      const { Body } = await s3.client.send(new GetObjectCommand({ Bucket: s3.bucket, Key: 'large' }));
      let received = 0;
      for await (const piece of Body as Readable) received += (piece as Buffer).length;
      expect(received).toBe(5 * GiB);
      const peak = await peakMemory(child.pid ?? 0);
      process.stdout.write(`5 GiB through a server of at most ${Math.round(peak / MiB)} MiB\n`);
      expect(peak).toBeLessThan(200 * MiB);
    } finally {
      child.kill();
      await once(child, 'exit');
      await s3.start();
    }
    expect(await s3.stored()).toBe(5 * 64 * MiB);
  });

  it('completes 10,000 parts', { timeout: 600_000 }, async () => {
    await s3.put('hole', Buffer.alloc(MIN_PART + MiB));
    const upload = await s3.upload('many', { ChecksumAlgorithm: 'CRC64NVME' });
    const numbers = Array.from({ length: 10_000 }, (_, i) => i + 1);
    const range = { CopySourceRange: `bytes=0-${MIN_PART - 1}` };
    const parts = await pMap(numbers, (number) => upload.copy(number, `${s3.bucket}/hole`, range), { concurrency: 16 });
    const begun = performance.now();
    await upload.complete(parts);
    process.stdout.write(`10,000 parts completed in ${Math.round(performance.now() - begun)} ms\n`);
    expect((await s3.head('many')).ContentLength).toBe(10_000 * MIN_PART);
    expect(await s3.stored()).toBe(0);
  });
});

/** Of each GiB 64 MiB of data, the rest zeros. */
function* pieces(size: number): Generator<Buffer> {
  const [data, zeros] = [bytes(MiB), Buffer.alloc(MiB)];
  for (let at = 0; at < size; at += MiB) yield at % GiB < 64 * MiB ? data : zeros;
}

/** The most memory that a process ever had, in bytes. */
async function peakMemory(pid: number): Promise<number> {
  const [, kilobytes = '0'] = /VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}
