import { open, readFile } from 'node:fs/promises';

const CHUNK = 16 * 1024 * 1024;

/** Whether a process of ours has these bytes anywhere in its memory that can be read. Linux only. */
export async function isInMemory(pid: number, wanted: Buffer): Promise<boolean> {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8');
  const memory = await open(`/proc/${pid}/mem`);
  const buffer = Buffer.alloc(CHUNK + wanted.length);
  try {
    for (const [, from = '', to = ''] of maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) r(?!.*\[v)/gm)) {
      const end = Number.parseInt(to, 16);
      // Chunks overlap, so that nothing lies across their borders unseen.
      for (let at = Number.parseInt(from, 16); at < end; at += CHUNK) {
        const length = Math.min(buffer.length, end - at);
        // What the kernel does not let anyone read, the process has not.
        const { bytesRead } = await memory.read(buffer, 0, length, at).catch(() => ({ bytesRead: 0 }));
        if (buffer.subarray(0, bytesRead).includes(wanted)) return true;
      }
    }
    return false;
  } finally {
    await memory.close();
  }
}
