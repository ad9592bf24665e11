import { headerOf } from '../checksums/algorithms.ts';
import type { Checksum } from '../store/records.ts';

/** The headers that tell an object's checksum, if it has one. */
export function checksumHeaders({ checksum }: { readonly checksum?: Checksum }): Record<string, string> {
  if (checksum === undefined) return {};
  return { [headerOf(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type };
}

/** The same as elements of an XML result. */
export function checksumElements({ checksum }: { readonly checksum?: Checksum }): Record<string, string> {
  if (checksum === undefined) return {};
  return { [`Checksum${checksum.algorithm}`]: checksum.value, ChecksumType: checksum.type };
}

/** A part's checksum, of the algorithm of its upload, as an element of an XML result. */
export function partElement(
  upload: { readonly checksum?: Omit<Checksum, 'value'> },
  part: { readonly checksum?: string },
): Record<string, string> {
  if (upload.checksum === undefined || part.checksum === undefined) return {};
  return { [`Checksum${upload.checksum.algorithm}`]: part.checksum };
}
