import { checkDisk } from '../lib/jobs/check-disk.ts';
import { openS3 } from '../lib/source/s3.ts';
import { MiB } from '../lib/units.ts';
import { withinAnswer } from './_shared/deadline.ts';
import { type Deps, onLambda } from './_shared/deps.ts';
import { httpHandler, json } from './_shared/http.ts';
import { objectRequest } from './_shared/object-request.ts';
import { CheckQuery } from './_shared/queries.ts';

/** Bytes; where they do not suffice for all clusters at once, the tables are walked more than once. */
const MEMORY = 256 * MiB;
const TOO_LARGE = 'the image was not checked within the time of an answer; the command line has no such limit';

const CheckRequest = objectRequest(CheckQuery);

/**
 * `GET /checks/{bucket}/{key+}`: what `qemu-img check` says of an image's tables and refcounts. Costs a GET of 64 KiB, then
 * few requests of up to 8 MiB for all tables, as often as the memory makes it walk them; `?deep=true` reads what is
 * compressed, too. An image for which an HTTP API's 30 s do not suffice is `CHECK_TOO_LARGE`.
 */
export const createHandler = (deps: Deps) =>
  httpHandler(deps, CheckRequest, async ({ location, query }, { caller, context }) => {
    caller.assertSource(location);
    const report = await withinAnswer(context, 'CHECK_TOO_LARGE', TOO_LARGE, async (signal) => {
      const source = await openS3(deps.stores.reader, location);
      const filename = `s3://${location.bucket}/${location.key}`;
      const made = await checkDisk(source, { filename, deep: query.deep === 'true', memory: MEMORY, signal });
      await source.verify();
      return made;
    });
    return json(200, report);
  });

export const handler = onLambda(createHandler);
