import * as z from 'zod';
import { Cursor } from './cursor.ts';
import { ETag, GateQuery, ObjectKey, Selection, Terms, TermsQuery } from './schemas.ts';

/** What each route's query may say. Parameters that are not known are refused. */

/** Which object, which of its versions, and on which terms it is read. */
const Meant = {
  key: ObjectKey.optional().describe('Instead of the path, for keys that it cannot carry: // and .. are lost there.'),
  versionId: z.string().min(1).max(1024).optional(),
  etag: ETag.optional().describe('Only if the object is still this one.'),
  ...TermsQuery,
};

export const ImageQuery = z.strictObject({
  ...Meant,
  offset: z.coerce.number().int().min(0).default(0).describe('Where lists of snapshots and bitmaps go on.'),
});

export const CheckQuery = z.strictObject({
  ...Meant,
  deep: z.enum(['true', 'false']).default('false').describe('Whether compressed clusters are decompressed, too.'),
});

/** Where a page of a map ended, and of which bytes it spoke. */
const MapPosition = z.strictObject({
  from: z.int().min(0),
  etag: z.string().min(1).max(1024),
  versionId: z.string().max(1024).optional(),
  /** All files of the chain, as they were. */
  files: z.string(),
  ...Terms,
  ...Selection,
});

export const MapQuery = z.strictObject({
  ...Meant,
  cursor: Cursor(MapPosition).optional().describe('Of the page before, with all that was asked for there.'),
  limit: z.coerce.number().int().min(1).max(10_000).default(1_000),
  from: z.coerce
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('Bytes of disk: where the first page begins. A cursor says by itself where the others do.'),
  snapshot: Selection.snapshot,
  ...GateQuery,
});

export const ObjectsQuery = z.strictObject({
  prefix: z.string().max(1024).default(''),
  delimiter: z.literal('/').optional().describe('What has one behind the prefix is summed up in prefixes.'),
  /** The last key of the page before. */
  cursor: Cursor(z.tuple([ObjectKey]))
    .optional()
    .describe('Of the page before.'),
  limit: z.coerce.number().int().min(1).max(1000).default(1000),
  ...TermsQuery,
});

export const StartQuery = z.strictObject({
  estimate: z.enum(['true', 'false']).default('false').describe('Starts nothing, and says what it would take.'),
});

export const StartHeaders = z.object({
  'idempotency-key': z.string().min(1).max(255).optional().describe('The same key, the same conversion.'),
});
