import { expect, it } from 'vitest';
import { describeRaw } from '../../lib/sink/s3-description.ts';
import { isMade, isProven } from '../../lib/sink/s3-made.ts';
import { completeUpload, crc32OfParts, createUpload, putPart } from '../../lib/sink/s3-multipart.ts';
import { headObject } from '../../lib/sink/s3-object.ts';
import { MiB } from '../../lib/units.ts';
import { distinctBytes, STORE, useStore } from '../support/store.ts';

const store = useStore();

it('an object that was put together out of parts is known by its CRC-32, and without one by their ETags', async () => {
  const { writer } = store.stores;
  const target = { bucket: store.s3.bucket, key: 'made' };
  const upload = await createUpload(writer, target, describeRaw({}));
  const bytes = distinctBytes(6 * MiB);
  const parts = [
    await putPart(writer, upload, 1, bytes.subarray(0, 5 * MiB)),
    await putPart(writer, upload, 2, bytes.subarray(5 * MiB)),
  ];
  const crc32 = crc32OfParts(parts);
  const size = bytes.length;
  await completeUpload(writer, upload, { parts, crc32: STORE.checksums ? crc32 : undefined, size });
  const object = await headObject(writer, target);
  if (!object) throw new Error('the object is not there');

  const etags = parts.map(({ etag }) => etag);
  const whole = { size, crc32, etags };
  const bare = { ...object, crc32: undefined };
  expect(isProven(object, whole)).toBe(STORE.checksums);
  expect(isMade(object, whole)).toBe(true);
  expect(isMade(bare, whole)).toBe(true);
  expect(isProven(bare, whole)).toBe(false);

  const others = [
    [undefined, whole],
    [{ ...bare, isOurs: false }, whole],
    [{ ...bare, size: size - 1 }, whole],
    [bare, { ...whole, size: size - 1 }],
    [bare, { ...whole, etags: etags.toReversed() }],
    [bare, { ...whole, etags: etags.slice(0, 1) }],
    [bare, { ...whole, etags: [] }],
    [bare, { ...whole, etags: ['"no-md5"', '"no-md5"'] }],
    [{ ...object, crc32: 'AAAAAA==' }, whole],
  ] as const;
  for (const [there, wanted] of others) expect(isMade(there, wanted)).toBe(false);
});
