import { CURES } from '../../lib/cures.ts';
import { ErrorCodes, type UnqcowError } from '../../lib/errors.ts';

/** An error as RFC 9457 has it: `type` is stable, `code` is what clients match on. */
export function problemOf({ code, message, at }: Pick<UnqcowError, 'code' | 'message'> & { at?: string | undefined }) {
  const { status, means } = ErrorCodes[code];
  return {
    type: `urn:unqcow:error:${code}`,
    title: means,
    status,
    detail: message,
    code,
    cure: CURES[code],
    ...(at ? { at } : {}),
  };
}
