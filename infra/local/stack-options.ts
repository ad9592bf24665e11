import type { Config } from '../../functions/_shared/config.ts';
import type { Deps } from '../../functions/_shared/deps.ts';
import type { Triggered } from '../../functions/on-upload.ts';
import type { Authorizer } from './http-api.ts';
import type { ExecutionEvent, LocalFunction } from './step-functions/server.ts';

/** An S3 to use, and who we are to it. */
export interface StoreConfig {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export interface StackOptions {
  /** Where the local S3 keeps its data; or a store that runs already, which then sends no upload events. */
  readonly store: { readonly dir: string; readonly port?: number } | StoreConfig;
  readonly buckets?: Buckets;
  /** Where secrets lie: passphrases in `disks/`. Without it no conversion takes keys. */
  readonly secrets?: { readonly dir: string; readonly denied?: readonly string[] };
  readonly log?: Deps['log'];
  /** Gets what each invocation of a function comes to. */
  readonly emit?: Deps['emit'];
  readonly onEvent?: (event: ExecutionEvent) => void;
  /** Gets what became of the objects that the local S3 says were created in the images' bucket. */
  readonly onUploads?: (uploads: readonly Triggered[]) => void;
  /** Workers at once, each with up to 256 MiB of parts: here they share one machine. */
  readonly workers?: number;
  /** What differs from the configuration that fits the buckets. */
  readonly config?: Partial<Config>;
  /** Who may use the HTTP API; all on this machine if left out. */
  readonly authorizer?: Authorizer;
  /** Makes the clients of the functions, where they are not to be as in AWS. */
  readonly stores?: (store: StoreConfig) => Deps['stores'];
  /** How disks are cut; as in AWS if left out. */
  readonly limits?: Deps['limits'];
  /** Milliseconds after a job's end from which on the sweeper takes nothing of it to be at work; as in AWS if left out. */
  readonly settledAfter?: number;
  /** Factor on the waits between the state machine's retries, and between those of an upload's event. */
  readonly retryDelayScale?: number;
  /** Ports of the HTTP API and of Step Functions; any that are free if left out. */
  readonly apiPort?: number;
  readonly stepFunctionsPort?: number;
  /** Makes the function that runs under a name: by default what `functions/` has under it. A test can watch it, or run a bundle in its place. */
  readonly lambda?: (name: string, create: () => LocalFunction, services: Services) => LocalFunction;
}

/** Makes what runs under a function's name. */
export type Lambda = (name: string, create: () => LocalFunction) => LocalFunction;

/** What a function finds around it. */
export interface Services {
  readonly store: StoreConfig;
  /** The endpoint of Step Functions, once it runs. */
  stepFunctions?: string;
  readonly secretsManager?: string;
  /** Where raw views are served, if they are. */
  readonly viewUrl?: string;
}

export interface Buckets {
  readonly images: string;
  readonly raw: string;
  readonly work: string;
}
