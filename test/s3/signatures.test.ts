import { createHash } from 'node:crypto';
import { GetObjectCommand, ListBucketsCommand } from '@aws-sdk/client-s3';
import { describe, expect } from 'vitest';
import { refusal } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { send } from './support/send.ts';
import { useS3 } from './support/use-s3.ts';

const s3 = useS3();

describe('a request', () => {
  rule('with an unknown access key is InvalidAccessKeyId', 'error InvalidAccessKeyId', async () => {
    const client = s3.newClient({ credentials: { ...s3.target.credentials, accessKeyId: 'SOMEONEELSE' } });
    expect(await refusal(client.send(new ListBucketsCommand({})))).toBe('403 InvalidAccessKeyId');
  });

  rule('with a wrong secret is SignatureDoesNotMatch', 'error SignatureDoesNotMatch', async () => {
    const client = s3.newClient({ credentials: { ...s3.target.credentials, secretAccessKey: 'guessed' } });
    expect(await refusal(client.send(new GetObjectCommand({ Bucket: s3.bucket, Key: 'k' })))).toBe(
      '403 SignatureDoesNotMatch',
    );
    expect(await refusal(client.send(new ListBucketsCommand({})))).toBe('403 SignatureDoesNotMatch');
  });

  rule('without a signature is AccessDenied', 'error AccessDenied', async () => {
    const tamper = (headers: Record<string, string>) => delete headers.authorization;
    const { summary } = await send(s3.target, { method: 'GET', path: `/${s3.bucket}/k`, tamper });
    expect(summary).toBe('403 AccessDenied');
  });

  rule('signed more than 15 minutes ago or ahead is RequestTimeTooSkewed', 'error RequestTimeTooSkewed', async () => {
    for (const minutes of [-16, 16]) {
      const signedAt = new Date(Date.now() + minutes * 60_000);
      const { summary } = await send(s3.target, {
        method: 'GET',
        path: `/${s3.bucket}`,
        query: { location: '' },
        signedAt,
      });
      expect(summary).toBe('403 RequestTimeTooSkewed');
    }
  });

  rule('signed 14 minutes ago is answered', 'error RequestTimeTooSkewed', async () => {
    const signedAt = new Date(Date.now() - 14 * 60_000);
    expect(
      (await send(s3.target, { method: 'GET', path: `/${s3.bucket}`, query: { location: '' }, signedAt })).status,
    ).toBe(200);
  });

  rule('whose signed header was changed is SignatureDoesNotMatch', 'API/sig-v4-header-based-auth', async () => {
    const raw = { method: 'PUT', path: `/${s3.bucket}/tampered`, body: 'x', headers: { 'x-amz-meta-a': '1' } };
    const tamper = (headers: Record<string, string>) => {
      headers['x-amz-meta-a'] = '2';
    };
    expect((await send(s3.target, { ...raw, tamper })).summary).toBe('403 SignatureDoesNotMatch');
  });

  rule('with an x-amz header that is not signed is AccessDenied', 'API/sig-v4-header-based-auth', async () => {
    const tamper = (headers: Record<string, string>) => {
      headers['x-amz-meta-added'] = '1';
    };
    const { summary } = await send(s3.target, { method: 'PUT', path: `/${s3.bucket}/added`, body: 'x', tamper });
    expect(summary).toBe('403 AccessDenied');
  });

  rule('signed for another region is AuthorizationHeaderMalformed', 'error AuthorizationHeaderMalformed', async () => {
    const target = { ...s3.target, region: 'mars-north-1' };
    expect((await send(target, { method: 'GET', path: `/${s3.bucket}`, query: { location: '' } })).summary).toBe(
      '400 AuthorizationHeaderMalformed',
    );
  });

  rule(
    'whose body is not what was signed is XAmzContentSHA256Mismatch, and leaves nothing',
    'error XAmzContentSHA256Mismatch',
    async () => {
      const signed = createHash('sha256').update('signed').digest('hex');
      const raw = {
        method: 'PUT',
        path: `/${s3.bucket}/swapped`,
        body: 'tamper',
        headers: { 'x-amz-content-sha256': signed },
      };
      expect((await send(s3.target, raw)).summary).toBe('400 XAmzContentSHA256Mismatch');
      expect(await refusal(s3.get('swapped'))).toBe('404 NoSuchKey');
    },
  );

  rule('may leave its body unsigned', 'API/sig-v4-header-based-auth', async () => {
    expect((await send(s3.target, { method: 'PUT', path: `/${s3.bucket}/unsigned`, body: 'open' })).status).toBe(200);
    expect((await s3.get('unsigned')).body.toString()).toBe('open');
  });

  rule('for what is not there is refused before anything is said of it', 'API/sig-v4-header-based-auth', async () => {
    const client = s3.newClient({ credentials: { ...s3.target.credentials, secretAccessKey: 'guessed' } });
    const get = client.send(new GetObjectCommand({ Bucket: 'unqcow-no-such-bucket', Key: 'k' }));
    expect(await refusal(get)).toBe('403 SignatureDoesNotMatch');
  });
});
