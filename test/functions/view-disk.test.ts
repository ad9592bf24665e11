import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import { send } from '../../functions/_shared/streaming.ts';
import { createHandler } from '../../functions/view-disk.ts';
import { lambdaContext } from '../../infra/local/step-functions/lambda-task.ts';
import { openHandlerWorld } from '../support/handler-world.ts';

it('a defect behind a link is answered without its details, which the log has', async () => {
  const world = await openHandlerWorld();
  const errors: unknown[] = [];
  const log = { ...world.deps.log, error: (...line: unknown[]) => void errors.push(line) } as never;
  const broken = async () => {
    throw new Error('out of order');
  };
  const view = createHandler({ ...world.deps, log, vault: { sealingSecret: 'arn', readSecret: broken } });
  const grant = { bucket: 'images', key: 'in/disk', etag: '"e"', expires: 2 ** 40, secret: 'v'.repeat(32) };
  const token = `${Buffer.from(JSON.stringify(grant)).toString('base64url')}.${'A'.repeat(43)}`;
  const event = {
    rawPath: '/disks/images/in/disk',
    headers: {},
    queryStringParameters: { token },
    requestContext: { requestId: 'id', http: { method: 'GET' } },
  };
  const { statusCode, body = [] } = await view(event as never, lambdaContext('view-disk', Date.now() + 60_000));
  const answered = (await Array.fromAsync(body)).join('');
  expect([statusCode, JSON.parse(answered).code]).toEqual([500, 'INTERNAL']);
  expect(answered).not.toContain('out of order');
  const cause = expect.objectContaining({ message: 'out of order' });
  expect(errors).toEqual([[expect.any(String), expect.objectContaining({ code: 'INTERNAL', error: cause })]]);
  await world.close();
});

describe('a body that is sent', () => {
  async function* endless() {
    for (;;) yield new Uint8Array(64);
  }

  it('waits for who takes it', async () => {
    const taken: number[] = [];
    const slow = new Writable({
      highWaterMark: 1,
      write: (piece, _, done) => void setImmediate(() => done(taken.push(piece.length) > 0 ? null : undefined)),
    });
    await send([new Uint8Array(3), new Uint8Array(5)], slow);
    await finished(slow);
    expect(taken).toEqual([3, 5]);
  });

  it('ends once nobody is there to take it', async () => {
    const stuck = new Writable({ highWaterMark: 1, write: () => undefined });
    const sent = send(endless(), stuck);
    setImmediate(() => stuck.destroy());
    await expect(sent).rejects.toMatchObject({ name: 'AbortError' });
  });
});
