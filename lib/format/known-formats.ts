interface Signature {
  readonly name: string;
  readonly at: number;
  readonly bytes: string;
}

/** Signatures of what people mistake for a QCOW, as Latin-1 text. */
const SIGNATURES: readonly Signature[] = [
  { name: 'gzip', at: 0, bytes: '\x1f\x8b' },
  { name: 'xz', at: 0, bytes: '\xfd7zXZ\0' },
  { name: 'zstd', at: 0, bytes: '\x28\xb5\x2f\xfd' },
  { name: 'bzip2', at: 0, bytes: 'BZh' },
  { name: 'zip', at: 0, bytes: 'PK\x03\x04' },
  { name: 'tar', at: 257, bytes: 'ustar' },
  { name: 'VMDK', at: 0, bytes: 'KDMV' },
  { name: 'VMDK', at: 0, bytes: '# Disk DescriptorFile' },
  { name: 'VHD', at: 0, bytes: 'conectix' },
  { name: 'VHDX', at: 0, bytes: 'vhdxfile' },
  { name: 'VDI', at: 0x40, bytes: '\x7f\x10\xda\xbe' },
  { name: 'QED', at: 0, bytes: 'QED\0' },
  { name: 'LUKS', at: 0, bytes: 'LUKS\xba\xbe' },
  { name: 'ISO 9660', at: 0x8001, bytes: 'CD001' },
];

/** Names the format that a file's first bytes show, or nothing. */
export function knownFormat(head: Uint8Array): string | undefined {
  const text = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  return SIGNATURES.find(({ at, bytes }) => text.subarray(at, at + bytes.length).equals(Buffer.from(bytes, 'latin1')))
    ?.name;
}
