import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { imageBytes } from '../support/hostile.ts';
import { withSnapshots } from '../support/hostile-snapshots.ts';
import { noise } from '../support/qemu.ts';
import { type Console, qemuIn } from './use-console.ts';

/** Names that would be more than text where somebody parses them. */
export const HOSTILE = '<img src=x onerror=alert(1)>';

/** More snapshots than the API tells of at once. */
export const SNAPSHOTS = 1_003;

/** Puts the images that the tests look at where the console finds them, and returns the path of the one with most in it. */
export async function putImages({ folder, pipeline }: Console): Promise<string> {
  const qemu = qemuIn(folder);
  const io = (file: string, ...commands: string[]) =>
    qemu('qemu-io', ...commands.flatMap((each) => ['-c', each]), file);
  writeFileSync(join(folder, 'noise'), noise(1 << 20));
  qemu('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'lazy_refcounts=on', 'debian.qcow2', '64M');
  // Out of order, so that the file is not as the disk.
  io('debian.qcow2', 'write -P 1 40M 4M', 'write -P 2 0 3M', 'write -P 3 20M 2M', 'write -P 4 8M 128k');
  qemu('qemu-img', 'snapshot', '-c', 'before-upgrade', 'debian.qcow2');
  io('debian.qcow2', 'write -P 5 1M 1M', 'write -z 20M 1M', 'write -c -P 6 30M 2M');
  qemu('qemu-img', 'snapshot', '-c', HOSTILE, 'debian.qcow2');
  io('debian.qcow2', 'write -s noise 50M 1M', 'write -P 7 48M 64k');
  qemu('qemu-img', 'bitmap', '--add', 'debian.qcow2', 'nightly');
  qemu('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'debian.qcow2', '-F', 'qcow2', 'overlay.qcow2');
  io('overlay.qcow2', 'write -P 9 2M 2M');
  qemu('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'overlay.qcow2', '-F', 'qcow2', 'deep.qcow2');
  io('deep.qcow2', 'write -P 10 10M 1M');
  // Backed by themselves, by a name that leads elsewhere, and by what does not say what it is.
  qemu('qemu-img', 'create', '-q', '-u', '-f', 'qcow2', '-b', 'loop.qcow2', '-F', 'qcow2', 'itself.qcow2', '1M');
  qemu('qemu-img', 'create', '-q', '-u', '-f', 'qcow2', '-b', '../secret.raw', '-F', 'raw', 'outside.qcow2', '1M');
  qemu('qemu-img', 'create', '-q', '-u', '-f', 'qcow', '-b', 'debian.qcow2', '-F', 'qcow2', 'unsaid.qcow', '1M');
  writeFileSync(join(folder, 'absolute.qcow2'), imageBytes({ backing: '/srv/a,b', size: 64n << 20n, clusterBits: 16 }));
  const many = Array.from({ length: SNAPSHOTS }, (_, i) => ({ name: `daily ${i}` }));
  writeFileSync(join(folder, 'snapshots.qcow2'), imageBytes(withSnapshots(many)));
  writeFileSync(join(folder, 'notes.txt'), 'no image at all\n');
  qemu('qemu-img', 'create', '-q', '-f', 'qcow2', 'damaged.qcow2', '4M');
  io('damaged.qcow2', 'write -P 1 0 1M');
  await patch(join(folder, 'damaged.qcow2'), 0x20000 + 5 * 2, Buffer.of(0, 9));
  const put = (file: string, key: string) => pipeline.put(join(folder, file), key);
  await Promise.all([
    put('debian.qcow2', 'vms/debian.qcow2'),
    put('overlay.qcow2', 'vms/overlay.qcow2'),
    put('itself.qcow2', 'vms/loop.qcow2'),
    ...['outside.qcow2', 'unsaid.qcow', 'absolute.qcow2', 'snapshots.qcow2'].map((file) => put(file, `vms/${file}`)),
    put('deep.qcow2', 'vms/deep.qcow2'),
    put('damaged.qcow2', 'vms/damaged.qcow2'),
    put('overlay.qcow2', `odd/${HOSTILE}.qcow2`),
    put('notes.txt', 'notes.txt'),
  ]);
  return join(folder, 'debian.qcow2');
}

async function patch(path: string, at: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, at);
  await file.close();
}
