import { api } from '../api.ts';
import { fill, h } from '../dom.ts';
import type { View } from '../main.ts';
import { to } from '../routes.ts';

/** Where this caller may read images, and write raw disks. */
export const placesView: View = async (_route, page) => {
  fill(page, h('h1', {}, 'Images'), h('p', { class: 'lead' }, 'QCOW and QCOW2 images where they lie in S3.'));
  const { sources, destinations } = await api.places();
  const urlOf = ({ bucket, prefix }: { bucket: string; prefix: string }) => `s3://${bucket}/${prefix}`;
  page.append(
    h('h2', {}, 'You may read'),
    sources.length === 0 ? h('p', {}, 'Nothing: the deployment allows no sources.') : '',
    h(
      'ul',
      { class: 'list' },
      ...sources.map((place) =>
        h('li', {}, h('a', { href: to('objects', { ...place }) }, icon('folder'), h('code', {}, urlOf(place)))),
      ),
    ),
    h('h2', {}, 'Raw disks may go to'),
    h(
      'ul',
      { class: 'list' },
      ...destinations.map((place) => h('li', {}, h('code', { class: 'place' }, urlOf(place)))),
    ),
  );
};

export const icon = (name: 'folder' | 'disk' | 'file') => h('span', { class: `icon ${name}`, 'aria-hidden': 'true' });
