import { UnqcowError } from '../errors.ts';

/** What may be replaced at the destination: only what we made, anything, or nothing. */
export const OVERWRITES = ['own', 'always', 'never'] as const;
export type Overwrite = (typeof OVERWRITES)[number];

/** What must hold of the object that is at a key for it to be written. */
export interface WriteCondition {
  readonly IfMatch?: string;
  readonly IfNoneMatch?: '*';
}

export const IF_ABSENT: WriteCondition = { IfNoneMatch: '*' };

/** A write's refusal, in the light of its condition: the object that it was to replace may have gone. */
export function asConditionError(where: string, { IfMatch }: WriteCondition, error: unknown): unknown {
  if (IfMatch === undefined || (error as Error).name !== 'NoSuchKey') return error;
  return new UnqcowError('DESTINATION_EXISTS', `${where} was deleted or replaced meanwhile`, { cause: error });
}

/** Whether the store has no such condition at all: Swift has none on PutObject. */
export function isNotImplemented(error: unknown): boolean {
  const { cause } = error as { readonly cause?: { readonly name?: string } };
  return cause?.name === 'NotImplemented';
}
