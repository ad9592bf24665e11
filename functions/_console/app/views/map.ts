import type { ImageInfo } from '../answers.ts';
import { api } from '../api.ts';
import { h, say } from '../dom.ts';
import { count, formatBytes, percent } from '../format.ts';
import type { View } from '../main.ts';
import { DiskMap } from '../map/disk-map.ts';
import { MapPicture } from '../map/map-picture.ts';
import { problemView } from '../problem.ts';
import { frame, linesOf, type Meant, meantBy, snapshotNote } from './image-frame.ts';
import { referencesForm } from './references.ts';

/** Entries of a page: as many as the API gives at once. */
const PAGE = 10_000;

/** The allocation map as a picture, which fills while it is read. */
export const mapView: View = async (route, page, gone) => {
  const meant = meantBy(route);
  frame(page, 'map', meant);
  const info = await api.image(meant);
  if (gone.aborted) return;
  page.append(snapshotNote(meant), referencesForm('map', meant, info));
  const first = await api.map(meant, queryOf(meant, {}), gone);
  const size = first.unqcow['virtual-size'];
  const map = new DiskMap({ size, fileSize: fileSizeOf(info, size), unit: unitOf(info) });
  const progress = h('progress', { max: Math.max(1, size), 'aria-label': 'Read so far' });
  const said = h('p', { class: 'hint', id: 'read' });
  const picture = new MapPicture(map, (from, signal) => closer(meant, from, signal), gone);
  page.append(picture.element, h('p', { class: 'reading' }, progress, ' '), said);
  for (let answer = first; ; ) {
    map.add(answer.map);
    progress.value = map.covered;
    picture.changed();
    said.textContent = summary(map);
    if (answer.cursor === undefined) break;
    answer = await api.map(meant, { cursor: answer.cursor, limit: PAGE }, gone).catch((error) => {
      if (!gone.aborted) page.append(problemView(error));
      throw gone.aborted ? error : new Stopped();
    });
  }
  progress.parentElement?.remove();
  picture.complete();
  say(`The map is complete. ${summary(map)}`);
};

/** What was there is shown, and so is why the rest is not. */
class Stopped extends Error {
  override message = 'The map ends where it could not be read on.';
}

function queryOf({ snapshot, allow, place, backingFormat }: Meant, more: Readonly<Record<string, number>>) {
  const said = { allow, place: linesOf(place), backingFormat: linesOf(backingFormat) };
  return { snapshot, ...said, limit: PAGE, ...more };
}

/** The stretches from a byte of the disk on, where the picture does not keep them all. */
async function closer(meant: Meant, from: number, signal: AbortSignal) {
  return (await api.map(meant, queryOf(meant, { from }), signal)).map;
}

/** Subclusters are told apart by the map, but 512 bytes is the least that any image is made of. */
const unitOf = (info: ImageInfo) => Math.max(512, info['cluster-size']);

/** The length of the file that plain clusters lie in. That of a data file is not told; it is as long as the disk at least. */
function fileSizeOf(info: ImageInfo, size: number): number {
  const apart = info['format-specific']?.data['data-file'] !== undefined;
  return apart ? Math.max(size, info['virtual-size']) : info['actual-size'];
}

function summary({ size, covered, count: stretches, pieces, jumps }: DiskMap): string {
  const read =
    covered < size ? `Read up to ${formatBytes(covered)} of ${formatBytes(size)} (${percent(covered, size)}). ` : '';
  return `${read}${stretches === 1 ? 'One stretch' : `${count(stretches)} stretches`}.${orderOf(pieces, jumps)}`;
}

function orderOf(pieces: number, jumps: number): string {
  if (pieces === 0) return '';
  if (pieces === 1) return ' Plain data lies in one piece.';
  const order = jumps === 0 ? 'all in order' : `${count(jumps)} of them not behind the one before`;
  return ` Plain data lies in ${count(pieces)} pieces, ${order}.`;
}
