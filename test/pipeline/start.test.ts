import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { listenOn } from '../../infra/local/loopback.ts';
import { startStack } from '../../infra/local/stack.ts';

const dir = await mkdtemp(join(tmpdir(), 'unqcow-start-'));
afterAll(() => rm(dir, { recursive: true }));
afterEach(() => vi.useRealTimers());

describe('a stack that does not start', () => {
  it('has stopped what it started: its ports and its data are free again', async () => {
    const free = await listenOn(createServer(), 0);
    await free.close();
    const taken = await listenOn(createServer(), 0);
    const options = { store: { dir, port: free.port }, secrets: { dir: join(dir, 'secrets') }, apiPort: taken.port };
    await expect(startStack(options)).rejects.toMatchObject({ code: 'EADDRINUSE', port: taken.port });
    await taken.close();
    const stack = await startStack(options);
    await stack.close();
  });

  it('leaves no schedule behind', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const fail = () => {
      throw new Error('nothing can be logged');
    };
    const log = { info: fail, warn: fail, error: fail };
    await expect(startStack({ store: { dir }, log })).rejects.toThrow('nothing can be logged');
    expect(vi.getTimerCount()).toBe(0);
  });
});
