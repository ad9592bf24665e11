import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { MiB } from '../../lib/units.ts';
import { COPIED, imageBytes, u64s } from '../support/hostile.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();
const UNQCOW = fileURLToPath(new URL('../../bin/unqcow', import.meta.url));

/** Has the process say the most that it held, in KiB, as it ends. */
const TELLING = 'process.on(%22exit%22,()=>console.error(process.resourceUsage().maxRSS))';

/** Clusters of 512 bytes, every other one allocated: as many extents as there are clusters. One L2 table serves them all. */
function alternating(clusters: number): Uint8Array {
  const l1 = u64s(Array.from({ length: clusters / 64 }, () => COPIED | 0x800n));
  const at = 0x4000;
  return imageBytes({
    clusterBits: 9,
    size: BigInt(clusters) * 512n,
    header: { l1Size: clusters / 64, l1TableOffset: at },
    l2: Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? COPIED | 0xa00n : 0n)),
    data: [new Uint8Array(512).fill(1)],
    fileSize: at + l1.length,
    patches: { [at]: l1 },
  });
}

it('a map of two million extents is printed in bounded memory', async () => {
  const clusters = 2 ** 21;
  const image = join(qemu.folder, 'alternating.qcow2');
  await writeFile(image, alternating(clusters));
  const env = { ...process.env, NODE_OPTIONS: `--import=data:text/javascript,${TELLING}` };
  const child = spawn(UNQCOW, ['map', '--json', image], { stdio: ['ignore', 'pipe', 'pipe'], env });
  const stderr = text(child.stderr);
  let lines = 0;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>)
    for (const byte of chunk) if (byte === 10) lines += 1;
  expect(lines).toBe(clusters);
  // Node and our modules take 80 of it; the text alone is 250.
  expect(Number(await stderr) * 1024).toBeLessThan(400 * MiB);
});
