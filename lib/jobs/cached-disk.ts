import type { Disk } from '../format/layer.ts';
import type { ByteSource } from '../source/byte-source.ts';
import { type CacheLimits, cached } from '../source/cached.ts';
import { MiB } from '../units.ts';

/**
 * A disk for readers that come back to the same tables and clusters: each of its files is read through one cache.
 *
 * @param maxBytes Of all files together; each has an equal share of it.
 */
export function cachedDisk({ size, layers }: Disk, { maxBytes }: Required<Pick<CacheLimits, 'maxBytes'>>): Disk {
  const files = new Map<string, ByteSource>();
  // A file's tables may be cached already. Its clusters are not, so that they are where the cache belongs.
  for (const { source, data } of layers) for (const each of [source, data]) files.set(each.id, each);
  const share = { maxBytes: Math.floor(maxBytes / files.size) };
  for (const [id, file] of files) files.set(id, cached(file, share));
  const through = ({ id }: ByteSource) => files.get(id) as ByteSource;
  const cachedLayers = layers.map((layer) => ({ ...layer, source: through(layer.source), data: through(layer.data) }));
  return { size, layers: cachedLayers };
}

/** Bytes of tables that are kept of all backing files of a chain, and of one at most. */
const TABLES = { together: 256 * MiB, each: 16 * MiB };

/** Tables of a backing file are looked up piece by piece, between the pieces that the files above have: they are kept. */
export function withCachedTables<L extends { readonly source: ByteSource }>(layers: readonly L[]): L[] {
  const maxBytes = Math.min(TABLES.each, Math.floor(TABLES.together / layers.length));
  return layers.map((layer, i) => (i === 0 ? layer : { ...layer, source: cached(layer.source, { maxBytes }) }));
}
