import { type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Authorizer } from './http-api.ts';

export interface JwtOptions {
  readonly issuer: string;
  readonly audience: string;
  /** The issuer's keys: jose's `createRemoteJWKSet` or `createLocalJWKSet`. */
  readonly keys: JWTVerifyGetKey;
}

/** API Gateway's JWT authorizer: signature, issuer, audience and times are checked; claims are handed on as text. */
export function jwtAuthorizer({ issuer, audience, keys }: JwtOptions): Authorizer {
  return async (authorization = '') => {
    const [, token] = /^Bearer (.+)$/i.exec(authorization) ?? [];
    if (token === undefined) return undefined;
    const verified = await jwtVerify(token, keys, { issuer, audience, algorithms: ['RS256'] }).catch(() => undefined);
    if (!verified) return undefined;
    const claims = Object.entries(verified.payload).map(([name, value]) => [name, textOf(value)]);
    return { jwt: { claims: Object.fromEntries(claims), scopes: null } };
  };
}

/** As API Gateway writes what is not a string: a list as `[a b]`. */
function textOf(value: unknown): string {
  return Array.isArray(value) ? `[${value.join(' ')}]` : String(value);
}
