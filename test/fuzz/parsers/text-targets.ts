import { zstdCompressSync } from 'node:zlib';
import { inflateCluster } from '../../../lib/chunk/inflate.ts';
import { unzstdCluster } from '../../../lib/chunk/zstd.ts';
import { isWholeText, qemuText } from '../../../lib/format/qemu-text.ts';
import { CLOSED, resolve } from '../../../lib/jobs/gate.ts';
import { parseLocation } from '../../../lib/source/location.ts';
import { deflated } from '../../support/hostile.ts';
import { assert, orRefuse, type Target } from './target.ts';

const CLUSTER = 4096;
const TEXT = Buffer.alloc(CLUSTER, 'text that compresses well ');

const inflating = (name: string, decompress: typeof inflateCluster, seeds: readonly Uint8Array[]): Target => ({
  name,
  seeds,
  async run(bytes) {
    const cluster = await orRefuse(() => decompress(bytes, CLUSTER, 'disk[0]'));
    if (cluster) assert(cluster.length === CLUSTER, 'what comes out is one cluster');
  },
});

const text: Target = {
  name: 'text',
  seeds: [Buffer.from('plain'), Buffer.from('ünïcödé 😀'), Buffer.from('c080eda080f4908080', 'hex')],
  async run(bytes) {
    const read = qemuText(bytes);
    assert(read.length <= bytes.length, 'text is no longer than its bytes');
    assert(read.isWellFormed(), 'text is well-formed');
    assert(!isWholeText(bytes) || Buffer.from(read).equals(bytes), 'whole text has all of its bytes');
  },
};

const FROM = { kind: 's3', bucket: 'images', key: 'in/folder/disk' } as const;

/** A name from inside an image, as its caller's gate takes it, and as an argument of a command line. */
const names: Target = {
  name: 'names',
  seeds: ['base', '../base', 's3://other/key', 'json:{}', 'a/b/c', '/etc/passwd', 's3://b/k?versionId=v'].map((each) =>
    Buffer.from(each),
  ),
  async run(bytes) {
    const name = qemuText(bytes);
    const gate = { ...CLOSED, allow: ['s3://images/in/'] };
    const place = await orRefuse(() => resolve(gate, FROM, name, 'at'));
    if (place) {
      assert(place.kind === 's3' && place.bucket === 'images' && place.key.startsWith('in/folder/'), 'it stays inside');
      assert(!name.split(/[/\\]/).includes('..'), 'it takes no step up');
    }
    assert((await orRefuse(() => resolve(CLOSED, FROM, name, 'at'))) === undefined, 'a closed gate lets nothing pass');
    await orRefuse(() => parseLocation(name));
  },
};

export const TEXT_TARGETS: readonly Target[] = [
  inflating('deflate', inflateCluster, [deflated(TEXT), deflated(TEXT.subarray(0, 100))]),
  inflating('zstd', unzstdCluster, [zstdCompressSync(TEXT), zstdCompressSync(TEXT.subarray(0, CLUSTER / 2))]),
  text,
  names,
];
