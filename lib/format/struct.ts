/** A field of an on-disk structure: where it starts, in bytes, and how wide it is. All are big-endian. */
export type Field = readonly [offset: number, type: 'u8' | 'u16' | 'u32' | 'u64'];
export type Struct = Readonly<Record<string, Field>>;
/** What a structure reads as: u64 as bigint, since it may not fit a number; the rest as number. */
export type Read<S extends Struct> = { readonly [K in keyof S]: S[K][1] extends 'u64' ? bigint : number };

const READERS = {
  u8: (view: DataView, at: number) => view.getUint8(at),
  u16: (view: DataView, at: number) => view.getUint16(at),
  u32: (view: DataView, at: number) => view.getUint32(at),
  u64: (view: DataView, at: number) => view.getBigUint64(at),
};

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads the fields that `struct` names. The view must be long enough. */
export function readStruct<S extends Struct>(view: DataView, struct: S, base = 0): Read<S> {
  const entries = Object.entries(struct).map(([name, [offset, type]]) => [name, READERS[type](view, base + offset)]);
  return Object.fromEntries(entries) as Read<S>;
}
