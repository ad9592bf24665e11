import { startConsoleProxy } from '../../infra/local/console-proxy.ts';
import { listening } from '../listening.ts';
import { print } from '../report.ts';
import { theStores } from '../source.ts';
import { untilStopped } from '../stopping.ts';
import { UsageError } from '../usage.ts';

export interface ConsoleFlags {
  readonly api: string;
  readonly port: number;
}

/** `unqcow console`: the web console on this machine, which signs what it asks of an API under AWS_IAM, until Ctrl-C. */
export async function serveConsole({ api, port }: ConsoleFlags): Promise<void> {
  const url = urlOf(api);
  const { region, credentials } = (await theStores()).reader.config;
  // API Gateway says in its name where it is; behind a name of one's own, the environment has to.
  const [, named] = /\.execute-api\.([a-z0-9-]+)\.amazonaws\.com/.exec(url.hostname) ?? [];
  const access = { api: url, region: named ?? region, credentials };
  const proxy = await listening(() => startConsoleProxy(access, port));
  print(`The console of ${url.href}, which signs as this machine may:

  ${proxy.url}

Whoever has this URL may use it on this machine. Ctrl-C ends it.`);
  await untilStopped();
  await proxy.close();
}

/** @throws UsageError unless what is signed cannot be read on its way. */
function urlOf(text: string): URL {
  const url = URL.parse(text);
  const isHere = ['127.0.0.1', 'localhost', '[::1]'].includes(url?.hostname ?? '');
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isHere)) return url;
  throw new UsageError('the API has an https:// URL', { at: '--api' });
}
