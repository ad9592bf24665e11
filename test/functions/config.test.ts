import { describe, expect, it } from 'vitest';
import { assertAllowed, forTenant, isAllowed } from '../../functions/_shared/allowed.ts';
import { readConfig } from '../../functions/_shared/config.ts';

const read = (more: Record<string, string> = {}) =>
  readConfig({
    UNQCOW_SOURCES: 's3://images/in/',
    UNQCOW_DESTINATIONS: 's3://raw/',
    UNQCOW_WORK: 's3://work/',
    ...more,
  });
const UPLOADS = { UNQCOW_UPLOAD_DESTINATION: 's3://raw/' };
const TENANTS = {
  UNQCOW_TENANT_CLAIM: 'tenant',
  UNQCOW_SOURCES: 's3://images/{tenant}/',
  UNQCOW_DESTINATIONS: 's3://raw/{tenant}/',
};

describe('a configuration', () => {
  it.each([
    ['as usual', {}],
    ['with uploads that convert themselves', UPLOADS],
    [
      'with both in one bucket, apart',
      {
        ...UPLOADS,
        UNQCOW_SOURCES: 's3://raw/in/',
        UNQCOW_DESTINATIONS: 's3://raw/out/',
        UNQCOW_UPLOAD_DESTINATION: 's3://raw/out/',
      },
    ],
    ['with both under one prefix, where nothing is triggered', { UNQCOW_DESTINATIONS: 's3://images/in/' }],
    ['with tenants', TENANTS],
    ['with tenants and uploads', { ...TENANTS, ...UPLOADS }],
  ])('%s is taken', (_, more) => {
    expect(() => read(more)).not.toThrow();
  });

  it.each([
    ['output could trigger', { ...UPLOADS, UNQCOW_DESTINATIONS: 's3://raw/,s3://images/in/out/' }, 'could trigger'],
    ['output could trigger from above', { ...UPLOADS, UNQCOW_DESTINATIONS: 's3://raw/,s3://images/' }, 'could trigger'],
    ['a tenant’s output could trigger', { ...TENANTS, ...UPLOADS, UNQCOW_SOURCES: 's3://raw/acme/' }, 'could trigger'],
    ['uploads go where nothing may', { UNQCOW_UPLOAD_DESTINATION: 's3://elsewhere/' }, 'uploads cannot'],
    ['callers could write to jobs’ records', { UNQCOW_WORK: 's3://raw/work/' }, 'jobs keep their records'],
    ['callers could read jobs’ records', { UNQCOW_WORK: 's3://images/' }, 'jobs keep their records'],
    ['no claim says whose', { ...TENANTS, UNQCOW_TENANT_CLAIM: '' }, 'UNQCOW_TENANT_CLAIM'],
    ['tenants could write to each other’s', { ...TENANTS, UNQCOW_DESTINATIONS: 's3://raw/' }, 'all tenants'],
    ['a tenant is half a segment', { ...TENANTS, UNQCOW_SOURCES: 's3://images/vms-{tenant}/' }, 'whole segment'],
  ])('in which %s is refused at start-up', (_, more, why) => {
    expect(() => read(more as unknown as Record<string, string>)).toThrow(why);
  });
});

it.each(['vms-{tenant}/', 'vms/{tenant}', 'vms/{tenant}-'])(
  'a configuration in which a tenant’s secrets are also another’s is refused at start-up: %s',
  (name) => {
    const secretsOf = (start: string) =>
      read({ UNQCOW_SECRETS: `arn:aws:secretsmanager:us-east-1:000000000000:secret:${start}` });
    expect(() => secretsOf(name)).toThrow('whole segment');
    expect(() => secretsOf('vms/{tenant}/')).not.toThrow();
  },
);

describe('an allowed place', () => {
  const places = [{ bucket: 'images', prefix: 'vms/{tenant}/' }];

  it.each([
    ['vms/acme/disk', true],
    ['vms/acme/a/b', true],
    ['vms/acme/', false],
    ['vms//disk', false],
    ['vms/../disk', false],
    ['vms/disk', false],
    ['other/acme/disk', false],
    ['xvms/acme/disk', false],
  ])('of any tenant has %s: %s', (key, there) => {
    expect(isAllowed(places, { bucket: 'images', key })).toBe(there);
    expect(isAllowed(places, { bucket: 'other', key })).toBe(false);
  });

  it('of one tenant has no other’s', () => {
    const own = forTenant(places, 'a.b');
    expect(isAllowed(own, { bucket: 'images', key: 'vms/a.b/disk' })).toBe(true);
    expect(() => assertAllowed(own, { bucket: 'images', key: 'vms/axb/disk' })).toThrow('not under an allowed prefix');
  });
});
