import type { Bitmap, ImageInfo, Listed } from '../answers.ts';
import { api } from '../api.ts';
import { facts, h, table } from '../dom.ts';
import { count, formatBytes, percent, size } from '../format.ts';
import { listedView } from '../listed.ts';
import type { View } from '../main.ts';
import { featureMeaning, warningsView } from '../meanings.ts';
import { chainView } from './chain.ts';
import { frame, type Meant, meantBy } from './image-frame.ts';
import { timelineOf } from './timeline.ts';

/** What is in an image: one answer of `GET /images`. */
export const imageView: View = async (route, page, gone) => {
  const meant = meantBy(route);
  frame(page, 'image', meant);
  const info = await api.image(meant);
  if (gone.aborted) return;
  const { unqcow } = info;
  page.append(
    warningsView(unqcow.warnings),
    h('div', { class: 'grid' }, card('Identity', identity(info)), card('Sizes', sizes(info))),
    card('Features', features(info)),
    card('Backing chain', chainView(info, meant, gone)),
    card('Snapshots', snapshots(info, meant)),
    card('Bitmaps', bitmaps(info, meant)),
  );
};

const card = (title: string, ...what: (Node | string | false)[]) =>
  h('section', { class: 'card' }, h('h2', {}, title), ...what);

function identity(info: ImageInfo): HTMLElement {
  const data = info['format-specific']?.data ?? {};
  const encryption = (data.encrypt as { format?: unknown } | undefined)?.format;
  return facts([
    ['Format', `${info.format}, version ${info.unqcow.version}`],
    ['Compression', data['compression-type'] === undefined ? 'deflate' : String(data['compression-type'])],
    ['Encryption', info.encrypted ? String(encryption ?? 'aes') : 'none'],
    ['Data file', data['data-file'] === undefined ? undefined : h('code', {}, String(data['data-file']))],
    ['Refcounts', data['refcount-bits'] === undefined ? undefined : `${data['refcount-bits']} bits`],
    ['ETag', h('code', {}, etagOf(info) ?? info.unqcow.source)],
  ]);
}

const etagOf = (info: ImageInfo) => /"[^"]*"$/.exec(info.unqcow.source)?.[0];

function sizes(info: ImageInfo): HTMLElement {
  const [disk, file, cluster] = [info['virtual-size'], info['actual-size'], info['cluster-size']];
  return h(
    'div',
    {},
    facts([
      ['Disk', size(disk)],
      ['File', size(file)],
      ['Cluster', `${formatBytes(cluster)}; the disk has ${count(Math.ceil(disk / cluster))}`],
    ]),
    h('p', { class: 'meter-line' }, meter(file, disk), ` The file is ${percent(file, disk)} of the disk’s length.`),
  );
}

function meter(value: number, max: number): HTMLElement {
  const top = Math.max(1, max);
  return h('meter', {
    min: 0,
    max: top,
    value: Math.min(value, top),
    'aria-label': 'The file’s length against the disk’s',
  });
}

function features(info: ImageInfo): HTMLElement | string {
  const all = Object.entries(info.unqcow.features ?? {}).flatMap(([kind, names]) =>
    names.map((name) => [kind, name] as const),
  );
  if (all.length === 0) return 'None beyond what every image of this version has.';
  const rows = all.map(([kind, name]) => [h('strong', {}, name), featureMeaning(kind, name)]);
  return table('Features of the image', ['feature', 'what it means'], rows);
}

/** The next page of a list, of the same bytes as the first. */
const pageOf = async (info: ImageInfo, meant: Meant, offset: number) =>
  (await api.image(meant, { offset, etag: etagOf(info) })).unqcow;

function snapshots(info: ImageInfo, meant: Meant): HTMLElement | string {
  const first = info.unqcow.snapshots;
  if (!first || first.count === 0) return 'None.';
  const next = async (offset: number) => (await pageOf(info, meant, offset)).snapshots;
  return listedView(first, next, (known) => timelineOf(known, meant));
}

function bitmaps(info: ImageInfo, meant: Meant): HTMLElement | string {
  const first = info.unqcow.bitmaps;
  if (!first || first.count === 0) return 'None.';
  const next = async (offset: number): Promise<Listed<Bitmap> | undefined> =>
    (await pageOf(info, meant, offset)).bitmaps;
  const row = ({ name, granularity, flags }: Bitmap) => [
    h('code', {}, name),
    `one bit for ${formatBytes(granularity)}`,
    flags.length === 0 ? '–' : flags.map((flag) => BITMAP_FLAGS[flag] ?? flag).join(', '),
  ];
  const draw = (known: readonly Bitmap[]) =>
    table('Bitmaps: what changed since a backup', ['name', 'granularity', 'state'], known.map(row));
  const stale = first.stale && h('p', {}, 'The last writer did not keep them up to date: they cannot be relied on.');
  return h('div', {}, stale, listedView(first, next, draw));
}

const BITMAP_FLAGS: Readonly<Record<string, string>> = {
  auto: 'recording',
  'in-use': 'not saved properly: not to be relied on',
};
