import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Stores } from '../../lib/jobs/stores.ts';
import { crc32Of, fromBase64, toBase64 } from '../../lib/sink/crc32.ts';
import { IF_ABSENT } from '../../lib/sink/s3-condition.ts';
import { copyPart } from '../../lib/sink/s3-copy-part.ts';
import {
  abortUpload,
  completeUpload,
  crc32OfParts,
  createUpload,
  listParts,
  putPart,
} from '../../lib/sink/s3-multipart.ts';
import { headObject } from '../../lib/sink/s3-object.ts';
import type { CopySource, Receipt } from '../../lib/sink/s3-target.ts';
import { MiB } from '../../lib/units.ts';
import { alters, answers, answersText, isSilent, resets, resetsAfterwards, useFaultyS3 } from '../support/faulty-s3.ts';
import { distinctBytes, STORE, useStore } from '../support/store.ts';

const store = useStore();
const faulty = useFaultyS3(() => store.s3.target.endpoint);
let writer: Stores['writer'];
beforeAll(() => {
  writer = store.storesAt(faulty.endpoint).writer;
});

const part1 = distinctBytes(5 * MiB, 1);
const part2 = distinctBytes(1000, 2);
const whole = Buffer.concat([part1, part2]);
const KEYS = ['disk.raw', 'with space', 'a+b', 'ü/磁盘', '50%25', 'a//b', "it's (1)*!", '?versionId=1#2'];

const target = (key = 'disk.raw') => ({ bucket: store.s3.bucket, key });
const start = (key?: string) => createUpload(writer, target(key));
const withCode = (code: string) => expect.objectContaining({ code });
const bodyOf = async (key: string) => (await store.s3.get(key)).body;
const put = async (key: string, body: Buffer): Promise<CopySource> => ({
  ...target(key),
  etag: (await store.s3.put(key, body)).ETag ?? '',
});

/** No fault at all. */
const passes = alters((answer) => answer);

describe('an upload', () => {
  it.each(KEYS)('to the key %j makes that object of its parts, proven by their CRC-32s', async (key) => {
    const upload = await start(key);
    const parts = [await putPart(writer, upload, 1, part1), await putPart(writer, upload, 2, part2)];
    const crc32 = crc32OfParts(parts);
    expect(crc32).toBe(crc32Of(whole));
    await completeUpload(writer, upload, { parts, crc32, size: whole.length });
    expect((await bodyOf(key)).equals(whole)).toBe(true);
    const object = await headObject(writer, target(key));
    expect(object?.size).toBe(whole.length);
    if (STORE.checksums) expect(object?.crc32).toBe(toBase64(crc32Of(whole)));
    expect(await store.openUploads()).toEqual([]);
  });

  it('costs one request a part, one to begin and one to end', async () => {
    const upload = await start();
    const parts = [await putPart(writer, upload, 1, part2)];
    await completeUpload(writer, upload, { parts, crc32: crc32OfParts(parts), size: part2.length });
    expect(faulty.requests.map(({ method }) => method)).toEqual(['POST', 'PUT', 'POST']);
  });

  it('tells the store what it is to find: each part’s CRC-32, the object’s, its size, and that it is to be new', async () => {
    const upload = await start('told');
    const parts = [await putPart(writer, upload, 1, part2)];
    await completeUpload(writer, upload, { parts, crc32: crc32Of(part2), size: part2.length, condition: IF_ABSENT });
    const crc32 = toBase64(crc32Of(part2));
    expect(faulty.requests.map(({ headers }) => headers)).toMatchObject([
      { 'x-amz-checksum-algorithm': 'CRC32', 'x-amz-checksum-type': 'FULL_OBJECT' },
      { 'x-amz-checksum-crc32': crc32 },
      {
        'x-amz-checksum-crc32': crc32,
        'x-amz-checksum-type': 'FULL_OBJECT',
        'x-amz-mp-object-size': '1000',
        'if-none-match': '*',
      },
    ]);
  });

  it('has the parts that were put or copied, by number, with what the store gave for each', async () => {
    const upload = await start();
    const source = await put('source', whole);
    const third = await copyPart(writer, upload, 3, source, { start: 0, end: 5 * MiB });
    const first = await putPart(writer, upload, 1, part1);
    expect(first).toMatchObject({ number: 1, length: part1.length, crc32: toBase64(crc32Of(part1)) });
    expect(third).toMatchObject({ number: 3, length: 5 * MiB });
    const listed = await listParts(writer, upload);
    expect(listed.map(({ number, length }) => ({ number, length }))).toEqual([
      { number: 1, length: part1.length },
      { number: 3, length: 5 * MiB },
    ]);
    if (STORE.checksums) expect(listed).toEqual([first, third]);
    await abortUpload(writer, upload);
  });

  it('of no parts yet lists none', async () => {
    const upload = await start();
    expect(await listParts(writer, upload)).toEqual([]);
    await abortUpload(writer, upload);
  });

  it('lists more parts than fit on one page', async () => {
    const upload = await start();
    const numbers = [1, 2, 3, 4, 5];
    for (const number of numbers) await putPart(writer, upload, number, part2);
    // Five parts on pages of two: what 10,000 are on pages of 1,000.
    const page = (path: string) => path.includes('uploadId') && path.includes('part-number-marker');
    const small = withPagesOf(2);
    expect((await listParts(small, upload)).map(({ number }) => number)).toEqual(numbers);
    expect(faulty.requests.filter(({ path }) => page(path))).toHaveLength(2);
    await abortUpload(writer, upload);
  });

  it('takes the last of two parts of one number', async () => {
    const upload = await start('twice');
    await putPart(writer, upload, 1, part1);
    const parts = [await putPart(writer, upload, 1, part2)];
    await completeUpload(writer, upload, { parts, crc32: crc32Of(part2), size: part2.length });
    expect((await bodyOf('twice')).equals(part2)).toBe(true);
  });

  it('into a bucket that is not there is DESTINATION_NOT_FOUND', async () => {
    const bucket = `${store.s3.bucket}-2`;
    await expect(createUpload(writer, { bucket, key: 'k' })).rejects.toMatchObject({
      code: 'DESTINATION_NOT_FOUND',
      message: `there is no bucket ${bucket}`,
    });
  });
});

