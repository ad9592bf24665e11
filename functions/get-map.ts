import { createHash } from 'node:crypto';
import { UnqcowError } from '../lib/errors.ts';
import { mapPage } from '../lib/jobs/map-page.ts';
import type { OpenDisk } from '../lib/jobs/open-disk.ts';
import { openStored } from '../lib/jobs/open-stored.ts';
import { newMeter } from '../lib/source/metered.ts';
import { MiB } from '../lib/units.ts';
import { cursorOf } from './_shared/cursor.ts';
import { deadline } from './_shared/deadline.ts';
import { type Deps, onLambda } from './_shared/deps.ts';
import { httpHandler, json, nextLink } from './_shared/http.ts';
import { objectRequest } from './_shared/object-request.ts';
import { MapQuery } from './_shared/queries.ts';
import { gateOf } from './_shared/schemas.ts';

/** A page ends after so much, however few entries it has: L2 tables read, and milliseconds. An HTTP API waits 30 s. */
const MAX_BYTES = 64 * MiB;
const MAX_TIME = 10_000;
/** Milliseconds that are kept for the answer. */
const MARGIN = 2_000;

const MapRequest = objectRequest(MapQuery).transform(({ location, query: { cursor, limit, ...query } }) => {
  if (cursor === undefined) {
    const { from, snapshot } = query;
    return { source: location, from, files: undefined, limit, snapshot, gate: gateOf(query) };
  }
  const { from, files, snapshot, gate, ...pin } = cursor;
  return { source: { bucket: location.bucket, key: location.key, ...pin }, from, files, limit, snapshot, gate };
});

/**
 * `GET /maps/{bucket}/{key+}`: a page of what `qemu-img map` says. A cursor goes on where a page ended, and only as long as
 * all files are the same.
 *
 * Costs for each page, and each file of the chain, a GET of 64 KiB and one for the tables' index; then few requests for
 * the L2 tables: of 4 MiB at least, of about 64 MiB at most.
 */
export const createHandler = (deps: Deps) =>
  httpHandler(deps, MapRequest, async ({ source, from, files, limit, ...selection }, { caller, event, context }) => {
    caller.assertSource(source);
    caller.assertGate(selection.gate);
    const meter = newMeter();
    const signal = deadline(context, MARGIN);
    const { disk, source: opened } = await openStored(
      deps.stores,
      { source, ...selection },
      { meter, signal, placesOnly: true },
    );
    const found = fingerprintOf(disk);
    if (files !== undefined && files !== found) {
      throw new UnqcowError('SOURCE_CHANGED', 'a file that the image names was replaced since the last page');
    }
    if (from > disk.size) throw new UnqcowError('BAD_REQUEST', 'the page begins past the disk’s end', { at: 'from' });
    const until = Date.now() + MAX_TIME;
    const { entries, next } = await mapPage(disk, { from, limit, meter, maxBytes: MAX_BYTES, until, signal });
    const { bucket: _, key: __, size: ___, ...pin } = opened.pin;
    const cursor = next === undefined ? undefined : cursorOf({ from: next, ...pin, files: found, ...selection });
    const unqcow = { source: opened.id, 'virtual-size': disk.size, warnings: disk.warnings.list() };
    return json(200, { map: entries, ...(cursor ? { cursor } : {}), unqcow }, nextLink(event, cursor));
  });

/** Names the exact bytes of all files that a disk lies in. */
function fingerprintOf({ layers }: OpenDisk): string {
  const ids = layers.flatMap(({ source, data }) => [source.id, data.id]);
  return createHash('sha256').update(JSON.stringify(ids)).digest('hex').slice(0, 32);
}

export const handler = onLambda(createHandler);
