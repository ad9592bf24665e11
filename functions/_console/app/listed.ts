import type { Listed } from './answers.ts';
import { type Child, fill, h, say } from './dom.ts';
import { count } from './format.ts';
import { problemView } from './problem.ts';

/** A list that goes on: what is known of it, and a button for its next page. */
export function listedView<T>(
  first: Listed<T>,
  next: (offset: number) => Promise<Listed<T> | undefined>,
  draw: (items: readonly T[]) => Child,
): HTMLElement {
  const [shown, trouble] = [h('div'), h('div')];
  const known = [...first.list];
  const said = h('span', { class: 'hint' });
  const button = h('button', { type: 'button' }, 'Show more');
  const more = h('div', { class: 'buttons more' }, button, said);
  let offset: number | undefined;
  const show = (page: Listed<T>) => {
    offset = page.next;
    fill(shown, draw(known));
    said.textContent = `${count(known.length)} of ${count(page.count)} are shown.`;
    if (offset === undefined) more.remove();
  };
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      const page = await next(offset ?? 0);
      if (page === undefined) throw new Error('the list is gone');
      known.push(...page.list);
      fill(trouble);
      show(page);
      say(`${count(known.length)} of ${count(page.count)} are shown`);
    } catch (error) {
      fill(trouble, problemView(error));
    }
    button.disabled = false;
  });
  const whole = h('div', {}, shown, more, trouble);
  show(first);
  return whole;
}
