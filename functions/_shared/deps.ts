import { Logger } from '@aws-lambda-powertools/logger';
import type { Context } from 'aws-lambda';
import { openStores, type Stores } from '../../lib/jobs/stores.ts';
import type { Vault } from '../../lib/jobs/vault.ts';
import type { PlanLimits } from '../../lib/plan/s3-limits.ts';
import { counted, type Log, withCallKeys } from './call.ts';
import { type Config, readConfig } from './config.ts';
import { type Emit, emfEmitter } from './metrics.ts';

/** What a handler needs from outside; a test or the local stack brings its own. */
export interface Deps {
  readonly stores: Stores;
  /** Where keys come from, for functions that need them, if the deployment has a sealing secret. */
  readonly vault?: Vault | undefined;
  readonly config: Config;
  readonly log: Log;
  readonly emit: Emit;
  /** How disks are cut, where that is not to be as usual: small worlds have small parts. */
  readonly limits?: PlanLimits | undefined;
}

/** Deps for one machine: another store, another configuration, another log. */
export function depsFor(
  config: Config,
  log: Log,
  store: Parameters<typeof openStores>[0] = {},
  emit: Emit = () => undefined,
): Deps {
  return { stores: counted(openStores(store)), config, log: withCallKeys(log), emit };
}

type Handler<E, R> = (event: E, context: Context) => Promise<R>;

/** What Lambda calls: made on the first event, out of the environment, and kept for the next. */
export function onLambda<E, R>(create: (deps: Deps) => Handler<E, R>): Handler<E, R> {
  let handler: Handler<E, R> | undefined;
  return (event, context) => {
    handler ??= create(depsOnLambda(context));
    return handler(event, context);
  };
}

export function depsOnLambda({ functionName }: Context): Deps {
  const log = new Logger({ serviceName: 'unqcow' });
  return depsFor(readConfig(process.env), log, {}, emfEmitter(functionName));
}