describe('a part that is copied', () => {
  it.each(KEYS.filter((key) => STORE.decodesCopySourceOnce || !/[%?]/.test(key)))(
    'from the key %j has that object’s bytes',
    async (key) => {
      const source = await put(`from/${key}`, whole);
      const upload = await start('copied');
      const parts = [await copyPart(writer, upload, 1, source, { start: 7, end: 5 * MiB + 7 })];
      if (STORE.checksums) expect(fromBase64(parts[0]?.crc32 ?? '')).toBe(crc32Of(whole.subarray(7, 5 * MiB + 7)));
      await completeUpload(writer, upload, { parts, crc32: crc32OfParts(parts), size: 5 * MiB });
      expect((await bodyOf('copied')).equals(whole.subarray(7, 5 * MiB + 7))).toBe(true);
    },
  );

  it('names the version of its source, encoded, and its ETag', async () => {
    const upload = await start();
    const source = { ...(await put('a+b/ü', whole)), versionId: 'v+1/2=' };
    faulty.reset();
    await copyPart(writer, upload, 1, source, { start: 0, end: 10 }).catch(() => undefined);
    expect(faulty.requests[0]?.headers).toMatchObject({
      'x-amz-copy-source': `${store.s3.bucket}/a%2Bb/%C3%BC?versionId=v%2B1%2F2%3D`,
      'x-amz-copy-source-range': 'bytes=0-9',
      'x-amz-copy-source-if-match': source.etag,
    });
    await abortUpload(writer, upload);
  });

  it.runIf(STORE.pinnedCopies)('from an object that was replaced is SOURCE_CHANGED', async () => {
    const source = await put('source', whole);
    await put('source', Buffer.concat([whole, part2]));
    const upload = await start();
    await expect(copyPart(writer, upload, 1, source, { start: 0, end: 10 })).rejects.toEqual(
      withCode('SOURCE_CHANGED'),
    );
    await abortUpload(writer, upload);
  });

  it('from an object that was deleted is SOURCE_CHANGED', async () => {
    const source = await put('deleted', whole);
    await store.s3.client.send(new DeleteObjectCommand({ Bucket: store.s3.bucket, Key: 'deleted' }));
    const upload = await start();
    await expect(copyPart(writer, upload, 1, source, { start: 0, end: 10 })).rejects.toEqual(
      withCode('SOURCE_CHANGED'),
    );
    await abortUpload(writer, upload);
  });

  describe('that was made in parts, from a store that refuses its very ETag', () => {
    const putInParts = async (key: string): Promise<CopySource> => {
      const upload = await start(key);
      const parts = [await putPart(writer, upload, 1, part1), await putPart(writer, upload, 2, part2)];
      await completeUpload(writer, upload, { parts, crc32: crc32OfParts(parts), size: whole.length });
      return { ...target(key), etag: (await headObject(writer, target(key)))?.etag ?? '' };
    };

    it('is looked at before and after it is copied without', async () => {
      const source = await putInParts('in-parts');
      const upload = await start();
      faulty.reset();
      faulty.next(answers(412, 'PreconditionFailed'));
      const receipt = await copyPart(writer, upload, 1, source, { start: 0, end: 5 * MiB });
      expect(faulty.requests.map(({ method }) => method)).toEqual(['PUT', 'HEAD', 'PUT', 'HEAD']);
      const [part] = await listParts(writer, upload);
      expect(part?.etag).toBe(receipt.etag);
      await abortUpload(writer, upload);
    });

    it.each([
      ['before it', [answers(412, 'PreconditionFailed')]],
      ['before it is looked at again', [passes, passes, answers(412, 'PreconditionFailed')]],
    ])('is SOURCE_CHANGED if it changes %s', async (_, later) => {
      const source = await putInParts('changes');
      const upload = await start();
      faulty.reset();
      faulty.next(answers(412, 'PreconditionFailed'), ...later);
      const copy = copyPart(writer, upload, 1, source, { start: 0, end: 5 * MiB });
      await expect(copy).rejects.toEqual(withCode('SOURCE_CHANGED'));
      await abortUpload(writer, upload);
    });
  });

  it('whose copy fails after the 200 has been sent is tried again', async () => {
    const source = await put('source', whole);
    const upload = await start();
    faulty.reset();
    faulty.next(failsLate('InternalError'));
    const receipt = await copyPart(writer, upload, 1, source, { start: 0, end: 5 * MiB });
    expect(receipt.etag).not.toBe('');
    expect(faulty.requests).toHaveLength(2);
    await abortUpload(writer, upload);
  });

  it('whose pin fails after the 200 has been sent is SOURCE_CHANGED', async () => {
    const source = await put('source', whole);
    const upload = await start();
    faulty.next(...Array(5).fill(failsLate('PreconditionFailed')));
    const copy = copyPart(writer, upload, 1, source, { start: 0, end: 5 * MiB });
    await expect(copy).rejects.toEqual(withCode('SOURCE_CHANGED'));
    await abortUpload(writer, upload);
  });
});

