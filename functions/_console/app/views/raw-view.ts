import type { ViewLink } from '../answers.ts';
import { api } from '../api.ts';
import { type Child, facts, field, fill, h, say } from '../dom.ts';
import { date } from '../format.ts';
import type { View } from '../main.ts';
import { problemView } from '../problem.ts';
import { frame, gateOf, meantBy, snapshotNote } from './image-frame.ts';
import { referencesForm } from './references.ts';

const LASTING = { 900: '15 minutes', 3600: 'an hour', 43200: '12 hours' } as const;

/** A link by which curl, QEMU and others read the disk as it is, unconverted: made when it is asked for. */
export const rawViewView: View = async (route, page, gone) => {
  const meant = meantBy(route);
  frame(page, 'view', meant);
  const info = await api.image(meant);
  if (gone.aborted) return;
  const lasting = h(
    'select',
    {},
    ...Object.entries(LASTING).map(([value, label]) => h('option', { value, selected: value === '3600' }, label)),
  );
  const button = h('button', { type: 'submit', class: 'primary' }, 'Make a link');
  const result = h('div');
  const make = async (event: Event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const { bucket, key, snapshot } = meant;
      const seconds = Number(lasting.value);
      const link = await api.view({ source: { bucket, key }, snapshot, gate: gateOf(meant), seconds });
      if (gone.aborted) return;
      fill(result, linkView(link));
      say('The link is there');
    } catch (error) {
      fill(result, problemView(error));
    }
    button.disabled = false;
  };
  page.append(
    snapshotNote(meant),
    h('p', {}, 'Reads the raw disk that the image means, without converting it. It is for looking into disks: ', slow),
    referencesForm('view', meant, info),
    h('form', { submit: make, class: 'row' }, field('Good for', lasting), h('div', { class: 'buttons' }, button)),
    result,
  );
};

const slow = 'past the first 6 MB of an answer it comes at 2 MB a second.';

const COMMANDS = [
  ['First sector', 'curl -s -r 0-511 "$URL" | xxd'],
  ['Length', 'qemu-img info -f raw "$URL"'],
  ['A copy', 'qemu-img convert -f raw "$URL" disk.raw'],
  ['Over NBD', 'nbdkit curl url="$URL" --run \'nbdinfo $uri\''],
] as const;

function linkView({ url, expires }: ViewLink): HTMLElement {
  const input = h('input', { type: 'text', readonly: true, spellcheck: 'false', value: url });
  input.addEventListener('focus', () => input.select());
  const said = h('span', { class: 'hint' });
  const copy = async () => {
    input.select();
    // Not where the page is not trusted: then it is selected, and one copies it oneself.
    const done = await navigator.clipboard?.writeText(url).then(
      () => true,
      () => false,
    );
    said.textContent = done ? 'It is copied.' : 'It is selected: copy it.';
    say(said.textContent);
  };
  const row = ([what, command]: readonly [string, string]): readonly [string, ...Child[]] => [
    what,
    h('code', { class: 'command' }, command),
  ];
  return h(
    'section',
    { class: 'card' },
    h('h2', {}, 'The link'),
    field('Whoever has it may read this disk, and needs nothing else', input),
    h('div', { class: 'buttons' }, h('button', { type: 'button', click: copy }, 'Copy'), said),
    facts([['Good until', date(Date.parse(expires))], ...COMMANDS.map(row)]),
  );
}
