import { toJson } from './json.ts';

/** Which entries of a long list to show. */
export interface Page {
  readonly offset?: number;
  readonly limit?: number;
  /** How long a list may be as JSON inside a JSON string, which is how a Lambda answers: quotes count twice. */
  readonly maxBytes?: number;
}

export interface Paged<T> {
  readonly items: readonly T[];
  /** The offset at which the list goes on, if it does. */
  readonly next: number | undefined;
}

/** Makes entries from `offset` on, as many as fit, and one at least where there is one. Costs time for those only. */
export function paged<T>(count: number, make: (index: number) => T, page: Page = {}): Paged<T> {
  const { offset = 0, limit = count, maxBytes = Number.POSITIVE_INFINITY } = page;
  const end = Math.min(count, offset + limit);
  const items: T[] = [];
  let bytes = 0;
  let at = offset;
  for (; at < end; at += 1) {
    const item = make(at);
    if (maxBytes < Number.POSITIVE_INFINITY) bytes += lengthInAnswer(item);
    if (bytes > maxBytes && items.length > 0) break;
    items.push(item);
  }
  return { items, next: at < count && items.length > 0 ? at : undefined };
}

function lengthInAnswer(item: unknown): number {
  return Buffer.byteLength(JSON.stringify(toJson(item)));
}
