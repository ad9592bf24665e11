import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { assembleInOrder } from '../../lib/chunk/in-order.ts';
import type { Disk } from '../../lib/format/layer.ts';
import { cachedDisk } from '../../lib/jobs/cached-disk.ts';
import { openDisk } from '../../lib/jobs/open-disk.ts';
import { answerRaw, type RawDisk, rawDiskOf } from '../../lib/jobs/raw-view.ts';
import { formatBytes, MiB } from '../../lib/units.ts';
import { type GateFlags, gateOf, withPassphrases } from '../gate-flags.ts';
import { listening } from '../listening.ts';
import { note, print, printWarnings } from '../report.ts';
import { openNamed } from '../source.ts';
import { untilStopped } from '../stopping.ts';
import { type TermsFlags, termsOf } from '../terms-flags.ts';

export interface ServeFlags extends GateFlags, TermsFlags {
  readonly snapshot?: string;
  readonly host: string;
  readonly port: number;
}

/** Of all files together, for readers that ask for a few KiB at a time. */
const CACHE = { maxBytes: 64 * MiB };

/** `unqcow serve IMAGE`: the raw disk that an image means, over HTTP, until Ctrl-C. Nothing is converted or kept. */
export async function serve(name: string, flags: ServeFlags): Promise<void> {
  const { source, location, open } = await openNamed(name, termsOf(flags, [name]));
  const { snapshot } = flags;
  const opening = { gate: gateOf(flags), open, snapshot };
  const disk = await withPassphrases(flags, (passphrases) => openDisk(source, location, { ...opening, passphrases }));
  const view = rawDiskOf(disk, snapshot);
  const served = cachedDisk(disk, CACHE);
  const server = createServer((request, response) => {
    answer(request, response, served, view).catch((error: Error) => {
      note(`unqcow: ${error.message}`);
      if (response.headersSent) response.destroy();
      else response.writeHead(502, { 'Content-Type': 'text/plain' }).end(`${error.message}\n`);
    });
  });
  printWarnings(disk.warnings.list());
  await listening(() => once(server.listen(flags.port, flags.host), 'listening'));
  const { address, port, family } = server.address() as AddressInfo;
  print(`http://${family === 'IPv6' ? `[${address}]` : address}:${port}/disk.raw ${formatBytes(disk.size)}`);
  await untilStopped();
  server.close();
  server.closeAllConnections();
  await disk.close();
  await source.close();
}

async function answer(request: IncomingMessage, response: ServerResponse, disk: Disk, view: RawDisk): Promise<void> {
  const { method = '', headers, url } = request;
  if (url !== '/disk.raw') {
    response.writeHead(404, { 'Content-Type': 'text/plain' }).end('The disk is at /disk.raw.\n');
    return;
  }
  const conditions = { range: headers.range, ifMatch: headers['if-match'], ifNoneMatch: headers['if-none-match'] };
  const made = answerRaw({ method, ...conditions, ifRange: headers['if-range'] as string | undefined }, view);
  response.writeHead(made.status, { ...made.headers });
  if (!made.body) {
    response.end();
    return;
  }
  const stop = new AbortController();
  response.once('close', () => stop.abort());
  const bytes = assembleInOrder(disk, made.body, { signal: stop.signal });
  await pipeline(Readable.from(bytes, { objectMode: false }), response).catch((error: Error) => {
    // A reader that has seen enough hangs up.
    if (!stop.signal.aborted) throw error;
  });
}
