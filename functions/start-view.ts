import * as z from 'zod';
import { UnqcowError } from '../lib/errors.ts';
import { openAny } from '../lib/format/open-any.ts';
import { openS3 } from '../lib/source/s3.ts';
import type { Deps } from './_shared/deps.ts';
import { httpHandler, json } from './_shared/http.ts';
import { jsonBody } from './_shared/json-body.ts';
import { NewView } from './_shared/schemas.ts';
import { onLambdaWithKeys } from './_shared/secrets.ts';
import { signGrant } from './_shared/view-link.ts';

/**
 * `POST /views`: a link that reads a disk as raw bytes over HTTPS, without converting it, for whoever has it and for a
 * while. It names the exact version of the image. Costs a GET of 64 KiB, and a read of the deployment's secret.
 */
export const createHandler = (deps: Deps) =>
  httpHandler(deps, z.object({}), async (_request, { caller, event }) => {
    const { source: location, seconds, ...selection } = NewView.parse(jsonBody(event));
    caller.assertSource(location);
    caller.assertGate(selection.gate);
    const { viewUrl } = deps.config;
    if (viewUrl === undefined) throw new UnqcowError('VIEWS_NOT_CONFIGURED', 'this deployment serves no raw views');
    const source = await openS3(deps.stores.reader, location);
    await openAny(source);
    const { size: _, ...pin } = source.pin;
    const expires = Math.floor(Date.now() / 1000) + seconds;
    const token = await signGrant(deps.vault, { ...pin, ...selection, expires });
    const url = `${viewUrl.replace(/\/$/, '')}/disks/${legible(pin)}?token=${token}`;
    return json(201, { url, expires: new Date(expires * 1000).toISOString() }, { location: url });
  });

/** The path is for people to read. What clients would take for a step up, or for none, is left out. */
const legible = ({ bucket, key }: { readonly bucket: string; readonly key: string }) =>
  [bucket, ...key.split('/').filter((each) => each !== '.' && each !== '..')].map(encodeURIComponent).join('/');

export const handler = onLambdaWithKeys(createHandler);
