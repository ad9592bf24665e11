import * as z from 'zod';
import { listObjects } from '../lib/source/s3-list.ts';
import { cursorOf } from './_shared/cursor.ts';
import { type Deps, onLambda } from './_shared/deps.ts';
import { httpHandler, json, nextLink } from './_shared/http.ts';
import { ObjectsQuery } from './_shared/queries.ts';
import { BucketName } from './_shared/schemas.ts';

const ObjectsRequest = z.object({
  pathParameters: z.object({ bucket: BucketName }),
  queryStringParameters: ObjectsQuery.prefault({}),
});

/** `GET /objects/{bucket}?prefix=`: what lies under a prefix, and which of it look like images. Costs one listing. */
export const createHandler = (deps: Deps) =>
  httpHandler(deps, ObjectsRequest, async ({ pathParameters, queryStringParameters: query }, { caller, event }) => {
    const place = { bucket: pathParameters.bucket, prefix: query.prefix };
    caller.assertPrefix(place);
    const { cursor: before, ...asked } = query;
    const { objects, prefixes, last } = await listObjects(deps.stores.reader, {
      ...place,
      ...asked,
      after: before?.[0],
    });
    const looksLikeImage = (key: string) => deps.config.uploadSuffixes.some((end) => key.toLowerCase().endsWith(end));
    const listed = objects.map(({ key, size, etag, lastModified }) => ({
      ...{ key, size, etag, lastModified: lastModified.toISOString(), looksLikeImage: looksLikeImage(key) },
    }));
    const cursor = last === undefined ? undefined : cursorOf([last]);
    const body = { objects: listed, ...(query.delimiter ? { prefixes } : {}), ...(cursor ? { cursor } : {}) };
    return json(200, body, nextLink(event, cursor));
  });

export const handler = onLambda(createHandler);
