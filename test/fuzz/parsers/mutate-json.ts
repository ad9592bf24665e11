/** Values that parsers of JSON trip over. */
const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  1e308,
  '',
  ' ',
  '..',
  '../x',
  '/',
  'a//b',
  '\u0000',
  '\ud800',
  '%2e%2e/',
  's3://secrets/in/disk.qcow2',
  's3://images/in/',
  's3://images/in/../out/',
  's3://images/out/',
  'images',
  'secrets',
  'raw',
  'work',
  'out/disk.qcow2',
  'in/disk.qcow2',
  'in/../out/disk.qcow2',
  'IN/disk.qcow2',
  'in/',
  'jobs/',
  '{tenant}',
  '__proto__',
  'x'.repeat(2000),
  [],
  {},
  [[[[]]]],
  { bucket: 'secrets', key: 'in/disk.qcow2' },
  { bucket: 'images', key: 'out/disk.qcow2' },
];

type Json = Record<string, unknown>;

/**
 * Another event out of a good one. The bytes are instructions, three to a change: where, how, and by which value. What they
 * mean does not depend on chance, so an input that showed something shows it again.
 */
export function mutatedJson(good: unknown, bytes: Uint8Array): unknown {
  const root = { event: structuredClone(good) };
  for (let at = 0; at + 3 <= bytes.length && at < 24; at += 3) {
    const [where = 0, how = 0, what = 0] = bytes.subarray(at);
    const places = placesIn(root);
    const { parent, key } = places[(where + 256 * (how >> 3)) % places.length] as Place;
    change(parent, key, how & 7, what, bytes.subarray(at + 3));
  }
  return root.event;
}

interface Place {
  readonly parent: Json;
  readonly key: string;
}

function placesIn(value: object): Place[] {
  return Object.entries(value).flatMap(([key, child]) => [
    { parent: value as Json, key },
    ...(typeof child === 'object' && child !== null ? placesIn(child) : []),
  ]);
}

function change(parent: Json, key: string, how: number, what: number, rest: Uint8Array): void {
  const value = VALUES[what % VALUES.length];
  const old = parent[key];
  if (how === 0 && key !== 'event') delete parent[key];
  else if (how === 1) parent[key] = Buffer.from(rest.subarray(0, what)).toString();
  else if (how === 2 && typeof old === 'string') parent[key] = old + String(value);
  else if (how === 3 && typeof old === 'string') parent[key] = String(value) + old;
  else if (how === 4 && typeof old === 'number') parent[key] = old + what - 128;
  else if (how === 5) parent[key] = [old, old];
  else if (how === 6 && typeof value === 'string' && value !== '__proto__') parent[value] = old;
  else parent[key] = structuredClone(value);
}
