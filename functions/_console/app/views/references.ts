import type { ImageInfo } from '../answers.ts';
import { field, h } from '../dom.ts';
import { to } from '../routes.ts';
import type { Meant } from './image-frame.ts';

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
  const place = h('textarea', { rows: 2, spellcheck: 'false' });
  place.value = meant.place ?? '';
  const format = h('textarea', { rows: 2, spellcheck: 'false' });
  format.value = meant.backingFormat ?? '';
  const submit = (event: Event) => {
    event.preventDefault();
    const lines = { place: place.value.trim(), backingFormat: format.value.trim() };
    location.hash = to(name, { ...meant, allow: allow.value.trim(), ...lines });
  };
  return h(
    'details',
    { open: (meant.allow ?? meant.place ?? meant.backingFormat) !== undefined },
    h('summary', {}, 'Files that the image names'),
    h(
      'form',
      { submit, class: 'row' },
      field('May be opened under', allow, 'A prefix. Without one, no other file is opened.'),
      field(
        'Lie elsewhere',
        place,
        'NAME=s3://bucket/key, one a line: absolute names, and others that are not beside it.',
      ),
      field(
        'Formats of backing files',
        format,
        'Where they are not stated: raw, qcow or qcow2 for all, NAME=raw for one.',
      ),
      h('div', { class: 'buttons' }, h('button', { type: 'submit' }, 'Apply')),
    ),
  );
}
