import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ask } from '../http/ask.ts';
import { SMALL_PARTS, sixParts } from '../pipeline/small-world.ts';
import { executionOf, notification, STACK, usePipeline } from '../pipeline/use-pipeline.ts';
import { type Call, named, recordCalls } from './support/calls.ts';
import { readTemplate, VARIANTS } from './support/package.ts';
import { permissionsFor } from './support/permissions.ts';
import type { Permission, Statement } from './support/policy.ts';
import { type Role, rolesOf } from './support/roles.ts';
import { bucketsOf, deployed } from './support/template.ts';

const KEY = VARIANTS.confined.kmsKeyArn;
const plain = readTemplate('plain');
const buckets = bucketsOf(plain);
const stack = deployed(plain);
const roles = rolesOf(stack);
const confined = rolesOf(deployed(readTemplate('confined')));
const MACHINE = 'arn:aws:states:us-east-1:123456789012:stateMachine:unqcow-test';
const EXECUTION = 'arn:aws:states:us-east-1:123456789012:execution:unqcow-test:abc-1';

const SEALING = 'arn:aws:secretsmanager:us-east-1:123456789012:secret:unqcow-test-sealing-AbCdEf';

/** The role that the template gives to a function of `functions/`, or to the state machine. */
function roleOf(caller: string, of = roles): Role {
  const arn =
    caller === 'state-machine'
      ? stack.Conversion?.Properties.RoleArn
      : Object.values(stack).find(({ Properties }) => Properties.FunctionName === `unqcow-test-${caller}`)?.Properties
          .Role;
  const role = of.get(String(arn).replace(/^.*\/unqcow-test-/, ''));
  if (!role) throw new Error(`${caller} has no role`);
  return role;
}

// The tests of the pipeline, of the HTTP API and of raw views, over the real handlers: what they ask of AWS has to be allowed.
const calls = recordCalls();
STACK.options = { buckets, lambda: (name, create) => named(name, create()) };
await import('../pipeline/options.test.ts');
await import('../pipeline/encrypted.test.ts');
await import('../pipeline/sweep.test.ts');
await import('../http/conversions.test.ts');
await import('../view/links.test.ts');

describe('beside those tests', () => {
  const pipeline = usePipeline({ limits: SMALL_PARTS });
  const folder = mkdtempSync(join(tmpdir(), 'unqcow-roles-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('an image is uploaded, and again; images are listed, described, mapped and checked', async () => {
    const { path } = sixParts(folder, 'disk');
    expect(await pipeline.upload(path, 'disk.qcow2')).toMatchObject({ status: 'SUCCEEDED' });
    const event = await notification(pipeline.stores, buckets.images, 'disk.qcow2');
    const [again] = await pipeline.stack.trigger(event);
    await pipeline.stack.stepFunctions.wait(executionOf(again));
    expect(await pipeline.stack.trigger(event)).toMatchObject([{ outcome: 'done' }]);
    expect(await ask(pipeline, `/objects/${buckets.images}`)).toMatchObject({ status: 200 });
    for (const route of ['images', 'maps', 'checks']) {
      expect(await ask(pipeline, `/${route}/${buckets.images}/disk.qcow2`)).toMatchObject({ status: 200 });
      expect(await ask(pipeline, `/${route}/${buckets.images}/missing`)).toMatchObject({ status: 404 });
    }
  });
});

/** Passphrases lie where callers may name them, which is a parameter; the sealing secret is the stack's own. */
const [DISKS = ''] = VARIANTS.confined.secrets.split('{tenant}');
const secret = (local: string) => (local.includes(':secret:disks/') ? `${DISKS}one-AbCdEf` : SEALING);
const place = (call: Call) => permissionsFor(call, { machine: MACHINE, execution: EXECUTION, secret });
const unique = (permissions: readonly Permission[]) => [
  ...new Map(permissions.map((each) => [`${each.action} ${each.resource}`, each])).values(),
];
/** Of the stack's own buckets: that others are not to be had is what some of the tests are about. */
const isOurs = ({ bucket }: Call) => bucket === undefined || Object.values(buckets).includes(bucket);
const neededBy = (caller: string) =>
  unique(calls.filter((call) => call.caller === caller && isOurs(call)).flatMap(place));
const isPassphrase = ({ resource }: Permission) => resource.startsWith(DISKS);

/** Those of `permissions` that the role refuses, or that it allows. */
const where = (role: Role, permissions: readonly Permission[], allowed: boolean): string[] =>
  permissions.filter((each) => role.allows(each) === allowed).map(({ action, resource }) => `${action} on ${resource}`);

