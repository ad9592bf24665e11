import type { ImageInfo } from '../answers.ts';
import { field, h } from '../dom.ts';
import { to } from '../routes.ts';
import type { Meant } from './image-frame.ts';

const FORMATS = ['', 'raw', 'qcow', 'qcow2'];

/**
 * Where files that the image names may be opened: closed unless it says something, and not there where it names none.
 * Asks for the page again.
 */
export function referencesForm(name: 'map' | 'convert' | 'view', meant: Meant, info: ImageInfo): HTMLElement | string {
  const dataFile = info['format-specific']?.data['data-file'];
  if (info['backing-filename'] === undefined && dataFile === undefined) return '';
  const allow = h('input', {
    type: 'text',
    placeholder: `s3://${meant.bucket}/`,
    spellcheck: 'false',
    autocomplete: 'off',
  });
  allow.value = meant.allow ?? '';
  const format = h('select', {}, ...FORMATS.map((each) => h('option', { value: each }, each || 'as stated')));
  format.value = meant.backingFormat ?? '';
  const submit = (event: Event) => {
    event.preventDefault();
    location.hash = to(name, { ...meant, allow: allow.value.trim(), backingFormat: format.value });
  };
  return h(
    'details',
    { open: meant.allow !== undefined },
    h('summary', {}, 'Files that the image names'),
    h(
      'form',
      { submit, class: 'row' },
      field('May be opened under', allow, 'A prefix. Without one, no other file is opened.'),
      field('Format of backing files', format),
      h('div', { class: 'buttons' }, h('button', { type: 'submit' }, 'Apply')),
    ),
  );
}
