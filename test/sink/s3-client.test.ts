import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { PATIENCE } from '../../lib/patience.ts';
import { writingClient } from '../../lib/sink/s3-client.ts';
import { putPart } from '../../lib/sink/s3-multipart.ts';
import { MiB } from '../../lib/units.ts';

const servers: ReturnType<typeof createServer>[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function clientOf(serve: (message: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(serve);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
  const patience = { ...PATIENCE, attempts: 1, answer: 1_000, send: 60_000 };
  return writingClient({ endpoint, region: 'us-east-1', credentials, forcePathStyle: true }, patience);
}

const upload = { bucket: 'raw', key: 'disk.raw', uploadId: 'upload' };
/** More than what lies in between can take up. */
const part = new Uint8Array(40 * MiB);

describe('a write', () => {
  it('may take longer than an answer may, as long as its body goes on', async () => {
    let taken = 0;
    const client = await clientOf(async (message, response) => {
      for await (const chunk of message) {
        taken += chunk.length;
        await sleep(5); // 64 KiB each: seconds in all
      }
      response.writeHead(200, { etag: '"made"' }).end();
    });
    expect(await putPart(client, upload, 1, part)).toMatchObject({ etag: '"made"' });
    expect(taken).toBe(part.length);
  });

  it('ends if nothing moves: DESTINATION_UNAVAILABLE', async () => {
    const client = await clientOf((message) => void message.resume());
    await expect(putPart(client, upload, 1, part)).rejects.toMatchObject({ code: 'DESTINATION_UNAVAILABLE' });
  });
});