const CALLERS = [
  ...['plan', 'convert-whole', 'convert-part', 'complete', 'on-upload', 'sweep', 'state-machine'],
  ...['start-conversion', 'get-conversion', 'stop-conversion', 'get-image', 'get-map', 'check-image', 'list-objects'],
  ...['start-view', 'view-disk'],
];

describe('what was asked of AWS in the tests of the pipeline', () => {
  it('came from every function that they run, and from the state machine', () => {
    expect([...new Set(calls.map(({ caller }) => caller))].toSorted()).toEqual(CALLERS.toSorted());
    expect(calls.length).toBeGreaterThan(200);
    const operations = new Set(calls.map(({ operation }) => operation));
    for (const each of ['UploadPartCopy', 'ListParts', 'StartExecution', 'DescribeExecution', 'AbortMultipartUpload'])
      expect(operations).toContain(each);
  });

  it.each(CALLERS)('is allowed to %s, all of it', (caller) => {
    expect(neededBy(caller)).not.toEqual([]);
    expect(
      where(
        roleOf(caller),
        neededBy(caller).filter((each) => !isPassphrase(each)),
        false,
      ),
    ).toEqual([]);
  });

  it.each(CALLERS)('is not allowed to %s in anybody else’s buckets, nor with another state machine', (caller) => {
    const elsewhere = neededBy(caller).map(({ action, resource }) => ({
      action,
      resource: resource.replace('arn:aws:s3:::', 'arn:aws:s3:::not-').replace('unqcow-test', 'unqcow-prod'),
    }));
    expect(where(roleOf(caller), elsewhere, true)).toEqual([]);
  });

  it.each(CALLERS)('is allowed to %s under the prefixes that are set, and not beside them', (caller) => {
    const within = (resource: string, images: string, raw: string) =>
      resource
        .replace(`${buckets.images}/`, `${buckets.images}/${images}`)
        .replace(`${buckets.raw}/`, `${buckets.raw}/${raw}`);
    const role = roleOf(caller, confined);
    const moved = neededBy(caller).map(({ action, resource }) => ({
      action,
      resource: within(resource, 'vms/', 'disks/'),
    }));
    expect(where(role, moved, false)).toEqual([]);
    const beside = neededBy(caller).filter(({ resource }) => /-(images|raw)-[^/]*\//.test(resource));
    expect(
      where(
        role,
        beside.map((each) => ({ ...each, resource: within(each.resource, 'vm/', 'disk/') })),
        true,
      ),
    ).toEqual([]);
  });

  it.each(CALLERS)('is all that %s may do to objects', (caller) => {
    const used = new Set(neededBy(caller).map(({ action }) => action));
    const given = roleOf(caller)
      .statements.flatMap(({ Action }) => Action)
      .filter((action) => action.startsWith('s3:'));
    expect(given.filter((action) => !used.has(action) && !EVERYWHERE[action] && !UNUSED[caller]?.[action])).toEqual([]);
    expect(Object.keys(UNUSED[caller] ?? {}).filter((action) => used.has(action))).toEqual([]);
  });
});

/** What a role has and these tests did not use, and why it has it. */
const EVERYWHERE: Readonly<Record<string, string>> = {
  's3:GetObjectVersion':
    'most local buckets have no versions; in those of the template each object has one, be it null',
};
const UNUSED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  plan: {
    's3:AbortMultipartUpload': 'when the object of zeros cannot be made, or the upload not put on record',
    's3:ListMultipartUploadParts': 'to see that what it aborted is gone',
  },
  'convert-whole': {
    's3:AbortMultipartUpload': 'when it runs out of time midway',
    's3:ListMultipartUploadParts': 'to see that what it aborted is gone',
  },
  'convert-part': {
    's3:ListBucket': 'when the image was deleted midway: SOURCE_CHANGED, not SOURCE_DENIED',
  },
  complete: {
    's3:AbortMultipartUpload': 'when an earlier try had completed the object already',
  },
  'on-upload': {
    's3:ListBucket': 'when a raw disk was deleted, and its image is uploaded again',
  },
  'start-view': {
    's3:ListBucket': 'when there is no such image: SOURCE_NOT_FOUND, not SOURCE_DENIED',
  },
  'view-disk': {
    's3:ListBucket': 'when the image was deleted after the link was made: SOURCE_CHANGED, not SOURCE_DENIED',
  },
  'state-machine': {
    's3:ListMultipartUploadParts':
      'Step Functions’ documentation of ResultWriter asks for it: it writes results in parts',
  },
};

