import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, describe, expect, it } from 'vitest';
import { type ConsoleProxy, startConsoleProxy } from '../../infra/local/console-proxy.ts';
import { jwtAuthorizer } from '../../infra/local/jwt-authorizer.ts';
import { useConsole } from './use-console.ts';

const [issuer, audience] = ['https://issuer.example/', 'unqcow'];
const { publicKey, privateKey } = await generateKeyPair('RS256');
const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), alg: 'RS256' }] });
const console = useConsole({ authorizer: jwtAuthorizer({ issuer, audience, keys }) });
const signed = () =>
  new SignJWT({}).setProtectedHeader({ alg: 'RS256' }).setIssuer(issuer).setAudience(audience).setExpirationTime('5m');

let proxy: ConsoleProxy | undefined;
afterAll(() => proxy?.close());

describe('who may see what', () => {
  it('is decided by a token that is pasted, stays in the tab, and can be forgotten', async () => {
    const page = await console.open('');
    expect(await page.getByRole('alert').innerText()).toContain('Paste a token under Access');
    await page.getByRole('link', { name: 'Access' }).click();
    await page.getByLabel('Token').fill(`Bearer ${await signed().sign(privateKey)}`);
    await page.getByRole('button', { name: 'Use it' }).click();
    await page.locator('main').getByText('Requests carry a token.').waitFor();
    await page.getByRole('link', { name: 'Images' }).click();
    await page.getByRole('link', { name: `s3://${console.pipeline.stack.buckets.images}/` }).waitFor();
    expect(await page.evaluate('[localStorage.length, document.cookie]')).toEqual([0, '']);
    const other = await console.open('');
    await other.getByRole('alert').waitFor();
    await page.getByRole('link', { name: 'Access' }).click();
    await page.getByRole('button', { name: 'Forget it' }).click();
    await page.getByRole('link', { name: 'Images' }).click();
    await page.getByRole('alert').waitFor();
  });

  it('is decided by this machine’s credentials behind unqcow console, whose token leaves the address', async () => {
    // What signs is tested by itself; here it stands before an API that asks for another token, so each answer is a 401.
    const api = new URL(console.pipeline.stack.apiEndpoint);
    const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' };
    proxy = await startConsoleProxy({ api, region: 'us-east-1', credentials });
    const page = await console.page();
    const answered = page.waitForResponse(/\/places$/);
    await page.goto(proxy.url);
    const response = await answered;
    expect(await response.json()).toEqual({ message: 'Unauthorized' });
    expect(response.headers()['cache-control']).toBe('no-store');
    expect(page.url()).not.toContain('token');
    const stolen = await console.open('');
    const read = await stolen.evaluate(
      `fetch('${new URL('/places', proxy.url)}').then(() => 'read', (error) => error.name)`,
    );
    expect(read).toBe('TypeError');
    console.complaints.length = 0;
  });
});
