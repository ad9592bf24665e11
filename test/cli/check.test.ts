import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { qemuCheck } from '../check/support.ts';
import { AT, type ImageSpec, imageBytes } from '../support/hostile.ts';
import { qcow1Bytes } from '../support/hostile-v1.ts';
import { useQemu } from '../support/use-qemu.ts';
import { unqcow } from './run.ts';

const qemu = useQemu();

const LEAK = { patches: { [AT.refcountBlock + 14]: Uint8Array.of(0, 1) }, fileSize: 0x8000 };
const CORRUPT: ImageSpec = { patches: { [AT.refcountBlock + 10]: Uint8Array.of(0, 0) } };
const UNREADABLE: ImageSpec = { patches: { [AT.refcountTable + 6]: Uint8Array.of(0x22) } };

describe('unqcow check', () => {
  it.each([
    ['clean', {}, 0],
    ['leaks', LEAK, 3],
    ['corrupt', CORRUPT, 2],
    ['incomplete', UNREADABLE, 1],
  ] as const)('exits as qemu-img does, with the same answer: %s', async (verdict, spec, exit) => {
    const image = await qemu.imageOf(imageBytes(spec));
    const { code, stdout, stderr } = await unqcow(['check', '--json', image]);
    expect({ code, stderr }).toEqual({ code: exit, stderr: '' });
    const { unqcow: own, ...answer } = JSON.parse(stdout);
    const theirs = await qemuCheck(image);
    expect({ answer, code }).toEqual({ answer: theirs.answer, code: theirs.code });
    expect(own.verdict).toBe(verdict);
  });

  it('says it in lines without', async () => {
    const { code, stdout } = await unqcow(['check', '--deep', await qemu.imageOf(imageBytes(CORRUPT))]);
    expect(code).toBe(2);
    expect(stdout.split('\n')).toEqual([
      'corrupt: COPIED_FLAG_WRONG: the copied flag is set, but the refcount of 20480 is 0 (l2[0][0])',
      'corrupt: REFCOUNT_TOO_LOW: the refcount of cluster 5 is 0, and there are 1 references to it (file[20480])',
      'corrupt: data may be corrupt, or may become so by writing to the image; 2 corruptions',
      '2 of 16 clusters allocated (12.50 %), 0.00 % of them fragmented, 0.00 % compressed, image end offset 28672',
      expect.stringMatching(/^0 compressed clusters decompressed; read 28 KiB in 1 requests, /),
      '',
    ]);
  });

  it('checks version 1, which qemu-img cannot', async () => {
    const path = join(qemu.folder, 'disk.qcow');
    await writeFile(path, qcow1Bytes({ l2: [0x2000n, 0x2000n] }));
    const { code, stdout } = await unqcow(['check', '--json', path]);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      format: 'qcow',
      corruptions: 1,
      unqcow: { counts: { CLUSTER_SHARED: 1 } },
    });
    expect((await qemuCheck(path, ['-f', 'qcow'])).code).toBe(63);
  });

  it('refuses what cannot be checked by one JSON object on stderr', async () => {
    const image = await qemu.imageOf(imageBytes({ header: { refcountTableClusters: 0 } }));
    const { code, stdout, stderr } = await unqcow(['check', '--json', image]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(JSON.parse(stderr)).toMatchObject({ code: 'BAD_REFTABLE', at: 'header.refcount_table_offset' });
  });

  it('exits 2 when it is called wrongly', async () => {
    expect((await unqcow(['check'])).code).toBe(2);
    expect((await unqcow(['check', 'disk', '--memory', '0'])).code).toBe(2);
  });
});
