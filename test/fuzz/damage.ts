import fc from 'fast-check';
import { type Structure, structuresOf } from './structures.ts';

/** Bytes that are put over others, and why. */
export interface Edit {
  readonly at: number;
  readonly hex: string;
  readonly what: string;
}

/** All that is wrong with an image. Serialisable: it is kept with a finding. */
export interface Damage {
  readonly edits: readonly Edit[];
  /** What the file is cut or grown to. */
  readonly size?: number | undefined;
}

export function damaged(image: Buffer, { edits, size = image.length }: Damage): Buffer {
  const bytes = Buffer.from(image);
  for (const { at, hex } of edits) Buffer.from(hex, 'hex').copy(bytes, at);
  return size <= bytes.length ? bytes.subarray(0, size) : Buffer.concat([bytes], size);
}

type Place = Structure & { readonly at: number };

/** Ways to damage an image: mostly its structures, one to four at a time, in the ways that readers go wrong by. */
export function damageTo(image: Buffer): fc.Arbitrary<Damage> {
  const structures = structuresOf(image);
  const hit = fc.oneof({ weight: 12, arbitrary: aimed(image, structures) }, { weight: 1, arbitrary: anywhere(image) });
  return fc.record({
    edits: fc.array(hit, { minLength: 1, maxLength: 4 }),
    size: fc.oneof(
      { weight: 12, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: sizes(image, structures) },
    ),
  });
}

/** A kind of structure first: there is one L1 table to a thousand clusters. */
function aimed(image: Buffer, structures: readonly Structure[]): fc.Arbitrary<Edit> {
  const byName = Map.groupBy(structures, ({ name, kind }) => (kind === 'field' ? 'header' : name));
  return fc
    .constantFrom(...byName.values())
    .chain((alike) => fc.constantFrom(...alike))
    .chain((structure) =>
      fc.nat(Math.ceil((structure.end - structure.start) / structure.unit) - 1).map(placeIn(structure)),
    )
    .chain((place) => editAt(image, place, structures));
}

const placeIn = (structure: Structure) => (index: number) => ({
  ...structure,
  at: structure.start + index * structure.unit,
});

function editAt(image: Buffer, place: Place, structures: readonly Structure[]): fc.Arbitrary<Edit> {
  const edit = (how: string) => (bytes: Uint8Array) => ({
    at: place.at,
    hex: Buffer.from(bytes).toString('hex'),
    what: `${place.name} +${place.at - place.start}: ${how}`,
  });
  const own = image.subarray(place.at, place.at + place.unit);
  const flip = fc.nat(place.unit * 8 - 1).map((bit) => {
    const bytes = Buffer.from(own);
    const byte = Math.min(bit >> 3, bytes.length - 1);
    bytes[byte] = (bytes[byte] as number) ^ (1 << (bit & 7));
    return edit(`bit ${bit} flipped`)(bytes);
  });
  const noise = fc.uint8Array({ minLength: 1, maxLength: Math.max(8, place.unit) }).map(edit('noise'));
  const value = values(image, structures).map((each) => edit(`${each}`)(asBytes(each, place.unit)));
  const other = fc
    .nat(Math.ceil((place.end - place.start) / place.unit) - 1)
    .map((index) => image.subarray(place.start + index * place.unit, place.start + (index + 1) * place.unit))
    .map(edit('another entry'));
  const run = fc
    .tuple(fc.constantFrom(0, 0xff), fc.integer({ min: 1, max: 64 }))
    .map(([byte, length]) => edit(`${length} bytes of ${byte}`)(Buffer.alloc(length, byte)));
  return place.unit > 1
    ? fc.oneof(flip, flip, value, value, value, other, noise, run)
    : fc.oneof(flip, flip, noise, other, run);
}

/** Numbers at the edges of what fields mean: of types, of the file, of its structures, with an entry's flags. */
function values(image: Buffer, structures: readonly Structure[]): fc.Arbitrary<bigint> {
  const edges = [
    0n,
    1n,
    2n,
    7n,
    8n,
    15n,
    16n,
    21n,
    22n,
    31n,
    63n,
    64n,
    72n,
    104n,
    112n,
    255n,
    511n,
    512n,
    1023n,
    1024n,
  ];
  const powers = fc
    .tuple(fc.integer({ min: 0, max: 64 }), fc.constantFrom(-1n, 0n, 1n))
    .map(([n, by]) => (1n << BigInt(n)) + by);
  const places = fc.constantFrom(
    ...structures.flatMap(({ start, end }) => [start, end, Math.ceil(end / 512) * 512]),
    image.length,
  );
  const near = fc
    .tuple(places, fc.constantFrom(0, 0, 0, 1, -1, 512, -512, 4096))
    .map(([at, by]) => BigInt(Math.max(0, at + by)));
  const flags = fc.constantFrom(0n, 1n << 63n, 1n << 62n, 3n << 62n, 1n, (1n << 63n) | 1n);
  const flagged = fc.tuple(near, flags).map(([offset, flag]) => offset | flag);
  return fc.oneof(fc.constantFrom(...edges), powers, near, flagged, flagged);
}

function asBytes(value: bigint, unit: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, value), 8);
  // An extended L2 entry has its bitmap behind the entry.
  return unit === 16 ? Buffer.concat([bytes.subarray(8), bytes.subarray(8)]) : bytes.subarray(16 - unit);
}

function anywhere(image: Buffer): fc.Arbitrary<Edit> {
  return fc
    .tuple(fc.nat(image.length - 1), fc.uint8Array({ minLength: 1, maxLength: 16 }))
    .map(([at, bytes]) => ({ at, hex: Buffer.from(bytes).toString('hex'), what: 'noise somewhere' }));
}

function sizes(image: Buffer, structures: readonly Structure[]): fc.Arbitrary<number> {
  const ends = fc.constantFrom(...structures.flatMap(({ start, end }) => [start, end - 1, end]));
  return fc.oneof(ends, fc.nat(image.length), fc.integer({ min: image.length, max: image.length + 70_000 }));
}
