import fc from 'fast-check';

/** Ways to write a separator, and a step up, that something between us and the bytes might understand. */
const SEPARATORS = ['/', '//', '\\', '%2f', '%2F', '%5c', '%252f', '\u2215', '\uff0f', '\u0000', '\u0000/', '/./', ':'];
const STEPS = [
  '..',
  '.',
  '...',
  '%2e%2e',
  '%2E.',
  '.%2e',
  '\uff0e\uff0e',
  '\u2024\u2024',
  '..\u0000',
  '.. ',
  ' ..',
  '..;',
];
const PLACES = [
  '',
  'etc',
  'passwd',
  'base',
  'in',
  'out',
  'BASE',
  'In',
  'bucket',
  'disk.qcow2',
  '~',
  'C:',
  '*',
  'a?b#c',
];
const SCHEMES = [
  '',
  '/',
  '//',
  '\\\\host\\',
  's3:',
  's3://bucket/',
  'S3://other/',
  'json:{"filename":"',
  'nbd:',
  'nbd+unix://',
  'http://169.254.169.254/',
  'HTTPS://host/',
  'file:',
  'file:///',
  'fat:rw:',
  'ssh://',
  'data:,',
  'arn:aws:s3:::bucket/',
];

/** Names that images may carry: plain ones, and those that want to lead elsewhere. */
export const hostileName = fc.oneof(
  fc
    .tuple(
      fc.oneof(fc.constant(''), fc.constantFrom(...SCHEMES)),
      fc.array(fc.tuple(fc.constantFrom(...STEPS, ...PLACES), fc.constantFrom(...SEPARATORS)), { maxLength: 4 }),
      fc.constantFrom(...STEPS, ...PLACES),
    )
    .map(([scheme, middle, end]) => scheme + middle.flat().join('') + end),
  fc.string({ unit: 'binary', maxLength: 12 }),
);
