import { adviceFor } from './advice.ts';
import { Refusal } from './api.ts';
import { h } from './dom.ts';

/** What a refusal means, what it says, and what to do. */
export function problemView(error: unknown): HTMLElement {
  if (!(error instanceof Refusal)) {
    return h(
      'section',
      { class: 'problem', role: 'alert' },
      h('h2', {}, 'The console failed'),
      h('p', {}, String(error)),
    );
  }
  const { code, title, message, at, status } = error;
  // `like this` in the API's words is code.
  const advice = adviceFor(error).split('`');
  return h(
    'section',
    { class: 'problem', role: 'alert' },
    h('h2', {}, title.charAt(0).toUpperCase() + title.slice(1)),
    h('p', {}, message, at !== undefined && ' — at ', at !== undefined && h('code', {}, at)),
    h(
      'p',
      {},
      h('strong', {}, 'What to do: '),
      advice.map((text, i) => (i % 2 === 1 ? h('code', {}, text) : text)),
    ),
    h('p', { class: 'hint' }, h('code', {}, code ?? 'no code'), status > 0 && ` · HTTP ${status}`),
  );
}
