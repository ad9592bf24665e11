import { inspectAny } from '../lib/format/inspect.ts';
import { openAny } from '../lib/format/open-any.ts';
import { openS3 } from '../lib/source/s3.ts';
import { MiB } from '../lib/units.ts';
import { type Deps, onLambda } from './_shared/deps.ts';
import { httpHandler, json } from './_shared/http.ts';
import { objectRequest } from './_shared/object-request.ts';
import { ImageQuery } from './_shared/queries.ts';

/**
 * Lists are given a thousand at a time, and fewer where names are long: a Lambda may answer 6 MB, and 65,536 snapshots
 * would be more, or a hundred of them with the longest names. Each list says where it goes on: `?offset=`.
 */
const PAGE = { limit: 1_000, maxBytes: 2 * MiB };

const ImageRequest = objectRequest(ImageQuery).transform(({ location, query }) => ({
  location,
  page: { offset: query.offset, ...PAGE },
}));

/**
 * `GET /images/{bucket}/{key+}`: what is in the image, read without downloading it. Costs one GET of 64 KiB; one
 * more where header extensions run past that, and for each of snapshots, bitmaps and LUKS header, where there are any.
 */
export const createHandler = (deps: Deps) =>
  httpHandler(deps, ImageRequest, async ({ location, page }, { caller }) => {
    caller.assertSource(location);
    const source = await openS3(deps.stores.reader, location);
    const name = `s3://${location.bucket}/${location.key}`;
    return json(200, await inspectAny(await openAny(source), name, page));
  });

export const handler = onLambda(createHandler);
