import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const CLUSTER = 512;
const ENTRIES = CLUSTER / 8;

/** An image of clusters that are by turns said to be zeros and not allocated: each is a stretch of its own. Returns its path. */
export async function manyStretches(folder: string, stretches: number): Promise<string> {
  const tables = Math.ceil(stretches / ENTRIES);
  const l1 = CLUSTER;
  const l2 = l1 + Math.ceil((tables * 8) / CLUSTER) * CLUSTER;
  const image = Buffer.alloc(l2 + tables * CLUSTER);
  image.write('QFI\u00fb', 'latin1');
  image.writeUInt32BE(3, 4);
  image.writeUInt32BE(9, 20); // cluster bits
  image.writeBigUInt64BE(BigInt(stretches * CLUSTER), 24);
  image.writeUInt32BE(tables, 36);
  image.writeBigUInt64BE(BigInt(l1), 40);
  image.writeUInt32BE(4, 96); // refcount order
  image.writeUInt32BE(104, 100);
  for (let table = 0; table < tables; table += 1) {
    image.writeBigUInt64BE(BigInt(l2 + table * CLUSTER), l1 + table * 8);
    for (let entry = 0; entry < ENTRIES; entry += 2) image.writeBigUInt64BE(1n, l2 + table * CLUSTER + entry * 8);
  }
  const path = join(folder, 'many.qcow2');
  await writeFile(path, image);
  return path;
}
