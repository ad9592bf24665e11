import type { Snapshot } from '../answers.ts';
import { h } from '../dom.ts';
import { date, duration, formatBytes } from '../format.ts';
import { to } from '../routes.ts';
import type { Meant } from './image-frame.ts';

/** Snapshots from the oldest to the disk as it is now, each with the way to its own map and conversion. */
export function timelineOf(snapshots: readonly Snapshot[], { bucket, key }: Meant): HTMLElement {
  const inTime = [...snapshots].sort((a, b) => a['date-sec'] - b['date-sec'] || a.index - b.index);
  const item = (snapshot: Snapshot) => {
    const { id, name } = snapshot;
    // Ids come first where a name is looked up, so an id is what is meant for certain.
    const query = { bucket, key, snapshot: `snapshot.id=${id}` };
    const state = snapshot['vm-state-size'];
    const size = snapshot['disk-size'];
    return h(
      'li',
      {},
      h('div', { class: 'when' }, date(snapshot['date-sec'] * 1000)),
      h('div', { class: 'what' }, h('strong', {}, name || 'no name'), h('span', { class: 'hint' }, ` id ${id}`)),
      h(
        'div',
        { class: 'hint' },
        size !== undefined && `disk of ${formatBytes(size)}`,
        state > 0 ? ` · ${formatBytes(state)} of machine state` : ' · no machine state',
        snapshot['vm-clock-nsec'] > 0 && ` · after ${duration(snapshot['vm-clock-nsec'] / 1e9)} of running`,
      ),
      h(
        'div',
        { class: 'ways' },
        h('a', { href: to('map', query) }, 'Map', h('span', { class: 'hidden' }, ` of ${name}`)),
        h('a', { href: to('convert', query) }, 'Convert', h('span', { class: 'hidden' }, ` ${name}`)),
        h('a', { href: to('view', query) }, 'Read', h('span', { class: 'hidden' }, ` ${name}`)),
      ),
    );
  };
  const now = h(
    'li',
    { class: 'now' },
    h('div', { class: 'what' }, h('strong', {}, 'Now')),
    h('div', { class: 'hint' }, 'the disk as it is'),
  );
  return h('ol', { class: 'timeline' }, ...inTime.map(item), now);
}
