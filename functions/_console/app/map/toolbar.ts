import { h } from '../dom.ts';
import type { Order } from './disk-map.ts';
import type { Colouring } from './picture.ts';
import type { Viewport } from './viewport.ts';

interface Actions {
  readonly order: (order: Order) => void;
  readonly colouring: (colouring: Colouring) => void;
  readonly changed: () => void;
}

/** Everything that keys and wheel do, as buttons, and where to go by number. */
export function toolbar(view: Viewport, { order, colouring, changed }: Actions): HTMLElement {
  const zoom = (label: string, name: string, act: () => void) => {
    const click = () => {
      act();
      changed();
    };
    return h('button', { type: 'button', 'aria-label': name, title: name, click }, label);
  };
  return h(
    'div',
    { class: 'toolbar' },
    choice('Order', { guest: 'disk', host: 'file' }, order),
    choice('Colours', { kind: 'what it is', place: 'where it lies' }, colouring),
    h(
      'div',
      { class: 'buttons', role: 'group', 'aria-label': 'Zoom' },
      zoom('−', 'Zoom out', () => view.zoom(1)),
      zoom('+', 'Zoom in', () => view.zoom(-1)),
      zoom('All', 'Show all', () => view.whole()),
      zoom('One', 'Show one cluster', () => view.zoom(Number.NEGATIVE_INFINITY)),
    ),
    goTo(view, changed),
  );
}

let groups = 0;

function choice<T extends string>(legend: string, options: Readonly<Record<T, string>>, chosen: (value: T) => void) {
  groups += 1;
  const inputs = (Object.entries(options) as [T, string][]).map(([value, label], i) => {
    const change = () => chosen(value);
    return h(
      'label',
      {},
      h('input', { type: 'radio', name: `choice-${groups}`, value, checked: i === 0, change }),
      label,
    );
  });
  return h('fieldset', { class: 'choice' }, h('legend', {}, legend), ...inputs);
}

function goTo(view: Viewport, changed: () => void): HTMLElement {
  const input = h('input', {
    type: 'text',
    inputmode: 'text',
    'aria-label': 'Offset to go to',
    placeholder: '0x… or bytes',
    size: 14,
  });
  const submit = (event: Event) => {
    event.preventDefault();
    const at = Number(input.value.trim());
    const isOffset = input.value.trim() !== '' && Number.isSafeInteger(at) && at >= 0 && at < view.length;
    input.setAttribute('aria-invalid', String(!isOffset));
    if (!isOffset) return;
    view.point(at);
    changed();
  };
  return h('form', { submit, class: 'goto' }, input, h('button', { type: 'submit' }, 'Go'));
}
