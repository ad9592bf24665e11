/** What unqcow does where a real server does otherwise than AWS documents: the server, what it does, and what we do. */
const MEASURES: readonly (readonly [string, string, string])[] = [
  [
    'ceph, swift',
    'compute and check no CRC-32',
    'parts are known by ETag and length; the answer says `"proven": false`, and has no CRC-32 where parts were copied',
  ],
  ['ceph', 'ignores the ETag that a copy is pinned by', 'the image is checked by HEAD once more before Complete'],
  [
    'ceph',
    'ignores If-None-Match at Complete',
    'what is to be there is looked at before Complete; two writers at the same moment are not told apart',
  ],
  [
    'ceph',
    'calls an upload that is gone NoSuchKey, and answers 500 to its completion',
    'both names are taken for it; ListParts goes before Complete',
  ],
  ['ceph', 'decodes the source of a copy twice', 'an image with a `%` in its key is never copied from, but read'],
  ['ceph', 'leaves the quotes off the ETag of a copied part', 'they are put on'],
  [
    'ceph, swift',
    'take no trailers (411, 501)',
    'bodies are sent with their length and checksum in front; a disk whose parts must be streamed is `DESTINATION_LIMIT`',
  ],
  ['swift', 'answers 412 with the code InvalidRequest', 'the status counts, not the code'],
  [
    'swift',
    'refuses to copy by the right ETag, if the object was made in parts',
    'it is looked at by its ETag before and after a copy without',
  ],
  [
    'swift',
    'has no conditions on PutObject (501)',
    'what is to be there is looked at before; two writers at the same moment are not told apart',
  ],
  ['swift', 'takes no CRC-32 of a part at Complete (MalformedXML)', 'none is named that the store did not list'],
];

/** As a Markdown table. */
export function measures(): string {
  const rows = MEASURES.map((row) => `| ${row.join(' | ')} |`);
  return ['| server | what it does | what unqcow does |', '| --- | --- | --- |', ...rows].join('\n');
}
