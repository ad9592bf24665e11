import type { Viewport } from './viewport.ts';

/** Wheel travel, in pixels, that is one step of zoom. */
const STEP = 60;
/** Fingers that come or go this much apart zoom by one step. */
const PINCH = 1.6;

/** Has a canvas zoom and move by wheel, keys, mouse and touch. `changed` is called after each. */
export function useGestures(canvas: HTMLCanvasElement, view: Viewport, changed: () => void): void {
  const byteAt = ({ clientX, clientY }: MouseEvent) => {
    const { left, top } = canvas.getBoundingClientRect();
    return view.byteAt(clientX - left, clientY - top);
  };
  useWheel(canvas, view, byteAt, changed);
  useFingers(canvas, view, byteAt, changed);
  canvas.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !pressed(view, event.key)) return;
    event.preventDefault();
    changed();
  });
  for (const name of ['focus', 'blur']) canvas.addEventListener(name, changed);
}

/** Whether a key means anything. */
function pressed(view: Viewport, key: string): boolean {
  const actions: Readonly<Record<string, () => void>> = {
    ArrowRight: () => view.step(1),
    ArrowLeft: () => view.step(-1),
    ArrowDown: () => view.step(view.columns),
    ArrowUp: () => view.step(-view.columns),
    PageDown: () => view.step(view.columns * view.rows),
    PageUp: () => view.step(-view.columns * view.rows),
    Home: () => view.point(0),
    End: () => view.point(view.length),
    '+': () => view.zoom(-1),
    '=': () => view.zoom(-1),
    Enter: () => view.zoom(-1),
    '-': () => view.zoom(1),
    0: () => view.whole(),
    1: () => view.zoom(Number.NEGATIVE_INFINITY),
  };
  const action = Object.hasOwn(actions, key) ? actions[key] : undefined;
  action?.();
  return action !== undefined;
}

type ByteAt = (event: MouseEvent) => number | undefined;

function useWheel(canvas: HTMLCanvasElement, view: Viewport, byteAt: ByteAt, changed: () => void): void {
  let travel = 0;
  let anchor: { readonly x: number; readonly y: number; readonly at: number | undefined } | undefined;
  const turned = (event: WheelEvent) => {
    event.preventDefault();
    travel += event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 20 : event.deltaY;
    const steps = Math.trunc(travel / STEP);
    if (steps === 0) return;
    travel -= steps * STEP;
    // Rows wrap, so what is under the pointer becomes something else. While that rests, what was there first is meant.
    const [x, y] = [event.clientX, event.clientY];
    if (anchor?.x !== x || anchor.y !== y) anchor = { x, y, at: byteAt(event) };
    if (event.shiftKey) view.scroll(steps);
    else view.zoom(steps, anchor.at);
    changed();
  };
  canvas.addEventListener('wheel', turned, { passive: false });
}

/** A tap or a click points, a second one on the same cell zooms in, two fingers zoom, dragging moves. */
function useFingers(canvas: HTMLCanvasElement, view: Viewport, byteAt: ByteAt, changed: () => void): void {
  const fingers = new Map<number, PointerEvent>();
  let apart = 0;
  let dragged = 0;
  canvas.addEventListener('pointerdown', (event) => {
    fingers.set(event.pointerId, event);
    apart = distance(fingers);
    dragged = 0;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    const before = fingers.get(event.pointerId);
    if (before === undefined) return;
    fingers.set(event.pointerId, event);
    if (fingers.size === 2) {
      const now = distance(fingers);
      const steps = Math.trunc(Math.log(apart / now) / Math.log(PINCH));
      if (steps === 0) return;
      apart = now;
      dragged = Number.POSITIVE_INFINITY;
      view.zoom(steps, byteAt(event));
    } else {
      dragged += event.clientY - before.clientY;
      const rows = Math.trunc(dragged / view.cellHeight);
      if (rows === 0) return;
      dragged -= rows * view.cellHeight;
      view.scroll(-rows);
    }
    changed();
  });
  const lifted = (event: PointerEvent) => {
    const known = fingers.delete(event.pointerId);
    const at = byteAt(event);
    if (!known || event.type === 'pointercancel' || Math.abs(dragged) > 4 || at === undefined) return;
    view.point(at);
    changed();
  };
  canvas.addEventListener('pointerup', lifted);
  canvas.addEventListener('pointercancel', lifted);
  canvas.addEventListener('dblclick', (event) => {
    view.zoom(-1, byteAt(event));
    changed();
  });
}

function distance(fingers: ReadonlyMap<number, PointerEvent>): number {
  const [a, b] = [...fingers.values()];
  return a && b ? Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)) : 1;
}
