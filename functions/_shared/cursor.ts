import * as z from 'zod';

/**
 * A page's end as callers hand it back: nothing that they should look into, and nothing that is trusted. What is in it is
 * checked like any other part of the request.
 */
export const cursorOf = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A cursor in a request's query. */
export const Cursor = <S extends z.ZodType>(schema: S) =>
  z
    .string()
    .max(8192)
    .transform((text, context): unknown => {
      try {
        return JSON.parse(Buffer.from(text, 'base64url').toString());
      } catch {
        context.addIssue({ code: 'custom', message: 'not a cursor of ours' });
        return z.NEVER;
      }
    })
    .pipe(schema);
