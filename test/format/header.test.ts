import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parseHeader } from '../../lib/format/header.ts';
import { openImage } from '../../lib/format/image.ts';
import { EXT, imageBytes } from '../support/hostile.ts';
import { openBytes, refusalOf } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();

const parse = (bytes: Uint8Array) =>
  parseHeader(bytes, bytes.length, ({ code }) => {
    throw new Error(code);
  });

describe('a qcow2 header', () => {
  it.each([
    ['clusters-512', 9],
    ['clusters-4k', 12],
    ['clusters-64k', 16],
    ['clusters-2m', 21],
  ] as const)('of version 3 reads as qemu-img wrote it: %s', async (name, clusterBits) => {
    const header = parse(await readFile(await qemu.image(name)));
    const { 'virtual-size': size } = await qemu.info(await qemu.image(name));
    expect(header).toMatchObject({
      version: 3,
      clusterBits,
      size: BigInt(size as number),
      cryptMethod: 0,
      incompatibleFeatures: 0n,
      refcountOrder: 4,
      headerLength: 112,
      compressionType: 0,
    });
  });

  it('of version 2 ignores the bytes where version 3 has feature bits', () => {
    const image = imageBytes({ version: 2, extensions: [{ type: EXT.unknown, data: Buffer.alloc(64, 0xff) }] });
    expect(Buffer.from(image).readBigUInt64BE(80)).toBe(2n ** 64n - 1n); // the extension's payload
    expect(parse(image)).toMatchObject({
      version: 2,
      incompatibleFeatures: 0n,
      compatibleFeatures: 0n,
      autoclearFeatures: 0n,
      refcountOrder: 4,
      headerLength: 72,
      compressionType: 0,
    });
  });

  it('keeps every digit of 64-bit fields', () => {
    const fields = { snapshotsOffset: 2n ** 63n + 1n, autoclearFeatures: 2n ** 53n + 1n };
    expect(parse(imageBytes({ header: fields }))).toMatchObject(fields);
  });

  it('has no compression type where it ends at byte 104', () => {
    expect(parse(imageBytes({ header: { headerLength: 104, compressionType: 1 } })).compressionType).toBe(0);
  });
});

describe('a file that is no QCOW', () => {
  const file = (at: number, signature: string) =>
    Buffer.concat([Buffer.alloc(at), Buffer.from(signature, 'latin1')], 40_000);

  it.each([
    ['gzip', 0, '\x1f\x8b\x08'],
    ['xz', 0, '\xfd7zXZ\0'],
    ['zstd', 0, '\x28\xb5\x2f\xfd'],
    ['bzip2', 0, 'BZh9'],
    ['zip', 0, 'PK\x03\x04'],
    ['tar', 257, 'ustar'],
    ['VMDK', 0, 'KDMV'],
    ['VMDK', 0, '# Disk DescriptorFile'],
    ['VHD', 0, 'conectix'],
    ['VHDX', 0, 'vhdxfile'],
    ['VDI', 64, '\x7f\x10\xda\xbe'],
    ['QED', 0, 'QED\0'],
    ['LUKS', 0, 'LUKS\xba\xbe'],
    ['ISO 9660', 0x8001, 'CD001'],
  ])('is refused by its own name: %s', async (name, at, signature) => {
    const refusal = await refusalOf(openImage(openBytes(file(at, signature))));
    expect(refusal).toMatchObject({ code: 'NOT_QCOW', at: 'header.magic' });
    expect(refusal?.message).toMatch(new RegExp(`this is ${name}$`));
  });

  it.each(['vmdk', 'vdi', 'vpc', 'vhdx', 'qed'])('is known as qemu-img writes it: %s', async (format) => {
    const image = await qemu.other(format);
    const refusal = await refusalOf(openImage(openBytes(await readFile(image))));
    expect(refusal?.code).toBe('NOT_QCOW');
    expect(refusal?.message).toMatch(/this is (VMDK|VDI|VHD|VHDX|QED)$/);
  });

  it('and of no known format either is refused without a guess', async () => {
    const refusal = await refusalOf(openImage(openBytes(Buffer.alloc(70_000))));
    expect(refusal?.message).toBe('the file does not start with "QFI\\xfb"');
  });
});
