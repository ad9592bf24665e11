import { field, fill, h, say } from '../dom.ts';
import type { View } from '../main.ts';
import { setToken, token } from '../session.ts';

/** Who one is to the API: a token that is pasted, and stays in this tab. */
export const accessView: View = (_route, page) => {
  const input = h('input', { type: 'password', autocomplete: 'off', spellcheck: 'false' });
  input.value = token();
  const state = h('p', { class: 'hint' });
  const tell = () => fill(state, token() ? 'Requests carry a token.' : 'Requests carry no token.');
  const keep = (text: string) => {
    setToken(text.trim().replace(/^Bearer\s+/i, ''));
    input.value = token();
    tell();
    say(state.textContent ?? '');
  };
  tell();
  const save = (event: Event) => {
    event.preventDefault();
    keep(input.value);
  };
  fill(
    page,
    h('h1', {}, 'Access'),
    h(
      'p',
      {},
      'Where the API asks for a token (a JWT of its issuer), paste one here. It is sent to this API only, and forgotten when the tab is closed.',
    ),
    h(
      'form',
      { submit: save },
      field('Token', input),
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'submit', class: 'primary' }, 'Use it'),
        h('button', { type: 'button', click: () => keep('') }, 'Forget it'),
      ),
    ),
    state,
    h(
      'p',
      {},
      'Where it asks for signed requests (AWS_IAM), run ',
      h('code', {}, 'bin/unqcow console --api URL'),
      ' on your machine, which signs them.',
    ),
  );
};
