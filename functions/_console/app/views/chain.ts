import type { ImageInfo } from '../answers.ts';
import type { ObjectName } from '../api.ts';
import { type ChainFile, filesBelow } from '../chain.ts';
import { type Child, fill, h } from '../dom.ts';
import { formatBytes, nameOf } from '../format.ts';
import { problemView } from '../problem.ts';
import { to } from '../routes.ts';
import { gateOf, type Meant } from './image-frame.ts';

/** The image, and below it each file that backs it: those that can be reached, and the first that cannot. */
export function chainView(info: ImageInfo, meant: Meant, gone: AbortSignal): HTMLElement | string {
  if (info['backing-filename'] === undefined && dataFileOf(info) === undefined) {
    return 'It stands alone: it names no other file.';
  }
  const own = link(0, h('strong', {}, nameOf(meant.key)), `this image: ${sizesOf(info)}`, info);
  const list = h('ol', { class: 'chain', 'aria-label': 'Backing chain, the image first' }, own);
  const [state, end] = [h('p', { class: 'hint busy' }, 'Following the chain…'), h('div')];
  void follow(info, meant, gone, list)
    .then((files) => fill(end, conclusion(meant, files)))
    .catch((error) => fill(end, problemView(error)))
    .finally(() => state.remove());
  return h('div', {}, list, state, end);
}

async function follow(info: ImageInfo, meant: Meant, gone: AbortSignal, list: HTMLElement): Promise<ChainFile[]> {
  const files: ChainFile[] = [];
  for await (const file of filesBelow(info, { bucket: meant.bucket, key: meant.key }, gateOf(meant))) {
    if (gone.aborted) break;
    files.push(file);
    list.append(fileView(file, files.length));
  }
  return files;
}

function fileView({ name, format, at, info, size, because }: ChainFile, depth: number): HTMLElement {
  if (at === undefined) {
    const stated = format === undefined ? '' : `said to be ${format}; `;
    return h(
      'li',
      { class: 'unreached' },
      h('div', { class: 'file' }, h('code', {}, name), h('p', { class: 'hint' }, `${stated}not reachable: ${because}`)),
    );
  }
  if (info === undefined) return link(depth, h('code', {}, name), `raw, ${formatBytes(size ?? 0)}`);
  return link(depth, wayTo(at, name), sizesOf(info), info);
}

/** One link of the chain, with the file that has its data, if that is another. */
function link(depth: number, title: Child, says: string, info?: ImageInfo): HTMLElement {
  const dataFile = info && dataFileOf(info);
  return h(
    'li',
    { class: `depth-${Math.min(depth, 3)}` },
    h('div', { class: 'file' }, title, h('p', { class: 'hint' }, says)),
    dataFile !== undefined &&
      h(
        'div',
        { class: 'file beside' },
        h('code', {}, dataFile),
        h('p', { class: 'hint' }, 'has the data of its clusters'),
      ),
  );
}

const wayTo = ({ bucket, key }: ObjectName, name: string) =>
  h('a', { href: to('image', { bucket, key }) }, h('code', {}, name));

const sizesOf = (info: ImageInfo) =>
  `${info.format}, disk of ${formatBytes(info['virtual-size'])} in a file of ${formatBytes(info['actual-size'])}`;

function dataFileOf(info: ImageInfo): string | undefined {
  const name = info['format-specific']?.data['data-file'];
  return name === undefined ? undefined : String(name);
}

/** What it takes to read the disk that the whole chain means. */
function conclusion({ bucket, key, ...meant }: Meant, files: readonly ChainFile[]): HTMLElement {
  if (files.some(({ at }) => at === undefined)) {
    return h('p', { class: 'hint' }, 'The disk needs all of them: it cannot be read before each can be reached.');
  }
  const allow = `s3://${bucket}/${key.slice(0, key.lastIndexOf('/') + 1)}`;
  const query = { bucket, key, ...meant, allow };
  return h(
    'p',
    {},
    'A disk is read through other files only where you allow it: ',
    h('a', { href: to('map', query) }, 'map'),
    ', ',
    h('a', { href: to('convert', query) }, 'convert'),
    ' or ',
    h('a', { href: to('view', query) }, 'read it'),
    ' with what lies under ',
    h('code', {}, allow),
    '.',
  );
}
