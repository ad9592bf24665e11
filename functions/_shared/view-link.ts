import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import * as z from 'zod';
import { UnqcowError } from '../../lib/errors.ts';
import type { Vault } from '../../lib/jobs/vault.ts';
import { KiB } from '../../lib/units.ts';
import { ETag, Location, Selection } from './schemas.ts';

/** What a link lets whoever has it read: one disk of one version of one object, for a while. */
const Grant = z.strictObject({
  ...Location.shape,
  etag: ETag,
  ...Selection,
  /** Seconds since 1970. */
  expires: z.int(),
  /** The version of the secret that it is signed under, which may be rotated meanwhile. */
  secret: z.string().min(32).max(64),
});
export type Grant = z.infer<typeof Grant>;

/** Characters of a token: of a longer URL not every server takes the line. */
const MAX_TOKEN = 8 * KiB;
const TOKEN = /^([\w-]+)\.([\w-]{43})$/;

const notConfigured = () => new UnqcowError('VIEWS_NOT_CONFIGURED', 'this deployment has no secret to sign links with');

/**
 * A token for a URL. Costs one read of the deployment's secret.
 *
 * @throws UnqcowError `VIEWS_NOT_CONFIGURED`; `BAD_REQUEST` if it would be too long.
 */
export async function signGrant(vault: Vault | undefined, grant: Omit<Grant, 'secret'>): Promise<string> {
  if (!vault) throw notConfigured();
  const { bytes, versionId: secret } = await vault.readSecret(vault.sealingSecret);
  const text = Buffer.from(JSON.stringify({ ...grant, secret } satisfies Grant)).toString('base64url');
  const token = `${text}.${macOf(bytes, text).toString('base64url')}`;
  if (token.length <= MAX_TOKEN) return token;
  throw new UnqcowError('BAD_REQUEST', 'what is to be read takes more words than a link has room for');
}

/**
 * Reads what tokens grant, for one process. Anybody may send one: so nothing is asked of Secrets Manager for what has
 * another shape or is over, and little for the rest.
 *
 * @returns a function that costs what `secretsOf` says, and throws UnqcowError `LINK_INVALID`, `LINK_EXPIRED`,
 * `TOO_MANY_REQUESTS`, `VIEWS_NOT_CONFIGURED`.
 */
export function grantReader(vault: Vault | undefined): (token: string) => Promise<Grant> {
  const secretOf = vault && secretsOf(vault);
  return async (token) => {
    if (!secretOf) throw notConfigured();
    const invalid = new UnqcowError('LINK_INVALID', 'the link was not made here, or was changed');
    const [, text = '', mac = ''] = (token.length <= MAX_TOKEN && TOKEN.exec(token)) || [];
    const grant = parsed(text);
    if (!grant) throw invalid;
    if (grant.expires * 1000 <= Date.now()) throw new UnqcowError('LINK_EXPIRED', 'the link has expired');
    const secret = await secretOf(grant.secret);
    if (!secret || !timingSafeEqual(macOf(secret, text), Buffer.from(mac, 'base64url'))) throw invalid;
    return grant;
  };
}

/** Versions that there are none of, so many of which are remembered. */
const MAX_UNKNOWN = 1000;
/** Milliseconds that pass before another version is looked for, once there was none of a name. */
const PAUSE = 5_000;

/**
 * The deployment's secret by its versions; nothing for one that we do not have, which was never ours. Costs a read of the
 * current version for the first, and for each that is met later one or two; but none for a while after there was none of
 * a name, since whoever makes up links makes up names.
 */
function secretsOf({ readSecret, sealingSecret }: Vault): (version: string) => Promise<Uint8Array | undefined> {
  const known = new Map<string, Uint8Array>();
  const unknown = new LRUCache<string, true>({ max: MAX_UNKNOWN });
  let until = 0;
  const read = async (version?: string) => {
    const { bytes, versionId } = await readSecret(sealingSecret, version);
    known.set(versionId, bytes);
  };
  return async (version) => {
    if (known.has(version) || unknown.has(version)) return known.get(version);
    if (Date.now() < until) {
      throw new UnqcowError('TOO_MANY_REQUESTS', 'a link that nobody made was looked into a moment ago; ask again');
    }
    // A rotated secret is found by this alone, and so are most links in a new process.
    await read();
    if (!known.has(version)) await read(version).catch(unlessDenied);
    if (known.has(version)) return known.get(version);
    unknown.set(version, true);
    until = Date.now() + PAUSE;
    return undefined;
  };
}

function unlessDenied(error: unknown): void {
  if (!(error instanceof UnqcowError && error.code === 'KEY_DENIED')) throw error;
}

function parsed(text: string): Grant | undefined {
  try {
    return Grant.parse(JSON.parse(Buffer.from(text, 'base64url').toString()));
  } catch {
    return undefined;
  }
}

/** Under a key of its own, so that no signature is of use for anything that is sealed under the same secret. */
function macOf(secret: Uint8Array, text: string): Buffer {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'unqcow raw view', 32));
  return createHmac('sha256', key).update(text).digest();
}
