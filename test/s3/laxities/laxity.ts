/** Servers that the suite runs against. `ours` is the one in `infra/local/s3`. */
export type Kind = 'ours' | 'ceph' | 'swift' | 'aws';

/** What real servers do instead of what AWS documents. Where both do, `because` says why ours does not. */
export type Laxity = Partial<Readonly<Record<Kind, string>>> & { readonly because?: string };

/** By the name of the rule. */
export type Laxities = Readonly<Record<string, Laxity>>;

/** The same laxity of several rules. */
export function each(names: readonly string[], laxity: Laxity): Laxities {
  return Object.fromEntries(names.map((name) => [name, laxity]));
}

export const ALGORITHMS = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const;
export const CRCS = ALGORITHMS.slice(0, 3);
