import { backingKeys, type ImageInfo, type UnqcowInfo } from '../info.ts';
import { l1EntriesOf, l2TablesOf } from './geometry.ts';
import type { Qcow1Image } from './image.ts';

type Shared = Omit<ImageInfo, 'format' | 'format-specific' | 'backing-filename-format' | 'unqcow'>;

/** What `qemu-img info --output=json` says of a version 1 image; what it does not show is under `unqcow`. */
export interface Qcow1Info extends Shared {
  readonly format: 'qcow';
  /** `entries` follows from the disk's size: the header does not hold it. */
  readonly unqcow: Pick<UnqcowInfo, 'source' | 'version' | 'header' | 'l1' | 'warnings'>;
}

/** Says what is in an image, from what `openQcow1` read: costs nothing more. */
export function describeQcow1(image: Qcow1Image, filename: string): Qcow1Info {
  const { header, geometry, backing, source, warnings } = image;
  return {
    'virtual-size': header.size - (header.size % 512n),
    filename,
    'cluster-size': 2 ** header.clusterBits,
    format: 'qcow',
    'actual-size': source.size,
    ...(geometry.encrypted ? { encrypted: true } : {}),
    ...(backing === undefined ? {} : backingKeys(filename, backing)),
    'dirty-flag': false,
    unqcow: {
      source: source.id,
      version: header.version,
      header,
      l1: { offset: header.l1TableOffset, entries: l1EntriesOf(header), needed: l2TablesOf(geometry) },
      warnings: warnings.list(),
    },
  };
}
