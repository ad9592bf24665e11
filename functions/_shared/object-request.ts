import * as z from 'zod';
import type { S3Terms } from '../../lib/source/s3.ts';
import { BucketName, type ETag, ObjectKey } from './schemas.ts';

interface Meant extends S3Terms {
  readonly key?: z.infer<typeof ObjectKey> | undefined;
  readonly versionId?: string | undefined;
  readonly etag?: z.infer<typeof ETag> | undefined;
}

/** A request about one object: where it lies, by its path or its query, and what else the query says. */
export const objectRequest = <Q extends z.ZodType<Meant>>(query: Q) =>
  z
    .object({
      pathParameters: z.object({ bucket: BucketName, key: ObjectKey.optional() }),
      queryStringParameters: query.prefault({} as never),
    })
    .transform(({ pathParameters: path, queryStringParameters }, context) => {
      const query = queryStringParameters as z.infer<Q>;
      const { key = path.key, versionId, etag, owner, requestPayer } = query;
      const location = { bucket: path.bucket, versionId, etag, owner, requestPayer };
      if (key !== undefined) return { location: { ...location, key }, query };
      context.addIssue({ code: 'custom', path: ['key'], message: 'neither the path nor ?key= names an object' });
      return z.NEVER;
    });
