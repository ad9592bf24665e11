import type { CheckReport } from '../answers.ts';
import { api } from '../api.ts';
import { facts, fill, h, say, table } from '../dom.ts';
import { count, percent } from '../format.ts';
import type { View } from '../main.ts';
import { findingMeaning, warningsView } from '../meanings.ts';
import { problemView } from '../problem.ts';
import { frame, meantBy } from './image-frame.ts';

const VERDICTS: Readonly<Record<CheckReport['unqcow']['verdict'], readonly [title: string, says: string]>> = {
  clean: ['Sound', 'Tables and reference counts say the same.'],
  leaks: [
    'Sound, with lost space',
    'Some clusters are counted that nothing uses. No data is affected; qemu-img check -r leaks gives the space back.',
  ],
  corrupt: [
    'Corrupt',
    'What is listed below contradicts itself. Take the image from a backup; qemu-img check -r all may mend a copy.',
  ],
  incomplete: ['Not wholly checked', 'Some of it could not be read.'],
};

/** Whether an image is sound: asked for by a button, since it reads all tables. */
export const checkView: View = (route, page, gone) => {
  const meant = meantBy(route);
  frame(page, 'check', meant);
  const deep = h('input', { type: 'checkbox', id: 'deep' });
  const button = h('button', { type: 'submit', class: 'primary' }, 'Check it');
  const result = h('div', { 'aria-busy': 'false' });
  const run = async (event: Event) => {
    event.preventDefault();
    button.disabled = true;
    fill(result, h('p', { class: 'busy' }, 'Reading all tables…'));
    say('Checking');
    try {
      const report = await api.check(meant, { deep: deep.checked ? 'true' : undefined });
      if (!gone.aborted) fill(result, reportView(report));
      say(`Checked: ${VERDICTS[report.unqcow.verdict][0]}`);
    } catch (error) {
      fill(result, problemView(error));
    }
    button.disabled = false;
  };
  page.append(
    h(
      'p',
      {},
      'Counts the references to every cluster and holds them against the image’s own counts, as qemu-img check does. Nothing is changed.',
    ),
    h(
      'form',
      { submit: run },
      h('p', {}, deep, ' ', h('label', { for: 'deep' }, 'Decompress every compressed cluster, too')),
      h('div', { class: 'buttons' }, button),
    ),
    result,
  );
};

function reportView(report: CheckReport): HTMLElement {
  const { verdict, findings, warnings } = report.unqcow;
  const [title, says] = VERDICTS[verdict];
  const [total = 0, allocated = 0] = [report['total-clusters'], report['allocated-clusters']];
  const rows = findings.map(({ code, message, at }) => [
    [findingMeaning(code), h('br'), h('code', { class: 'hint' }, code)],
    message,
    h('code', {}, at),
  ]);
  return h(
    'div',
    {},
    h('section', { class: `card verdict ${verdict}` }, h('h2', {}, title), h('p', {}, says)),
    findings.length > 0 &&
      h(
        'section',
        { class: 'card' },
        h('h2', {}, 'Findings'),
        h('p', { class: 'hint' }, 'The first of each kind.'),
        table('The first of each kind', ['what it means', 'what was found', 'where'], rows),
      ),
    warningsView(warnings),
    h(
      'section',
      { class: 'card' },
      h('h2', {}, 'Counted'),
      facts([
        ['Corruptions', count(report.corruptions ?? 0)],
        ['Leaked clusters', count(report.leaks ?? 0)],
        ['Errors', count(report['check-errors'])],
        ['Allocated', total > 0 && `${count(allocated)} of ${count(total)} clusters (${percent(allocated, total)})`],
        [
          'Fragmented',
          allocated > 0 &&
            `${count(report['fragmented-clusters'] ?? 0)} clusters (${percent(report['fragmented-clusters'] ?? 0, allocated)})`,
        ],
        ['Compressed', `${count(report['compressed-clusters'] ?? 0)} clusters`],
      ]),
    ),
  );
}
