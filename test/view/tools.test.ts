import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { useQemu } from '../support/use-qemu.ts';
import { serving } from './serving.ts';

const run = promisify(execFile);
const qemu = useQemu();
let image: string;
let raw: string;
beforeAll(async () => {
  await run('sh', ['test/view/setup.sh']);
  raw = join(qemu.folder, 'parted.raw');
  image = join(qemu.folder, 'parted.qcow2');
  await sh(
    `truncate -s 64M '${raw}' &&
     printf 'label: gpt\\nsize=20M, type=L\\nsize=8M, type=U\\n' | sfdisk -q '${raw}' &&
     mkfs.ext4 -q -E offset=1048576 '${raw}' 20M &&
     qemu-img convert -c -f raw -O qcow2 '${raw}' '${image}'`,
  );
}, 300_000);

/** Where file systems and partitions are made is not on everybody's PATH. */
async function sh(command: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
  const { stdout } = await run('bash', ['-o', 'pipefail', '-c', command], {
    cwd: qemu.folder,
    env: { ...process.env, ...env, PATH, IMAGE: image },
  });
  return stdout;
}

/** What the docs and `serve --help` say that one can do with the URL. */
describe('a raw disk that is served', () => {
  it.each([
    ['qemu-img compares it', 'qemu-img compare -f raw -F qcow2 "$URL" "$IMAGE"', /Images are identical/],
    [
      'nbdkit gives it to qemu-img over NBD',
      `nbdkit -U - -r curl url="$URL" --run 'qemu-img compare -f raw -F qcow2 "$uri" "$IMAGE"'`,
      /Images are identical/,
    ],
    ['nbdinfo says what it is', `nbdkit -U - -r curl url="$URL" --run 'nbdinfo "$uri"'`, /export-size: 67108864 /],
    ['file tells its boot sector', 'curl -s -r 0-65535 "$URL" | file -', /DOS\/MBR boot sector/],
    [
      'file tells the file system in a partition',
      'curl -s -r 1048576-1179647 "$URL" | file -',
      /Linux rev 1\.0 ext4 filesystem data/,
    ],
    [
      'partx lists its partitions',
      'curl -s -r 0-1048575 "$URL" > head && truncate -s 64M head && partx --show -g -o NR,START,SECTORS head',
      /1 +2048 +40960\n +2 +43008 +16384/,
    ],
  ])('%s', async (_, command, says) => {
    await serving([image], async (URL) => {
      expect(await sh(command, { URL })).toMatch(says);
    });
  });

  it('is copied whole by nbdcopy', async () => {
    await serving([image], async (URL) => {
      await sh(`nbdkit -U - -r curl url="$URL" --run 'nbdcopy "$uri" copy.raw'`, { URL });
    });
    expect((await readFile(join(qemu.folder, 'copy.raw'))).equals(await readFile(raw))).toBe(true);
  });
});
