import type { Conversion } from '../answers.ts';
import { api, Refusal } from '../api.ts';
import { facts, field, fill, h, say } from '../dom.ts';
import { count, date, duration, formatBytes, percent, size } from '../format.ts';
import type { View } from '../main.ts';
import { warningsView } from '../meanings.ts';
import { problemView } from '../problem.ts';
import { to } from '../routes.ts';
import { knownConversions, rememberConversion } from '../session.ts';
import { PartsPicture } from './parts.ts';

/** Milliseconds between two looks; they grow while nothing changes. */
const SOON = 1_000;
const LATE = 10_000;

/** The conversions that this tab knows, and any by its id. */
export const conversionsView: View = (_route, page) => {
  const id = h('input', { type: 'text', required: true, spellcheck: 'false', autocomplete: 'off' });
  const submit = (event: Event) => {
    event.preventDefault();
    location.hash = to('conversion', { id: id.value.trim() });
  };
  const known = knownConversions();
  fill(
    page,
    h('h1', {}, 'Conversions'),
    h(
      'form',
      { submit, class: 'row' },
      field('Follow one by its id', id),
      h('div', { class: 'buttons' }, h('button', { type: 'submit' }, 'Follow')),
    ),
    h('h2', {}, 'Of this tab'),
    known.length === 0 && h('p', {}, 'None yet: an image’s page starts one.'),
    h(
      'ul',
      { class: 'list' },
      ...known.map((each) => h('li', {}, h('a', { href: to('conversion', { id: each }) }, h('code', {}, each)))),
    ),
  );
};

const TITLES: Readonly<Record<Conversion['state'], string>> = {
  running: 'Converting',
  succeeded: 'Converted',
  failed: 'Failed',
  stopped: 'Stopped',
};

/** One conversion, followed to its end. */
export const conversionView: View = async ({ query }, page, gone) => {
  const id = query.get('id') ?? '';
  const heading = h('h1', {}, 'Conversion');
  const [state, end] = [h('div'), h('div')];
  const parts = new PartsPicture();
  const pace = new Pace();
  const stop = h('button', { type: 'button', class: 'danger' }, 'Stop it');
  stop.addEventListener('click', async () => {
    stop.disabled = true;
    await api.stop(id).catch((error) => end.append(problemView(error)));
  });
  fill(
    page,
    heading,
    h('p', {}, h('code', { class: 'wrap' }, id)),
    state,
    parts.element,
    h('div', { class: 'buttons' }, stop),
    end,
  );
  const show = (conversion: Conversion) => {
    heading.textContent = TITLES[conversion.state];
    fill(state, stateView(conversion, pace.of(conversion)));
    parts.show(conversion);
    if (conversion.state === 'running') return;
    stop.remove();
    fill(end, endView(conversion));
    say(TITLES[conversion.state]);
  };
  const first = await api.conversion(id);
  rememberConversion(id);
  if (gone.aborted) return;
  show(first);
  if (first.state === 'running') void follow(id, show, gone).catch((error) => end.append(problemView(error)));
};

async function follow(id: string, show: (conversion: Conversion) => void, gone: AbortSignal): Promise<void> {
  let wait = SOON;
  let done: number | undefined;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (gone.aborted) return;
    const conversion = await api.conversion(id).catch(passing);
    if (gone.aborted) return;
    if (conversion === undefined) {
      wait = LATE;
      continue;
    }
    show(conversion);
    if (conversion.state !== 'running') return;
    wait = conversion.parts?.done === done ? Math.min(LATE, wait * 1.5) : SOON;
    done = conversion.parts?.done;
  }
}

/** What may be over at the next look. */
function passing(error: unknown): undefined {
  if (error instanceof Refusal && (error.status === 0 || error.status === 429 || error.status >= 500)) return undefined;
  throw error;
}

/** How fast a conversion goes, by what came between the first look and the last. */
class Pace {
  #first: { readonly at: number; readonly done: number } | undefined;

  of({ state, bytes }: Conversion): string | undefined {
    if (state !== 'running' || bytes === undefined) return undefined;
    const now = { at: performance.now(), done: bytes.done };
    this.#first ??= now;
    const rate = (1000 * (now.done - this.#first.done)) / Math.max(1, now.at - this.#first.at);
    if (rate <= 0) return undefined;
    return `${formatBytes(Math.round(rate))}/s, about ${duration(bytes.left / rate)} to go`;
  }
}

function stateView({ source, destination, startedAt, endedAt, bytes }: Conversion, pace?: string): HTMLElement {
  const urlOf = (place: { bucket: string; key: string } | undefined) =>
    place && h('code', { class: 'wrap' }, `s3://${place.bucket}/${place.key}`);
  const taken = endedAt && duration((Date.parse(endedAt) - Date.parse(startedAt)) / 1000);
  const told = facts([
    ['From', source && h('a', { href: to('image', { bucket: source.bucket, key: source.key }) }, urlOf(source))],
    ['To', urlOf(destination)],
    ['Started', date(Date.parse(startedAt))],
    ['Took', taken],
    [
      'Made',
      bytes && `${formatBytes(bytes.done)} of ${formatBytes(bytes.total)} (${percent(bytes.done, bytes.total)})`,
    ],
    ['Pace', pace],
  ]);
  const isWaiting = bytes === undefined && endedAt === undefined;
  const bar = bytes && h('progress', { max: Math.max(1, bytes.total), value: bytes.done, 'aria-label': 'Made so far' });
  const waiting =
    isWaiting && h('p', { class: 'hint' }, 'The plan is being made; or the disk is small, and made in one piece.');
  return h('section', { class: 'card' }, told, bar, waiting);
}

function endView({ result, problem }: Conversion): HTMLElement {
  if (problem) return problemView(new Refusal(problem.status, problem));
  const { crc32, proven, warnings } = result ?? { crc32: undefined, proven: false, warnings: [] };
  const proof = proven ? `${crc32}, which S3 checked itself` : crc32 && `${crc32}, not checked by the store`;
  return h(
    'div',
    {},
    h(
      'section',
      { class: 'card verdict clean' },
      h('h2', {}, 'The raw disk is there'),
      facts([
        ['Length', result && size(result.size)],
        ['CRC-32', proof],
        ['Parts', result?.parts && count(Object.values(result.parts).reduce((sum, each) => sum + each, 0))],
      ]),
    ),
    warningsView(warnings),
  );
}
