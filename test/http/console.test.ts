import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { usePipeline } from '../pipeline/use-pipeline.ts';

const pipeline = usePipeline();
const get = (init: RequestInit = {}) => fetch(`${pipeline.stack.apiEndpoint}/`, init);
const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

describe('GET /', () => {
  it('is a page that may run its own script and style, and ask nobody but its API', async () => {
    const response = await get({ headers: { accept: 'text/html' } });
    expect(response.status).toBe(200);
    const html = await response.text();
    const [, script = ''] = /<script type="module">([\s\S]*)<\/script>/.exec(html) ?? [];
    const [, style = ''] = /<style>([\s\S]*?)<\/style>/.exec(html) ?? [];
    expect(script.length).toBeGreaterThan(10_000);
    const policy = Object.fromEntries(
      (response.headers.get('content-security-policy') ?? '').split('; ').map((each) => each.split(/ (.*)/)),
    );
    expect(policy).toMatchObject({
      'default-src': "'none'",
      'script-src': hashOf(script),
      'style-src': hashOf(style),
      'connect-src': "'self'",
      'frame-ancestors': "'none'",
      'require-trusted-types-for': "'script'",
    });
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    // It comes whole: nothing is loaded from anywhere, and nothing in it runs from an attribute.
    expect(html.replace(script, '')).not.toMatch(/ (src|on\w+)=|https?:\/\/(?!www\.w3\.org)/);
  });

  it('is small, and not sent again to who has it', async () => {
    const response = await get();
    const etag = response.headers.get('etag') ?? '';
    expect((await response.arrayBuffer()).byteLength).toBeLessThan(100_000);
    const again = await get({ headers: { 'if-none-match': etag } });
    expect([again.status, await again.text()]).toEqual([304, '']);
    const head = await get({ method: 'HEAD' });
    expect([head.status, head.headers.get('etag'), await head.text()]).toEqual([200, etag, '']);
  });
});
