import type { MapEntry } from '../answers.ts';
import { h, say } from '../dom.ts';
import { formatBytes } from '../format.ts';
import { Cells } from './cells.ts';
import type { DiskMap, Order } from './disk-map.ts';
import { useGestures } from './gestures.ts';
import { legend } from './legend.ts';
import { type Colouring, paint } from './picture.ts';
import { describe, stretches } from './readout.ts';
import { toolbar } from './toolbar.ts';
import { Viewport } from './viewport.ts';

type Closer = (from: number, signal: AbortSignal) => Promise<readonly MapEntry[]>;

/** Milliseconds for which one has to look at the same place until it is asked for closer up. */
const PATIENCE = 200;

/** The picture with all that moves it, and in words what it shows. */
export class MapPicture {
  readonly element: HTMLElement;
  readonly #map: DiskMap;
  readonly #closer: Closer;
  readonly #gone: AbortSignal;
  readonly #view: Viewport;
  readonly #canvas: HTMLCanvasElement;
  readonly #readout = h('output', { class: 'readout', id: 'readout' });
  readonly #scale = h('p', { class: 'hint', id: 'scale' });
  readonly #legend = h('div');
  readonly #inView = h('div');
  #order: Order = 'guest';
  #colouring: Colouring = 'kind';
  #asked: AbortController | undefined;
  #timer = 0;
  #frame = 0;
  #isComplete = false;

  constructor(map: DiskMap, closer: Closer, gone: AbortSignal) {
    this.#map = map;
    this.#closer = closer;
    this.#gone = gone;
    this.#view = new Viewport(map.size, map.unit);
    this.#canvas = h('canvas', {
      tabindex: 0,
      role: 'application',
      'aria-label': 'Allocation map',
      'aria-describedby': 'map-keys',
    });
    const changed = () => this.changed();
    const bar = toolbar(this.#view, {
      order: (order) => this.#setOrder(order),
      colouring: (colouring) => {
        this.#colouring = colouring;
        changed();
      },
      changed,
    });
    const keys =
      'Arrows move, Page Up and Down turn pages, + and − zoom, 0 shows all, 1 a single cluster. Wheel or two fingers zoom; drag, or Shift and wheel, to move.';
    const help = h('p', { class: 'hint', id: 'map-keys' }, keys);
    this.element = h(
      'section',
      { class: 'map', 'aria-label': 'Picture' },
      ...[bar, this.#canvas, this.#readout, this.#scale, this.#legend, help, this.#inView],
    );
    useGestures(this.#canvas, this.#view, changed);
    const resized = new ResizeObserver(() => this.#resize());
    resized.observe(this.#canvas);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', changed, { signal: gone });
    gone.addEventListener('abort', () => {
      resized.disconnect();
      this.#asked?.abort();
    });
  }

  /** Paints with the next frame. */
  changed(): void {
    this.#frame ||= requestAnimationFrame(() => this.#paint());
  }

  /** All of the map was read. */
  complete(): void {
    this.#isComplete = true;
    this.changed();
  }

  #setOrder(order: Order): void {
    const at = order === 'host' ? (this.#map.find(this.#view.cursor, 'guest')?.host ?? 0) : 0;
    this.#order = order;
    this.#view.length = this.#map.lengthOf(order);
    this.#view.whole();
    this.#view.point(at);
    this.changed();
    say(order === 'guest' ? 'In the order of the disk' : 'In the order of the file');
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const ratio = Math.min(3, devicePixelRatio);
    this.#canvas.width = Math.round(clientWidth * ratio);
    this.#canvas.height = Math.round(clientHeight * ratio);
    this.#view.resize(clientWidth, clientHeight);
    this.changed();
  }

  #paint(): void {
    this.#frame = 0;
    const [map, view, order] = [this.#map, this.#view, this.#order];
    const cells = new Cells(view.start, view.cell, view.count);
    map.pour(cells, order);
    const focused = document.activeElement === this.#canvas || view.cursor > 0;
    paint(this.#canvas, map, cells, view, { order, colouring: this.#colouring, focused });
    const coarse = map.isCoarse(cells, order);
    this.#readout.textContent = describe(map, cells, view, order);
    this.#scale.textContent = `${formatBytes(view.end - view.start)} in view, each cell ${formatBytes(view.cell)}${
      coarse ? `; known to ${formatBytes(map.finest(order))} so far` : ''
    }.`;
    this.#legend.replaceChildren(legend(map, order, this.#colouring));
    this.#inView.replaceChildren(stretches(map, view, order));
    if (coarse && order === 'guest' && this.#isComplete) this.#lookCloser();
  }

  /** Asks again for what is in view, since not every stretch was kept. */
  #lookCloser(): void {
    clearTimeout(this.#timer);
    this.#asked?.abort();
    const asked = new AbortController();
    this.#asked = asked;
    const { start, end } = this.#view;
    this.#timer = window.setTimeout(async () => {
      try {
        const entries: MapEntry[] = [];
        const from = () => (entries.at(-1)?.start ?? start) + (entries.at(-1)?.length ?? 0);
        while (from() < end && !asked.signal.aborted && entries.length < 65_536) {
          const more = await this.#closer(from(), AbortSignal.any([asked.signal, this.#gone]));
          if (more.length === 0) return;
          entries.push(...more);
        }
        if (asked.signal.aborted) return;
        this.#map.lookCloser(start, entries);
        this.changed();
      } catch (error) {
        if (!asked.signal.aborted && !this.#gone.aborted)
          say(`It cannot be looked at closer: ${(error as Error).message}`);
      }
    }, PATIENCE);
  }
}