/** S3 begins to answer before a long copy or completion is done, and may have to take it back. */
const failsLate = (code: string) =>
  alters((answer) => ({
    ...answer,
    headers: { 'content-type': 'application/xml' },
    body: Buffer.from(`<?xml version="1.0"?>\n\n<Error><Code>${code}</Code><Message>late</Message></Error>`),
  }));

describe('what a store may say to a part', () => {
  it.runIf(STORE.checksums)('that came as other bytes: CHECKSUM_MISMATCH', async () => {
    const upload = await start();
    const header = { name: 'x-amz-checksum-crc32', value: toBase64(1) };
    const liar = withHeader(header.name, header.value);
    await expect(putPart(liar, upload, 1, part2)).rejects.toEqual(withCode('CHECKSUM_MISMATCH'));
    expect(await listParts(writer, upload)).toEqual([]);
    await abortUpload(writer, upload);
  });

  it('503 SlowDown, a gateway’s 502 and a reset pass: it is sent again', async () => {
    const upload = await start();
    faulty.reset();
    faulty.next(answers(503, 'SlowDown'), answersText(502, '<hr>'), resets, resetsAfterwards);
    const receipt = await putPart(writer, upload, 1, part1);
    expect(faulty.requests).toHaveLength(5);
    const [listed] = await listParts(writer, upload);
    expect(listed).toMatchObject({ number: 1, length: receipt.length, etag: receipt.etag });
    await abortUpload(writer, upload);
  });

  it('503 each time: DESTINATION_UNAVAILABLE after five attempts', async () => {
    const upload = await start();
    faulty.reset();
    faulty.next(...Array(5).fill(answers(500, 'InternalError')));
    await expect(putPart(writer, upload, 1, part2)).rejects.toEqual(withCode('DESTINATION_UNAVAILABLE'));
    expect(faulty.requests).toHaveLength(5);
    await abortUpload(writer, upload);
  });

  it('403: DESTINATION_DENIED at once', async () => {
    const upload = await start();
    faulty.reset();
    faulty.next(answers(403, 'AccessDenied'));
    await expect(putPart(writer, upload, 1, part2)).rejects.toEqual(withCode('DESTINATION_DENIED'));
    expect(faulty.requests).toHaveLength(1);
    await abortUpload(writer, upload);
  });

  it.each(['put', 'copied'] as const)(
    'nothing, and the caller leaves while it is %s: the signal’s reason',
    async (how) => {
      const source = await put('source', whole);
      const upload = await start();
      const { signal, abort } = abortable();
      faulty.reset();
      faulty.next(isSilent);
      const made =
        how === 'put'
          ? putPart(writer, upload, 1, part2, signal)
          : copyPart(writer, upload, 1, source, { start: 0, end: 10 }, signal);
      const outcome = made.catch((reason: unknown) => reason);
      await expect.poll(() => faulty.requests.length, { timeout: 10_000 }).toBe(1);
      abort(new Error('not wanted any more'));
      expect(await outcome).toBe(signal.reason);
      await expect.poll(() => faulty.requests[0]?.hungUp, { timeout: 10_000 }).toBe(true);
      await abortUpload(writer, upload);
    },
  );
});

