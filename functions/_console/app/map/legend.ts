import { h } from '../dom.ts';
import { formatBytes, percent } from '../format.ts';
import type { DiskMap, Order } from './disk-map.ts';
import { FREE_MEANS, KINDS } from './kinds.ts';
import type { Colouring } from './picture.ts';

/** What the colours mean, and how much of the disk there is of each. */
export function legend(map: DiskMap, order: Order, colouring: Colouring): HTMLElement {
  const items = KINDS.flatMap(({ name, means }, kind) => {
    const bytes = map.bytes[kind] ?? 0;
    if (bytes === 0) return [];
    return [item(name, name, `${formatBytes(bytes)}, ${percent(bytes, map.size)}: ${means}`)];
  });
  const free = order === 'host' ? [item('unused', 'not this disk’s', FREE_MEANS)] : [];
  const other = order === 'guest' ? 'file' : 'disk';
  const hue =
    colouring === 'place'
      ? [
          item(
            'hue',
            'where it lies',
            `from the ${other}’s start (red) to its end (violet); steps in colour are fragments`,
          ),
        ]
      : [];
  return h('ul', { class: 'legend' }, ...hue, ...items, ...free);
}

const item = (swatch: string, name: string, says: string) =>
  h(
    'li',
    {},
    h('span', { class: `swatch ${swatch.replace(/\W+/g, '-').replace(/-$/, '')}`, 'aria-hidden': 'true' }),
    h('strong', {}, name),
    ` ${says}`,
  );
