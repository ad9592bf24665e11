import type { Conversion, PartKind } from '../answers.ts';
import { h } from '../dom.ts';
import { count } from '../format.ts';

/** A part's letter in `cells`, small until it is made. */
const KINDS = {
  data: { letter: 'd', colour: '--data', means: 'assembled by workers' },
  zero: { letter: 'z', colour: '--zero', means: 'copied from zeros' },
  copy: { letter: 'c', colour: '--backing-1', means: 'copied within S3' },
} as const;
const NAMES = Object.keys(KINDS) as PartKind[];

/** Parts as cells in the order of the disk, which fill with the colour of their kind as they are made. */
export class PartsPicture {
  readonly element = h('section', { class: 'card parts hidden', 'aria-label': 'Parts' });
  readonly #canvas = h('canvas', { role: 'img' });
  readonly #counts = h('ul', { class: 'bars' });
  #cells = '';

  constructor() {
    this.element.append(h('h2', {}, 'Parts'), this.#canvas, this.#counts);
    new ResizeObserver(() => this.#paint()).observe(this.#canvas);
  }

  show({ state, cells, result }: Conversion): void {
    const seen = cells ?? this.#cells;
    // Who comes after the end is told how many there were of each kind, not where.
    const told = result?.parts
      ? NAMES.map((name) => KINDS[name].letter.repeat(result.parts?.[name] ?? 0)).join('')
      : '';
    this.#cells = state === 'succeeded' ? (seen || told).toUpperCase() : seen;
    this.element.classList.toggle('hidden', this.#cells === '');
    this.#counts.replaceChildren(...NAMES.map((name) => this.#count(name)));
    const done = this.#cells.replace(/[a-z]/g, '').length;
    this.#canvas.setAttribute('aria-label', `${count(done)} of ${count(this.#cells.length)} parts made`);
    this.#paint();
  }

  #count(name: PartKind): HTMLElement {
    const { letter, means } = KINDS[name];
    const done = this.#cells.split(letter.toUpperCase()).length - 1;
    const total = done + this.#cells.split(letter).length - 1;
    const bar = h('progress', { max: Math.max(1, total), value: done, 'aria-label': `${name} parts` });
    return h(
      'li',
      { class: total === 0 ? 'hidden' : 'part' },
      h(
        'span',
        {},
        h('span', { class: `swatch part-${name}`, 'aria-hidden': 'true' }),
        h('strong', {}, name),
        ` ${means}`,
      ),
      bar,
      h('span', {}, `${count(done)} of ${count(total)}`),
    );
  }

  #paint(): void {
    const canvas = this.#canvas;
    const context = canvas.getContext('2d');
    const width = canvas.clientWidth;
    if (!context || width === 0) return;
    const side = sideFor(this.#cells.length, width);
    const columns = Math.max(1, Math.floor(width / side));
    const height = Math.ceil(this.#cells.length / columns) * side;
    const ratio = Math.min(3, devicePixelRatio);
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    context.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    [...this.#cells].forEach((each, i) => {
      const kind = Object.values(KINDS).find(({ letter }) => letter === each.toLowerCase());
      const [x, y] = [(i % columns) * side, Math.floor(i / columns) * side];
      context.globalAlpha = each === each.toLowerCase() ? 0.2 : 1;
      context.fillStyle = style.getPropertyValue(kind?.colour ?? '--hole').trim();
      context.fillRect(x, y, side - 2, side - 2);
    });
  }
}

/** Cells as large as they can be in a picture that is not too high. */
function sideFor(cells: number, width: number): number {
  for (let side = 28; side > 4; side -= 2) {
    if (Math.ceil(cells / Math.max(1, Math.floor(width / side))) * side <= 240) return side;
  }
  return 4;
}
