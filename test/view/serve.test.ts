import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { unqcow } from '../cli/run.ts';
import type { RecipeName } from '../recipes.ts';
import { useQemu } from '../support/use-qemu.ts';
import { serving } from './serving.ts';

const run = promisify(execFile);
const qemu = useQemu();

describe('unqcow serve', () => {
  it.each<RecipeName>(['compressed-among-plain', 'many-l2-tables', 'fragmented'])(
    '%s: qemu-img compares it over HTTP with the image itself',
    async (name) => {
      const image = await qemu.image(name);
      await serving([image], async (url) => {
        const { stdout } = await run('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', url, image]);
        expect(stdout).toContain('Images are identical.');
      });
    },
  );

  it('gives ranges, conditions and refusals over HTTP', async () => {
    const image = await qemu.image('compressed-among-plain');
    const raw = await readFile(await qemu.raw(image));
    await serving([image], async (url) => {
      const part = await fetch(url, { headers: { range: 'bytes=1000-99999' } });
      expect(part.status).toBe(206);
      expect(raw.subarray(1000, 100_000).equals(Buffer.from(await part.arrayBuffer()))).toBe(true);
      const etag = part.headers.get('etag') as string;
      expect((await fetch(url, { headers: { 'if-none-match': etag } })).status).toBe(304);
      const head = await fetch(url, { method: 'HEAD' });
      expect(head.headers.get('content-length')).toBe(String(raw.length));
      expect((await fetch(url, { headers: { range: `bytes=${raw.length}-` } })).status).toBe(416);
      expect((await fetch(url, { method: 'PUT', body: 'x' })).status).toBe(405);
      expect((await fetch(new URL('/other', url))).status).toBe(404);
    });
  });

  it('goes on after a reader that hangs up', async () => {
    const image = await qemu.image('second-l2-table');
    await serving([image], async (url) => {
      const stop = new AbortController();
      const answer = await fetch(url, { signal: stop.signal });
      await answer.body?.getReader().read();
      stop.abort();
      expect((await fetch(url, { headers: { range: 'bytes=0-511' } })).status).toBe(206);
    });
  });

  it('refuses what is no image', async () => {
    const { code, stderr } = await unqcow(['serve', '--port', '0', await qemu.imageOf(Buffer.alloc(1000))]);
    expect(code).toBe(1);
    expect(stderr).toContain('NOT_QCOW');
  });
});
