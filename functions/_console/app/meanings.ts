import { FindingCodes, WarningCodes } from '../../../lib/errors.ts';
import type { Warning } from './answers.ts';
import { h } from './dom.ts';

const FEATURES: Readonly<Record<string, string>> = {
  dirty: 'It was not closed properly. Only reference counts can be affected, not what is on the disk.',
  corrupt: 'QEMU found damage and marked it. Check the image before you trust it.',
  'external data file': 'What is on the disk lies in another file; this one says where.',
  'compression type': 'Its compressed clusters are not deflate but what the header names (zstd).',
  'extended L2 entries': 'Each cluster has 32 parts that are allocated one by one, which saves copying.',
  'lazy refcounts': 'Reference counts are written late: faster, and mended after a crash.',
  bitmaps: 'It keeps bitmaps of what was changed, for incremental backups.',
  'raw external data': 'The other file is the raw disk itself, byte by byte.',
};

const KINDS: Readonly<Record<string, string>> = {
  incompatible: 'Who does not know this feature cannot read the image.',
  compatible: 'Who does not know this feature can use the image all the same.',
  autoclear: 'Who does not know this feature must clear its bit when writing.',
};

/** A feature in plain words. Its name may be the image's own, so it is looked up with care. */
export const featureMeaning = (kind: string, name: string): string =>
  (Object.hasOwn(FEATURES, name) && FEATURES[name]) || `Not known to us. ${KINDS[kind] ?? ''}`;

export const findingMeaning = (code: string): string =>
  Object.hasOwn(FindingCodes, code) ? FindingCodes[code as keyof typeof FindingCodes].means : code;

const warningMeaning = (code: string): string =>
  Object.hasOwn(WarningCodes, code) ? WarningCodes[code as keyof typeof WarningCodes] : code;

/** What is odd about an image without being able to change its bytes. */
export function warningsView(warnings: readonly Warning[]): HTMLElement | string {
  if (warnings.length === 0) return '';
  const item = ({ code, message, at }: Warning) =>
    h(
      'li',
      {},
      h('strong', {}, warningMeaning(code)),
      h('br'),
      message,
      at !== undefined && h('code', {}, ` ${at}`),
      h('span', { class: 'hint' }, ` ${code}`),
    );
  return h('section', { class: 'card warning' }, h('h2', {}, 'Warnings'), h('ul', {}, ...warnings.map(item)));
}
