import middy from '@middy/core';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import * as z from 'zod';
import { UnqcowError } from '../lib/errors.ts';
import type { Page } from '../lib/format/info.ts';
import { inspectAny } from '../lib/format/inspect.ts';
import { openAny } from '../lib/format/open-any.ts';
import { newMeter } from '../lib/source/metered.ts';
import { openS3, type S3Location } from '../lib/source/s3.ts';
import { assertAllowed } from './_shared/config.ts';
import { type Deps, onLambda } from './_shared/deps.ts';
import { ON_TIMEOUT } from './_shared/errors.ts';
import { json, problems } from './_shared/http.ts';
import { BucketName, ObjectKey } from './_shared/schemas.ts';

const Request = z.object({
  pathParameters: z.object({ bucket: BucketName, key: ObjectKey.optional() }),
  queryStringParameters: z
    .object({
      key: ObjectKey.optional(),
      offset: z.coerce.number().int().min(0).optional(),
      versionId: z.string().min(1).max(1024).optional(),
    })
    .default({}),
});

/** The object that a request means. `?key=` is for keys that a path cannot carry: `//` and `..` are lost on the way. */
function locationOf(event: APIGatewayProxyEventV2): S3Location {
  const { pathParameters: path, queryStringParameters: query } = Request.parse(event);
  const key = query.key ?? path.key;
  if (key === undefined)
    throw new UnqcowError('BAD_REQUEST', 'neither the path nor ?key= names an object', { at: 'key' });
  return { bucket: path.bucket, key, versionId: query.versionId };
}

/** Lists are given a thousand at a time: 65,536 snapshots would be more than a Lambda may answer. `?offset=` goes on. */
const PAGE = 1_000;

function pageOf({ queryStringParameters: query }: APIGatewayProxyEventV2): Page {
  return { offset: Number(query?.offset ?? 0), limit: PAGE };
}

/**
 * `GET /images/{bucket}/{key+}`: what is in the image, read without downloading it. Costs one GET of 64 KiB; one
 * more where header extensions run past that, and for each of snapshots, bitmaps and LUKS header, where there are any.
 */
export const createHandler = ({ stores, config, log }: Deps) =>
  middy<APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2>(ON_TIMEOUT)
    .use(problems(log))
    .handler(async (event) => {
      const location = locationOf(event);
      assertAllowed(config.sources, location);
      const meter = newMeter();
      const source = await openS3(stores.reader, location, { meter });
      const info = await inspectAny(await openAny(source), `s3://${location.bucket}/${location.key}`, pageOf(event));
      log.info('described', { ...location, ...meter });
      return json(200, info);
    });

export const handler = onLambda(createHandler);
