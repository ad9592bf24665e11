import { api } from '../api.ts';
import { fill, h, say } from '../dom.ts';
import { count, date, formatBytes, nameOf } from '../format.ts';
import type { View } from '../main.ts';
import { problemView } from '../problem.ts';
import { to } from '../routes.ts';
import { icon } from './places.ts';

/** What lies under a prefix: folders, images, and other files, a page at a time. */
export const objectsView: View = async ({ query }, page, gone) => {
  const [bucket = '', prefix = ''] = [query.get('bucket') ?? '', query.get('prefix') ?? ''];
  const list = h('ul', { class: 'list objects' });
  const more = h('button', { type: 'button', class: 'more' }, 'Show more');
  fill(page, h('h1', {}, nameOf(prefix) || bucket), crumbs(bucket, prefix), list);
  let cursor: string | undefined;
  let shown = 0;
  const next = async () => {
    const answer = await api.objects(bucket, { prefix, cursor, limit: 500 });
    if (gone.aborted) return;
    const folders = (answer.prefixes ?? []).map((key) => folder(bucket, key));
    const files = answer.objects.filter(({ key }) => key !== prefix).map((object) => file(bucket, object));
    list.append(...folders, ...files);
    shown += folders.length + files.length;
    cursor = answer.cursor;
    if (cursor === undefined) more.remove();
    else page.append(more);
    say(`${count(shown)} shown`);
  };
  more.addEventListener('click', () => {
    more.disabled = true;
    next().then(
      () => {
        more.disabled = false;
      },
      (error) => page.append(problemView(error)),
    );
  });
  await next();
  if (shown === 0) page.append(h('p', {}, 'Nothing lies here.'));
};

const folder = (bucket: string, key: string) =>
  h('li', {}, h('a', { href: to('objects', { bucket, prefix: key }) }, icon('folder'), nameOf(key)));

function file(
  bucket: string,
  {
    key,
    size,
    lastModified,
    looksLikeImage,
  }: { key: string; size: number; lastModified: string; looksLikeImage: boolean },
) {
  const about = h('span', { class: 'about' }, `${formatBytes(size)} · ${date(Date.parse(lastModified))}`);
  const name = [icon(looksLikeImage ? 'disk' : 'file'), nameOf(key)];
  // A name proves nothing: what does not look like an image may be one.
  const link = h('a', { href: to('image', { bucket, key }), ...(looksLikeImage ? {} : { class: 'other' }) }, ...name);
  return h('li', {}, link, about);
}

/** The way from the bucket to here, each step a link. */
export function crumbs(bucket: string, key: string): HTMLElement {
  const steps = key.match(/[^/]*\/|[^/]+$/g) ?? [];
  const at = (i: number) => steps.slice(0, i + 1).join('');
  const links = steps
    .filter((step) => step.endsWith('/'))
    .map((step, i) => h('li', {}, h('a', { href: to('objects', { bucket, prefix: at(i) }) }, step)));
  const root = h('li', {}, h('a', { href: to('objects', { bucket }) }, `s3://${bucket}/`));
  return h('nav', { 'aria-label': 'Where this is', class: 'crumbs' }, h('ol', {}, root, ...links));
}
