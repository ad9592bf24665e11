import { namedOrAll, namedPlace } from '../../../../lib/named.ts';
import type { Gate } from '../answers.ts';
import type { ObjectName } from '../api.ts';
import { fill, h } from '../dom.ts';
import { nameOf } from '../format.ts';
import { type Route, to } from '../routes.ts';
import { crumbs } from './objects.ts';

/** What all pages about an image say of which they speak. */
export interface Meant extends ObjectName {
  readonly snapshot: string | undefined;
  /** The prefix under which files that the image names may be opened. */
  readonly allow: string | undefined;
  /** `NAME=s3://bucket/key`, one a line: where such files lie, whatever their names look like. */
  readonly place: string | undefined;
  /** `[NAME=]FORMAT`, one a line: what format they are if that is not stated. */
  readonly backingFormat: string | undefined;
}

export function meantBy({ query }: Route): Meant {
  const text = (name: string) => query.get(name) || undefined;
  const said = { allow: text('allow'), place: text('place'), backingFormat: text('backingFormat') };
  return { bucket: query.get('bucket') ?? '', key: query.get('key') ?? '', snapshot: text('snapshot'), ...said };
}

export const linesOf = (text = ''): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);

/** What of S3 the names inside the image may lead to, as a body tells the API. It says itself what it does not take. */
export function gateOf({ allow, place, backingFormat }: Meant): Gate | undefined {
  if (allow === undefined && place === undefined && backingFormat === undefined) return undefined;
  return {
    allow: allow === undefined ? [] : [allow],
    places: Object.fromEntries(linesOf(place).map((line) => namedPlace(line) ?? [line, ''])),
    backingFormats: Object.fromEntries(linesOf(backingFormat).map(namedOrAll)),
  };
}

/** Which disk it is, if it is not the one as it is now. */
export const snapshotNote = ({ snapshot }: Meant): HTMLElement | string =>
  snapshot === undefined ? '' : h('p', {}, 'The disk as it was in the snapshot ', h('code', {}, snapshot), '.');

const TABS = { image: 'Overview', map: 'Map', check: 'Check', convert: 'Convert', view: 'Read' } as const;

/** The heading of an image's pages, and the way between them. */
export function frame(page: HTMLElement, current: keyof typeof TABS, meant: Meant): void {
  const { bucket, key, ...rest } = meant;
  const tabs = Object.entries(TABS).map(([name, label]) =>
    h(
      'li',
      {},
      h('a', { href: to(name, { bucket, key, ...rest }), 'aria-current': name === current && 'page' }, label),
    ),
  );
  fill(
    page,
    h('h1', {}, nameOf(key)),
    crumbs(bucket, key),
    h('nav', { 'aria-label': 'This image', class: 'tabs' }, h('ul', {}, ...tabs)),
  );
}