describe('completing', () => {
  const ready = async (key?: string) => {
    const upload = await start(key);
    const parts = [await putPart(writer, upload, 1, part1), await putPart(writer, upload, 2, part2)];
    return { upload, parts, completion: { parts, crc32: crc32Of(whole), size: whole.length } };
  };

  it.runIf(STORE.checksums)('with another CRC-32 than the object’s is CHECKSUM_MISMATCH, and makes none', async () => {
    const { upload, completion } = await ready('wrong');
    await expect(completeUpload(writer, upload, { ...completion, crc32: 1 })).rejects.toEqual(
      withCode('CHECKSUM_MISMATCH'),
    );
    expect(await headObject(writer, target('wrong'))).toBeUndefined();
    await abortUpload(writer, upload);
  });

  it('without a CRC-32 makes the object all the same', async () => {
    const { upload, completion } = await ready('unproven');
    await completeUpload(writer, upload, { ...completion, crc32: undefined });
    expect((await bodyOf('unproven')).equals(whole)).toBe(true);
  });

  it('with a part that the store does not have is RECEIPTS_MISMATCH', async () => {
    const { upload, parts, completion } = await ready();
    const wrong: Receipt[] = [
      ...parts.slice(0, 1),
      { number: 2, length: 1000, etag: '"00000000000000000000000000000000"' },
    ];
    await expect(completeUpload(writer, upload, { ...completion, parts: wrong, crc32: undefined })).rejects.toEqual(
      withCode('RECEIPTS_MISMATCH'),
    );
    await abortUpload(writer, upload);
  });

  it('with a part that is too small, and not the last, is RECEIPTS_MISMATCH', async () => {
    const upload = await start();
    const parts = [await putPart(writer, upload, 1, part2), await putPart(writer, upload, 2, part2)];
    const completion = { parts, crc32: crc32OfParts(parts), size: 2000 };
    await expect(completeUpload(writer, upload, completion)).rejects.toEqual(withCode('RECEIPTS_MISMATCH'));
    await abortUpload(writer, upload);
  });

  it.runIf(STORE.conditionalComplete)(
    'over an object that is not to be overwritten is DESTINATION_EXISTS',
    async () => {
      await put('there', part2);
      const { upload, completion } = await ready('there');
      await expect(completeUpload(writer, upload, { ...completion, condition: IF_ABSENT })).rejects.toEqual(
        withCode('DESTINATION_EXISTS'),
      );
      expect((await bodyOf('there')).equals(part2)).toBe(true);
      await abortUpload(writer, upload);
    },
  );

  it('fails after the 200 has been sent: it is tried again', async () => {
    const { upload, completion } = await ready('late');
    faulty.reset();
    faulty.next({ kind: 'answer', status: 200, body: '<Error><Code>InternalError</Code><Message>x</Message></Error>' });
    await completeUpload(writer, upload, completion);
    expect(faulty.requests).toHaveLength(2);
    expect((await bodyOf('late')).equals(whole)).toBe(true);
  });

  it('whose condition fails after the 200 has been sent is DESTINATION_EXISTS', async () => {
    const { upload, completion } = await ready('late condition');
    const late = '<Error><Code>PreconditionFailed</Code><Message>x</Message></Error>';
    faulty.next(...Array(5).fill({ kind: 'answer', status: 200, body: late }));
    await expect(completeUpload(writer, upload, { ...completion, condition: IF_ABSENT })).rejects.toEqual(
      withCode('DESTINATION_EXISTS'),
    );
    await abortUpload(writer, upload);
  });

  // Ceph does not say.
  it.runIf(STORE.checksums)('says which object it has made', async () => {
    const { upload, completion } = await ready('made');
    const written = await completeUpload(writer, upload, completion);
    expect(written?.etag).toBe((await headObject(writer, target('made')))?.etag);
  });

  it.runIf(STORE.knowsGoneUploads)('what is gone is UPLOAD_GONE', async () => {
    const { upload, completion } = await ready();
    await abortUpload(writer, upload);
    await expect(completeUpload(writer, upload, completion)).rejects.toEqual(withCode('UPLOAD_GONE'));
  });
});

