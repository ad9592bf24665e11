import type { Checksum } from '../store/records.ts';

/** The headers that tell an object's checksum, if it has one. */
export function checksumHeaders({ checksum }: { readonly checksum?: Checksum }): Record<string, string> {
  if (checksum === undefined) return {};
  return {
    [`x-amz-checksum-${checksum.algorithm.toLowerCase()}`]: checksum.value,
    'x-amz-checksum-type': checksum.type,
  };
}

/** The same as elements of an XML result. */
export function checksumElements({ checksum }: { readonly checksum?: Checksum }): Record<string, string> {
  if (checksum === undefined) return {};
  return { [`Checksum${checksum.algorithm}`]: checksum.value, ChecksumType: checksum.type };
}
