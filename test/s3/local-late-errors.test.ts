import { CopyObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { refusal } from './support/refusal.ts';
import { useLocalS3 } from './support/use-local-s3.ts';
import { targetKind } from './target.ts';

// AWS sends 200 before it knows how a copy or a completion will end, and says the rest in the body.
describe.runIf(targetKind === 'ours')('a 200 with an error in its body', () => {
  const s3 = useLocalS3();

  it('before Complete leaves the upload open: it can be completed again', async () => {
    await s3.restart({ lateError: failing(1, 'CompleteMultipartUpload', 'before') });
    const upload = await s3.upload('again');
    const parts = [await upload.part(1, Buffer.from('x'))];
    expect(await refusal(upload.complete(parts))).toMatch(/InternalError$/);
    expect(await refusal(s3.get('again'))).toBe('404 NoSuchKey');
    await upload.complete(parts);
    expect((await s3.get('again')).body.toString()).toBe('x');
  });

  it('after Complete leaves the object there, and no upload', async () => {
    await s3.restart({ lateError: failing(1, 'CompleteMultipartUpload', 'after') });
    const upload = await s3.upload('done');
    const parts = [await upload.part(1, Buffer.from('x'))];
    expect(await refusal(upload.complete(parts))).toMatch(/InternalError$/);
    expect(await refusal(upload.complete(parts))).toBe('404 NoSuchUpload');
    expect((await s3.get('done')).body.toString()).toBe('x');
  });

  it('comes from both kinds of copy too', async () => {
    await s3.put('source', 'x');
    await s3.restart({ lateError: (operation) => (operation === 'CompleteMultipartUpload' ? undefined : 'before') });
    const CopySource = `${s3.bucket}/source`;
    const copy = s3.client.send(new CopyObjectCommand({ Bucket: s3.bucket, Key: 'copy', CopySource }));
    expect(await refusal(copy)).toMatch(/InternalError$/);
    const upload = await s3.upload('part-copy');
    expect(await refusal(upload.copy(1, CopySource))).toMatch(/InternalError$/);
    expect((await upload.parts()).Parts ?? []).toEqual([]);
  });

  it('names the request that it asks about', async () => {
    const asked: string[][] = [];
    await s3.restart({ lateError: (...of) => void asked.push(of) });
    await s3.put('not/asked', 'x');
    const upload = await s3.upload('asked/about');
    await upload.complete([await upload.part(1, Buffer.from('x'))]);
    expect(asked).toEqual([['CompleteMultipartUpload', s3.bucket, 'asked/about']]);
  });

  /** Fails so many requests, and no more. */
  function failing(times: number, operation: string, when: 'before' | 'after') {
    let left = times;
    return (asked: string) => {
      if (asked !== operation || left === 0) return undefined;
      left -= 1;
      return when;
    };
  }
});
