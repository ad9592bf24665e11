import * as z from 'zod';
import { UnqcowError } from '../../lib/errors.ts';
import { KiB } from '../../lib/units.ts';

/**
 * A page's end as callers hand it back: nothing that they should look into, and nothing that is trusted. What is in it is
 * checked like any other part of the request.
 */
export function cursorOf(value: unknown): string {
  const text = Buffer.from(JSON.stringify(value)).toString('base64url');
  if (text.length <= LONGEST) return text;
  throw new UnqcowError('BAD_REQUEST', 'what is asked for takes more words than a cursor has room for');
}

/** Characters: of a longer address not every server takes the line. */
const LONGEST = 8 * KiB;

/** A cursor in a request's query. */
export const Cursor = <S extends z.ZodType>(schema: S) =>
  z
    .string()
    .max(LONGEST)
    .transform((text, context): unknown => {
      try {
        return JSON.parse(Buffer.from(text, 'base64url').toString());
      } catch {
        context.addIssue({ code: 'custom', message: 'not a cursor of ours' });
        return z.NEVER;
      }
    })
    .pipe(schema);
