import type { Header } from './header.ts';

/** qcow2.rst § Header, feature bits. Without all of the incompatible ones an image cannot be read. */
export const FEATURES = {
  incompatible: ['dirty', 'corrupt', 'external data file', 'compression type', 'extended L2 entries'],
  compatible: ['lazy refcounts'],
  autoclear: ['bitmaps', 'raw external data'],
} as const;
/** In the order of the numbers that a table of feature names has for them. */
export const FEATURE_KINDS = ['incompatible', 'compatible', 'autoclear'] as const;
export type FeatureKind = (typeof FEATURE_KINDS)[number];

export interface Features {
  readonly dirty: boolean;
  readonly corrupt: boolean;
  readonly dataFile: boolean;
  readonly compressionType: boolean;
  readonly extendedL2: boolean;
  readonly lazyRefcounts: boolean;
  readonly bitmaps: boolean;
  readonly rawDataFile: boolean;
  /** Incompatible bits that the specification did not define when this was written. */
  readonly unknownIncompatible: readonly number[];
}

export function featuresOf(header: Header): Features {
  const { incompatibleFeatures: incompatible, compatibleFeatures: compatible, autoclearFeatures: autoclear } = header;
  return {
    dirty: hasBit(incompatible, 0),
    corrupt: hasBit(incompatible, 1),
    dataFile: hasBit(incompatible, 2),
    compressionType: hasBit(incompatible, 3),
    extendedL2: hasBit(incompatible, 4),
    lazyRefcounts: hasBit(compatible, 0),
    bitmaps: hasBit(autoclear, 0),
    rawDataFile: hasBit(autoclear, 1),
    unknownIncompatible: bitsOf(incompatible).filter((bit) => bit >= FEATURES.incompatible.length),
  };
}

/** The numbers of the bits that are set, ascending. */
export function bitsOf(bits: bigint): number[] {
  return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => hasBit(bits, bit));
}

function hasBit(bits: bigint, bit: number): boolean {
  return ((bits >> BigInt(bit)) & 1n) === 1n;
}
