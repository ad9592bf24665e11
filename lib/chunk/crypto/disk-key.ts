import type { DiskCipher } from '../../format/luks.ts';

/** All that is needed to decrypt an image's data, and a secret. Deriving it is dear, using it is not. */
export interface DiskKey extends DiskCipher {
  /**
   * Which sector a sector's IV is made from: that of the file that holds the data (LUKS), or that of the disk (AES).
   * Both count 512 bytes from 0.
   */
  readonly numbering: 'host' | 'guest';
  /** The key. For XTS the data's key, then the tweaks', each half of it. */
  readonly bytes: Uint8Array;
}
