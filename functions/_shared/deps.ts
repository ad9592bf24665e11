import { Logger } from '@aws-lambda-powertools/logger';
import type { Context } from 'aws-lambda';
import { openStores, type Stores } from '../../lib/jobs/stores.ts';
import { type Config, readConfig } from './config.ts';

/** What a handler needs from outside; a test or the local stack brings its own. */
export interface Deps {
  readonly stores: Stores;
  readonly config: Config;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
}

/** Deps for one machine: another store, another configuration, another log. */
export function depsFor(config: Config, log: Deps['log'], store: Parameters<typeof openStores>[0]): Deps {
  return { stores: openStores(store), config, log };
}

type Handler<E, R> = (event: E, context: Context) => Promise<R>;

/** What Lambda calls: made on the first event, out of the environment, and kept for the next. */
export function onLambda<E, R>(create: (deps: Deps) => Handler<E, R>): Handler<E, R> {
  let handler: Handler<E, R> | undefined;
  return (event, context) => {
    handler ??= create({
      stores: openStores(),
      config: readConfig(process.env),
      log: new Logger({ serviceName: 'unqcow' }),
    });
    return handler(event, context);
  };
}
