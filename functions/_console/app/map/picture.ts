import { hex } from '../format.ts';
import type { Cells } from './cells.ts';
import type { DiskMap, Order } from './disk-map.ts';
import { KINDS } from './kinds.ts';
import type { Viewport } from './viewport.ts';

/** `kind`: what cells are made of. `place`: where their other side lies, as a hue from the file's start to its end. */
export type Colouring = 'kind' | 'place';

export interface Look {
  readonly order: Order;
  readonly colouring: Colouring;
  /** Whether the cursor is shown. */
  readonly focused: boolean;
}

/** From this many pixels on, a cell is told apart by a gap and says where it begins. */
const LABELLED = 96;

/** Draws what is in view. A cell that holds any bytes of a kind shows it, so that nothing small is lost. */
export function paint(canvas: HTMLCanvasElement, map: DiskMap, cells: Cells, view: Viewport, look: Look): void {
  const context = canvas.getContext('2d');
  if (!context) return;
  const style = getComputedStyle(canvas);
  const colours = KINDS.map(({ colour }) => style.getPropertyValue(colour).trim());
  const ratio = canvas.width / Math.max(1, canvas.clientWidth);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  const gap = view.cellWidth >= 5 ? 1 : 0;
  const [width, height] = [view.cellWidth - gap, view.cellHeight - gap];
  const other = look.order === 'guest' ? map.fileSize : map.size;
  for (let cell = 0; cell < view.count; cell += 1) {
    const x = (cell % view.columns) * view.cellWidth;
    const y = Math.floor(cell / view.columns) * view.cellHeight;
    const box = { x, y, width, height };
    const place = look.colouring === 'place' ? cells.place(cell) : undefined;
    context.fillStyle = style.getPropertyValue('--unused').trim();
    context.fillRect(x, y, width, height);
    if (place === undefined) stack(context, cells, cell, box, colours, look.colouring === 'place');
    else {
      context.fillStyle = `hsl(${Math.round((300 * place) / Math.max(1, other))} 75% 50%)`;
      context.fillRect(x, y, width, height);
    }
    if (view.cellWidth >= LABELLED) label(context, hex(view.start + cell * view.cell), x, y);
  }
  if (look.focused) outline(context, view, style.getPropertyValue('--cursor').trim());
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The kinds of one cell above each other, each as high as it has a share, and no less than a pixel. */
function stack(
  context: CanvasRenderingContext2D,
  cells: Cells,
  cell: number,
  { x, y, width, height }: Box,
  colours: readonly string[],
  faint: boolean,
): void {
  const whole = KINDS.reduce((sum, _, kind) => sum + cells.bytes(cell, kind), 0);
  if (whole === 0) return;
  context.globalAlpha = faint ? 0.25 : 1;
  let bottom = y + height;
  for (const [kind, colour] of colours.entries()) {
    const bytes = cells.bytes(cell, kind);
    if (bytes === 0 || bottom <= y) continue;
    const share = Math.min(bottom - y, Math.max(1, (height * bytes) / Math.max(whole, cells.size)));
    context.fillStyle = colour;
    context.fillRect(x, bottom - share, width, share);
    bottom -= share;
  }
  context.globalAlpha = 1;
}

function label(context: CanvasRenderingContext2D, text: string, x: number, y: number): void {
  context.font = '12px ui-monospace, monospace';
  const { width } = context.measureText(text);
  context.fillStyle = '#000a';
  context.fillRect(x + 6, y + 6, width + 12, 20);
  context.fillStyle = '#fff';
  context.fillText(text, x + 12, y + 20);
}

function outline(context: CanvasRenderingContext2D, view: Viewport, colour: string): void {
  const cell = (view.cursor - view.start) / view.cell;
  if (cell < 0 || cell >= view.columns * view.rows) return;
  const x = (cell % view.columns) * view.cellWidth;
  const y = Math.floor(cell / view.columns) * view.cellHeight;
  const [width, height] = [Math.max(3, view.cellWidth), Math.max(3, view.cellHeight)];
  context.lineWidth = 2;
  context.strokeStyle = colour;
  context.strokeRect(Math.max(1, x - 0.5), Math.max(1, y - 0.5), width, height);
}
