import type { ConversionRequest, EstimateAnswer } from '../answers.ts';
import { api } from '../api.ts';
import { facts, field, fill, h, say } from '../dom.ts';
import { dollars, duration, formatBytes, size } from '../format.ts';
import type { View } from '../main.ts';
import { problemView } from '../problem.ts';
import { to } from '../routes.ts';
import { rememberConversion } from '../session.ts';
import { frame, gateOf, type Meant, meantBy, snapshotNote } from './image-frame.ts';
import { referencesForm } from './references.ts';

/** Starts a conversion: first what it would take, then the button that starts it. */
export const convertView: View = async (route, page, gone) => {
  const meant = meantBy(route);
  frame(page, 'convert', meant);
  const [info, { destinations }] = await Promise.all([api.image(meant), api.places()]);
  if (gone.aborted) return;
  page.append(snapshotNote(meant), referencesForm('convert', meant, info));
  const place = h(
    'select',
    { required: true },
    ...destinations.map(({ bucket, prefix }, i) => h('option', { value: i }, `s3://${bucket}/${prefix}`)),
  );
  const chosen = () => destinations[Number(place.value)] ?? { bucket: '', prefix: '' };
  const key = h('input', { type: 'text', required: true, spellcheck: 'false', autocomplete: 'off' });
  const suggest = () => {
    key.value = `${chosen().prefix}${meant.key.replace(/\.qcow2?$/i, '')}.raw`;
  };
  place.addEventListener('change', suggest);
  suggest();
  const replace = h('input', { type: 'checkbox', id: 'replace' });
  const result = h('div');
  const request = (): ConversionRequest =>
    requestOf(meant, { bucket: chosen().bucket, key: key.value }, replace.checked);
  const estimate = async (event: Event) => {
    event.preventDefault();
    fill(result, h('p', { class: 'busy' }, 'Reading the tables…'));
    say('Estimating');
    try {
      const asked = request();
      const answer = await api.estimate(asked);
      if (gone.aborted) return;
      fill(
        result,
        estimateView(answer, (button) => start(asked, button, result)),
      );
      say('The estimate is there');
    } catch (error) {
      fill(result, problemView(error));
    }
  };
  page.append(
    h(
      'form',
      { submit: estimate, input: () => fill(result) },
      h('div', { class: 'row' }, field('Under', place), field('Key of the raw disk', key)),
      h('p', {}, replace, ' ', h('label', { for: 'replace' }, 'Replace what is there')),
      h('div', { class: 'buttons' }, h('button', { type: 'submit' }, 'What would it take?')),
    ),
    result,
  );
};

function requestOf(meant: Meant, destination: ConversionRequest['destination'], overwrite: boolean): ConversionRequest {
  const { bucket, key, snapshot } = meant;
  return { source: { bucket, key }, destination, snapshot, gate: gateOf(meant), options: { overwrite } };
}

function estimateView(
  { size: bytes, estimate }: EstimateAnswer,
  begin: (button: HTMLButtonElement) => void,
): HTMLElement {
  const { seconds, bytes: moved, dollars: cost } = estimate;
  const button = h('button', { type: 'button', class: 'primary' }, 'Convert');
  button.addEventListener('click', () => begin(button));
  return h(
    'section',
    { class: 'card' },
    h('h2', {}, 'A forecast, not a promise'),
    facts([
      ['Raw disk', size(bytes)],
      ['Time', `about ${duration(seconds.total)}`],
      ['Price', `about ${dollars(cost.total)}, and ${dollars(cost.storagePerMonth)} a month for the raw disk`],
      [
        'Through workers',
        `${formatBytes(Math.round(moved.read))} read, ${formatBytes(Math.round(moved.uploaded))} uploaded`,
      ],
      ['Copied within S3', formatBytes(Math.round(moved.copied))],
    ]),
    h('div', { class: 'buttons' }, button),
  );
}

async function start(request: ConversionRequest, button: HTMLButtonElement, result: HTMLElement): Promise<void> {
  button.disabled = true;
  try {
    const { id } = await api.convert(request);
    rememberConversion(id);
    location.hash = to('conversion', { id });
  } catch (error) {
    result.append(problemView(error));
    button.disabled = false;
  }
}
