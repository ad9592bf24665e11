/** What an element may be given. Texts become text, whatever they say: nothing here is ever parsed as HTML. */
export type Child = Node | string | number | false | undefined | readonly Child[];

type Value = string | number | boolean | undefined;
type Listener = (event: never) => unknown;

/** Attributes by their names; a function is a listener for the event of that name, and `true` an attribute without a value. */
export type Props = Readonly<Record<string, Value | Listener>>;

/** Makes an element. A link leads within this page: images and callers say nothing that one could follow. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') element.addEventListener(name, value as EventListener);
    else if (name === 'href' && !String(value).startsWith('#')) throw new Error('links lead within the page');
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
}

function append(element: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : String(child));
  }
}

/** Puts other children in the place of those that are there. */
export function fill(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  append(element, children);
}

/** Has a screen reader say it, without moving anybody. */
export function say(text: string): void {
  const status = document.getElementById('status');
  if (status) status.textContent = text;
}

/** Terms and what they are; those that are `undefined` are left out. */
export function facts(rows: readonly (readonly [term: string, ...what: Child[]])[]): HTMLElement {
  const shown = rows.filter(([, ...what]) => what.some((each) => each !== undefined && each !== false));
  return h(
    'dl',
    { class: 'facts' },
    ...shown.map(([term, ...what]) => h('div', {}, h('dt', {}, term), h('dd', {}, ...what))),
  );
}

export function table(caption: string, head: readonly string[], rows: readonly (readonly Child[])[]): HTMLElement {
  const cells = (row: readonly Child[]) => h('tr', {}, ...row.map((cell) => h('td', {}, cell)));
  return h(
    'div',
    { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
    h(
      'table',
      {},
      h('caption', {}, caption),
      h('thead', {}, h('tr', {}, ...head.map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', {}, ...rows.map(cells)),
    ),
  );
}

let fields = 0;

/** A control with its label, and a hint. */
export function field(label: string, control: HTMLElement, hint?: string): HTMLElement {
  fields += 1;
  const id = `field-${fields}`;
  control.id = id;
  if (hint) control.setAttribute('aria-describedby', `${id}-hint`);
  return h(
    'div',
    { class: 'field' },
    h('label', { for: id }, label),
    control,
    hint !== undefined && h('p', { class: 'hint', id: `${id}-hint` }, hint),
  );
}
