import { describe, expect, it } from 'vitest';
import { allows, type Statement } from './support/policy.ts';

const statement = (more: Partial<Statement> = {}): Statement => ({
  Sid: 'Read',
  Effect: 'Allow',
  Action: ['s3:GetObject'],
  Resource: ['arn:aws:s3:::disks/vms/*'],
  ...more,
});
const object = (key: string, action = 's3:GetObject') => ({ action, resource: `arn:aws:s3:::${key}` });
const READ = object('disks/vms/one');

describe('a policy', () => {
  it.each([
    [READ, true],
    [object('disks/vms/a/b/c'), true],
    [object('disks/vms/'), true],
    [object('disks/vms'), false],
    [object('disks/vms-2/one'), false],
    [object('DISKS/vms/one'), false],
    [object('not-disks/vms/one'), false],
    [object('disks/vms/one', 'S3:getobject'), true],
    [object('disks/vms/one', 's3:GetObjectVersion'), false],
    [object('disks/vms/one', 's3:PutObject'), false],
  ])('allows what one of its statements does: %j is %j', (asked, expected) => {
    expect(allows([statement({ Sid: 'Other', Action: ['s3:ListBucket'] }), statement()], asked)).toBe(expected);
  });

  it('allows nothing by itself, and nothing that a statement denies, wherever that stands', () => {
    expect(allows([], READ)).toBe(false);
    const deny = statement({ Effect: 'Deny', Resource: ['*'] });
    expect(allows([deny, statement()], READ)).toBe(false);
    expect(allows([statement(), deny], READ)).toBe(false);
    expect(allows([statement(), { ...deny, Resource: ['arn:aws:s3:::else/*'] }], READ)).toBe(true);
  });

  it.each([
    ['s3:Get*', 'arn:aws:s3:::disks/*/one', true],
    ['s3:Get??ject', 'arn:aws:s3:::disks/vm?/one', true],
    ['s3:Get?ject', '*', false],
    ['*', 'arn:aws:s3:::disks/vm?one', false],
    ['s3:GetObject', 'arn.aws:s3:::disks/vms/one', false],
  ])('has wildcards: %s on %s is %j', (action, resource, expected) => {
    expect(allows([statement({ Action: [action], Resource: [resource] })], READ)).toBe(expected);
  });

  const via = (operator: string, ...values: string[]) => statement({ Condition: { [operator]: { via: values } } });
  it.each([
    [via('StringEquals', 'a', 'b'), { via: 'b' }, true],
    [via('StringEquals', 'a', 'b'), { via: 'c' }, false],
    [via('StringEquals', 'a*'), { via: 'ab' }, false],
    [via('StringLike', 'a*'), { via: 'ab' }, true],
    [via('StringLike', 'a*'), { via: 'ba' }, false],
    [via('StringLike', '*'), {}, false],
    [statement({ Condition: { StringEquals: { via: 'a' }, StringLike: { by: 'b*' } } }), { via: 'a' }, false],
    [statement({ Condition: { StringEquals: { via: 'a' }, StringLike: { by: 'b*' } } }), { via: 'a', by: 'b' }, true],
  ])('keeps to conditions, all of them: %j with %j is %j', (each, context, expected) => {
    expect(allows([each], READ, context)).toBe(expected);
  });

  it.each([
    ['NotAction', { NotAction: ['s3:PutObject'] }],
    ['ArnLike', via('ArnLike', '*')],
    ['Permit', { Effect: 'Permit' }],
    ['a policy variable', { Resource: [`arn:aws:s3:::disks/${'$'}{aws:username}/*`] }],
  ])('is not evaluated with what is not understood: %s', (what, more) => {
    expect(() => allows([statement(more as Partial<Statement>)], READ)).toThrow(`Read: ${what} is not evaluated here`);
  });
});