describe('an upload that was aborted', () => {
  it('is gone: no part of it is left, and none is taken', async () => {
    const source = await put('source', whole);
    const upload = await start('gone');
    await putPart(writer, upload, 1, part1);
    await abortUpload(writer, upload);
    expect(await store.openUploads()).toEqual([]);
    await expect(putPart(writer, upload, 2, part2)).rejects.toEqual(withCode('UPLOAD_GONE'));
    await expect(copyPart(writer, upload, 2, source, { start: 0, end: 10 })).rejects.toEqual(withCode('UPLOAD_GONE'));
    await expect(listParts(writer, upload)).rejects.toEqual(withCode('UPLOAD_GONE'));
  });

  it('may be aborted again, and so may one that was completed', async () => {
    const upload = await start();
    await abortUpload(writer, upload);
    await abortUpload(writer, upload);
    const other = await start('kept');
    const parts = [await putPart(writer, other, 1, part2)];
    await completeUpload(writer, other, { parts, crc32: undefined, size: part2.length });
    await abortUpload(writer, other);
    expect((await bodyOf('kept')).equals(part2)).toBe(true);
  });

  it('costs two requests: the abort, and a look whether it holds', async () => {
    const upload = await start();
    faulty.reset();
    await abortUpload(writer, upload);
    expect(faulty.requests.map(({ method }) => method)).toEqual(['DELETE', 'GET']);
  });

  it('is aborted once more where a late part brought it back', async () => {
    const upload = await start();
    faulty.reset();
    faulty.next({ kind: 'answer', status: 204, body: '' });
    await abortUpload(writer, upload);
    expect(faulty.requests.map(({ method }) => method)).toEqual(['DELETE', 'GET', 'DELETE', 'GET']);
    expect(await store.openUploads()).toEqual([]);
  });

  it('and stays, whatever is done, is DESTINATION_UNAVAILABLE', async () => {
    const upload = await start();
    faulty.reset();
    faulty.when(({ method }) => method === 'DELETE', ...Array(5).fill({ kind: 'answer', status: 204, body: '' }));
    await expect(abortUpload(writer, upload)).rejects.toEqual(withCode('DESTINATION_UNAVAILABLE'));
    await abortUpload(writer, upload);
  });
});

function abortable() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason: unknown) => controller.abort(reason) };
}

/** A client that changes what it sends: one header, before it is signed. */
function withHeader(name: string, value: string): Stores['writer'] {
  return changed((request) => {
    request.headers[name] = value;
  });
}

/** A client that asks for pages of so many. */
function withPagesOf(items: number): Stores['writer'] {
  return changed((request) => {
    request.query['max-parts'] = String(items);
  });
}

function changed(change: (request: { headers: Record<string, string>; query: Record<string, string> }) => void) {
  const client = store.s3.newClient({ endpoint: faulty.endpoint });
  client.middlewareStack.add(
    (next) => (args) => {
      change(args.request as Parameters<typeof change>[0]);
      return next(args);
    },
    { step: 'build', priority: 'low' },
  );
  return client;
}