describe('the state machine’s role', () => {
  const role = roleOf('state-machine');
  const definition = JSON.parse(String(stack.Conversion?.Properties.DefinitionString));
  const states = { ...definition.States, ...definition.States.ConvertParts.ItemProcessor.States };

  it('may call the functions that the definition names, and no other', () => {
    const functions = Object.values<{ Resource?: string }>(states).flatMap(({ Resource = '' }) =>
      Resource.startsWith('arn:aws:lambda:') ? [{ action: 'lambda:InvokeFunction', resource: Resource }] : [],
    );
    expect(functions.length).toBeGreaterThan(3);
    expect(where(role, functions, false)).toEqual([]);
    const resource = 'arn:aws:lambda:us-east-1:123456789012:function:unqcow-test-get-image';
    expect(role.allows({ action: 'lambda:InvokeFunction', resource })).toBe(false);
  });

  it('may start and stop the children of its map', () => {
    const child = 'arn:aws:states:us-east-1:123456789012:execution:unqcow-test/ConvertParts:0123-abcd';
    for (const [action, resource] of [
      ['states:StartExecution', MACHINE],
      ['states:DescribeExecution', child],
      ['states:StopExecution', child],
    ] as const)
      expect(role.allows({ action, resource }), action).toBe(true);
  });
});

describe('the secrets that callers may name', () => {
  const read = (name: string) => ({
    action: 'secretsmanager:GetSecretValue',
    resource: `arn:aws:secretsmanager:us-east-1:123456789012:secret:${name}-AbCdEf`,
  });

  it('are read by plan alone, under the prefixes that are set', () => {
    expect(CALLERS.filter((caller) => neededBy(caller).some(isPassphrase))).toEqual(['plan']);
    expect(CALLERS.filter((caller) => roleOf(caller, confined).allows(read('disks/one')))).toEqual(['plan']);
    expect(roleOf('plan', confined).allows(read('databases/one'))).toBe(false);
    expect(roleOf('plan').allows(read('disks/one'))).toBe(false);
  });

  it('are sealed under one that only those read who seal or unseal', () => {
    const readers = CALLERS.filter((caller) => roleOf(caller).allows(read('unqcow-test-sealing')));
    expect(readers).toEqual(['plan', 'convert-whole', 'convert-part', 'start-view', 'view-disk']);
    const used = CALLERS.filter((caller) => neededBy(caller).some(({ resource }) => resource === SEALING));
    // In one process they share what one of them has read.
    expect(used).not.toEqual([]);
    expect(readers).toEqual(expect.arrayContaining(used));
  });
});

describe('a key of one’s own', () => {
  const use = { action: 'kms:Decrypt', resource: KEY };

  it.each(['plan', 'convert-part', 'convert-whole', 'complete', 'state-machine'])(
    'is used by %s through S3 and Secrets Manager only',
    (caller) => {
      const role = roleOf(caller, confined);
      expect(role.allows(use, { 'kms:ViaService': 's3.us-east-1.amazonaws.com' })).toBe(true);
      expect(role.allows(use, { 'kms:ViaService': 'ec2.us-east-1.amazonaws.com' })).toBe(false);
      expect(role.allows(use)).toBe(false);
      const other = { ...use, resource: KEY.replace('1111', '9999') };
      expect(role.allows(other, { 'kms:ViaService': 's3.us-east-1.amazonaws.com' })).toBe(false);
    },
  );

  it('is nobody’s where none is set', () => {
    for (const role of roles.values())
      expect(role.allows(use, { 'kms:ViaService': 's3.us-east-1.amazonaws.com' }), role.name).toBe(false);
  });
});

/** Statements on everything, by Sid, and why. */
const EVERYTHING: Readonly<Record<string, string>> = {
  Trace: 'X-Ray’s writing actions know no resources',
  TraceRules: 'X-Ray’s sampling rules know no resources',
  DeliverLogs: 'log deliveries are the account’s: CloudWatch Logs knows no resources for these',
};

describe.each([...roles.values(), ...confined.values()])('the statements of $name', ({ statements }) => {
  it.each(statements.map((each) => [each.Sid, each] as const))(
    '%s has no wildcard without a reason',
    (sid, statement: Statement) => {
      expect(statement.Effect).toBe('Allow');
      for (const action of statement.Action) expect(action).not.toContain('*');
      for (const resource of statement.Resource) {
        if (resource === '*') expect(Object.keys(EVERYTHING)).toContain(sid);
        // Objects of one bucket, streams of one log, executions of one state machine: the star comes last, after a name.
        else
          expect(resource).toMatch(
            /^arn:aws:[a-z0-9]+:[^*]*(unqcow-test|key|secret:disks)[^*]*(\*|\*\/(keys|failure|plan)\.json)?$/,
          );
      }
    },
  );
});
