import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ROUTES } from '../../functions/_shared/routes.ts';
import definition from '../../infra/state-machine.asl.json' with { type: 'json' };
import { folderOf, packageService, readTemplate } from './support/package.ts';
import { faults, hasAttribute, hasMetric } from './support/specification.ts';
import { deployed, evaluate, type Resource, type Template } from './support/template.ts';

const plain = readTemplate('plain');
const templates: Readonly<Record<string, Template>> = {
  'as it is': plain,
  'with buckets that are there, EventBridge, JWT, a key and limits': readTemplate('changed'),
};
const stack = deployed(plain);
const changed = deployed(readTemplate('changed'));
const ofType = (type: string, of = stack) => Object.entries(of).filter(([, { Type }]) => Type === type);
const properties = (id: string, of = stack) => of[id]?.Properties;

describe.each(Object.entries(templates))('the template, %s', (_, template) => {
  const resources = deployed(template);

  it.each(Object.entries(resources))(
    'has nothing in %s that CloudFormation does not know',
    (_id, { Type, Properties }) => {
      expect(faults(Type, Properties)).toEqual([]);
    },
  );

  it('asks no resource for an attribute that it has not', () => {
    const asked = [...JSON.stringify(template).matchAll(/\{"Fn::GetAtt":\["(\w+)","([\w.]+)"\]\}/g)];
    expect(asked.length).toBeGreaterThan(20);
    const unknown = asked.filter(([, id = '', attribute = '']) => {
      const type = template.Resources[id]?.Type ?? '';
      return !hasAttribute(type, attribute);
    });
    expect(unknown.map(([text]) => text)).toEqual([]);
  });

  it('waits for nothing that is not there', () => {
    for (const { DependsOn = [] } of Object.values(resources)) {
      for (const id of [DependsOn].flat()) expect(Object.keys(resources)).toContain(id);
    }
  });

  it('has no circle of resources that wait for each other', () => {
    const done = new Set<string>();
    const visit = (id: string, path: readonly string[]) => {
      if (done.has(id)) return;
      expect(path, `a circle: ${[...path, id].join(' → ')}`).not.toContain(id);
      for (const next of needs(id, template)) visit(next, [...path, id]);
      done.add(id);
    };
    for (const id of Object.keys(template.Resources)) visit(id, []);
    expect(done.size).toBe(Object.keys(template.Resources).length);
  });

  it('watches metrics that there are', () => {
    const watched = ofType('AWS::CloudWatch::Alarm', resources).filter(([, { Properties }]) =>
      Properties.Namespace.startsWith('AWS/'),
    );
    // Lambda publishes it; the registry's list is older.
    const known = ({ Namespace, MetricName }: Resource['Properties']) =>
      MetricName === 'AsyncEventAge' || hasMetric(Namespace, MetricName);
    expect(watched.filter(([, { Properties }]) => !known(Properties)).map(([id]) => id)).toEqual([]);
    expect(watched.length).toBeGreaterThan(5);
  });
});

/** Ids that a resource names, by any of CloudFormation's ways. */
function needs(id: string, template: Template): string[] {
  const { DependsOn = [], Properties } = template.Resources[id] as Resource;
  const text = JSON.stringify(Properties ?? {});
  const named = [...text.matchAll(/"Ref":"(\w+)"|"Fn::GetAtt":\["(\w+)"|\$\{(\w+)[.}]/g)].flatMap(([, ...ids]) => ids);
  return [...named, ...[DependsOn].flat()].filter(
    (each) => each !== undefined && each in template.Resources,
  ) as string[];
}

describe('what holds a template to CloudFormation', () => {
  it.each([
    ['AWS::SQS::Queues', {}, 'AWS::SQS::Queues is no type of resource'],
    ['AWS::SQS::Queue', { RetentionPeriod: 1 }, 'AWS::SQS::Queue.RetentionPeriod is not known'],
    ['AWS::SQS::Queue', { MessageRetentionPeriod: 'long' }, 'MessageRetentionPeriod is "long", not a integer'],
    ['AWS::Lambda::Function', { Code: {} }, 'AWS::Lambda::Function.Role is missing'],
    ['AWS::S3::Bucket', { LifecycleConfiguration: { Rules: [{ Id: 'a' }] } }, 'Rules[0].Status is missing'],
    ['AWS::S3::Bucket', { LifecycleConfiguration: { Rules: {} } }, 'Rules is not a list'],
  ])('sees what is wrong with an %s of %j', (type, given, fault) => {
    expect(faults(type, given)).toEqual([expect.stringContaining(fault)]);
  });
});

/** What all functions have; and what those have beside it whose code says so. */
const COMMON = ['SOURCES', 'DESTINATIONS', 'WORK', 'OUTPUT_LIMIT', 'CORS_ORIGINS'].map((each) => `UNQCOW_${each}`);
const ASKED: readonly (readonly [RegExp, readonly string[]])[] = [
  [/\bassert(Keys|SecretsAllowed)\(/, ['UNQCOW_SECRETS', 'UNQCOW_SEALING_SECRET']],
  [/\bonLambda(WithKeys|Streaming)\(/, ['UNQCOW_SEALING_SECRET']],
  [/\bonLambdaWithExecutions\(/, ['UNQCOW_STATE_MACHINE_ARN']],
  [/\buploadDestination\b/, ['UNQCOW_UPLOAD_DESTINATION']],
  [/\bviewUrl\b/, ['UNQCOW_VIEW_URL']],
];

describe('the functions', () => {
  const functions = ofType('AWS::Lambda::Function');
  const names = readdirSync('functions').flatMap((file) => /^(.+)\.ts$/.exec(file)?.[1] ?? []);

  it('are those in functions/, each with a role and a log of its own', () => {
    expect(functions.map(([, { Properties }]) => Properties.FunctionName).toSorted()).toEqual(
      names.map((name) => `unqcow-test-${name}`).toSorted(),
    );
    expect(new Set(functions.map(([, { Properties }]) => Properties.Role)).size).toBe(names.length);
    const logs = ofType('AWS::Logs::LogGroup').map(([, { Properties }]) => Properties.LogGroupName);
    for (const name of names) expect(logs).toContain(`/aws/lambda/unqcow-test-${name}`);
  });

  it.each(functions)(
    '%s runs on Node 24 and arm64, traced, with a time-out and a memory of its own',
    (_, { Properties }) => {
      expect(Properties).toMatchObject({
        Runtime: 'nodejs24.x',
        Architectures: ['arm64'],
        TracingConfig: { Mode: 'Active' },
      });
      expect(Properties.Timeout).toBeLessThanOrEqual(900);
      expect(Properties.MemorySize).toBeGreaterThanOrEqual(256);
    },
  );

  it('that answer over HTTP end before the API gives up on them', () => {
    const integrated = JSON.stringify(ofType('AWS::ApiGatewayV2::Integration'));
    const http = functions.filter(([, { Properties }]) => integrated.includes(`${Properties.FunctionName}"`));
    expect(http).not.toEqual([]);
    for (const [, { Properties }] of http) expect(Properties.Timeout).toBeLessThan(30);
  });

  it('keep their logs as long as is said', () => {
    for (const [, { Properties }] of ofType('AWS::Logs::LogGroup')) expect(Properties.RetentionInDays).toBe(30);
    for (const [, { Properties }] of ofType('AWS::Logs::LogGroup', changed))
      expect(Number(Properties.RetentionInDays)).toBe(90);
  });

  it('are limited in number where that is asked for', () => {
    expect(properties('ConvertDashpartLambdaFunction')).not.toHaveProperty('ReservedConcurrentExecutions');
    expect(properties('ConvertDashpartLambdaFunction', changed).ReservedConcurrentExecutions).toBe('100');
    expect(properties('OnDashuploadLambdaFunction', changed).ReservedConcurrentExecutions).toBe('5');
    expect(properties('ViewDashdiskLambdaFunction')).not.toHaveProperty('ReservedConcurrentExecutions');
    expect(properties('ViewDashdiskLambdaFunction', changed).ReservedConcurrentExecutions).toBe('20');
  });

  it.each(names)('have in the environment of %s what its code asks of the configuration, and no more', (name) => {
    const code = readFileSync(`functions/${name}.ts`, 'utf8');
    const asked = ASKED.flatMap(([asks, variables]) => (asks.test(code) ? variables : []));
    const [, { Properties } = { Properties: {} }] =
      functions.find(([, { Properties }]) => Properties.FunctionName === `unqcow-test-${name}`) ?? [];
    const variables = Object.keys(Properties.Environment.Variables).filter((each) => each.startsWith('UNQCOW_'));
    expect(variables.toSorted()).toEqual([...new Set([...COMMON, ...asked])].toSorted());
  });
});

describe('the buckets', () => {
  it.each(['Images', 'Raw', 'Work'])(
    '%s is closed to the public, encrypted, and rid of uploads that nobody completes',
    (id) => {
      expect(properties(id)).toMatchObject({
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
        BucketEncryption: {
          ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
        },
      });
      expect(properties(id).LifecycleConfiguration.Rules).toContainEqual(
        expect.objectContaining({ Status: 'Enabled', AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } }),
      );
      // A first deployment that fails takes its empty buckets along; whatever else happens, a bucket stays.
      expect(stack[id]).toMatchObject({ DeletionPolicy: 'RetainExceptOnCreate', UpdateReplacePolicy: 'Retain' });
    },
  );

  it('keep what is replaced in them, but for records: a key that is deleted is gone', () => {
    const versions = ['Images', 'Raw', 'Work'].map((id) => properties(id).VersioningConfiguration.Status);
    expect(versions).toEqual(['Enabled', 'Enabled', 'Suspended']);
  });

  it('of records forgets plans, and keeps the object of zeros', () => {
    expect(properties('Work').LifecycleConfiguration.Rules).toContainEqual(
      expect.objectContaining({ Prefix: 'jobs/', ExpirationInDays: 7 }),
    );
    for (const { Prefix, ExpirationInDays } of properties('Work').LifecycleConfiguration.Rules) {
      if (ExpirationInDays) expect('zeros-536870912'.startsWith(Prefix)).toBe(false);
    }
  });

  it('are not made where others are given', () => {
    const buckets = ofType('AWS::S3::Bucket', changed).map(([id]) => id);
    expect(buckets).toEqual(['ServerlessDeploymentBucket']);
    expect(properties('PlanLambdaFunction', changed).Environment.Variables).toMatchObject({
      UNQCOW_SOURCES: 's3://my-images/vms/',
      UNQCOW_DESTINATIONS: 's3://my-disks/raw/',
      UNQCOW_WORK: 's3://my-records/',
    });
  });

  it('are two different ones for input and output, or there is no stack', () => {
    const asserted = (template: Template) =>
      Object.values(template.Rules).flatMap(({ Assertions }) =>
        Assertions.map(({ Assert }) => evaluate(Assert, template)),
      );
    expect(asserted(plain)).toEqual([true]);
    const same = { imagesBucket: 'one', rawBucket: 'one' };
    expect(() => packageService(`${folderOf('plain')}-same`, same)).toThrow('must not be the images bucket');
  });

  it.each([
    [{ imagePrefix: 'vms/' }, 'There is no parameter imagePrefix'],
    [{ imagesPrefix: '{tenant}/' }, 'no claim is put for {tenant}'],
    [{ tenantClaim: 'org' }, 'tenantClaim goes with apiAuth=jwt'],
    [{ tenantClaim: 'org', apiAuth: 'jwt' }, 'all tenants could write to'],
    [{ tenantClaim: 'org', apiAuth: 'jwt', rawPrefix: '{tenant}/' }, 'on-upload would not start: '],
    [{ rawBucket: 'not a bucket' }, 'expected s3://bucket/prefix/'],
    [{ workBucket: 'disks', rawBucket: 'disks' }, 'jobs keep their records under'],
    [{ imagesPrefix: 'vms' }, 'imagesPrefix is "vms": it has to end in a slash'],
    [{ rawPrefix: 'disks/{tenant}' }, 'rawPrefix is "disks/{tenant}": it has to end in a slash'],
    [{ imagesPrefix: 'vm?/' }, 'and may have none of *'],
  ])('and configured as functions start with, or there is no stack: %j', (parameters, why) => {
    expect(() => packageService(`${folderOf('plain')}-refused`, parameters)).toThrow(why);
  });
});

describe('the upload trigger', () => {
  /** S3 and EventBridge tell upper case from lower. */
  const SUFFIXES = ['.qcow2', '.qcow', '.QCOW2', '.QCOW'];

  it('hears of images only, by S3’s notification', () => {
    const configurations = properties('Images').NotificationConfiguration.LambdaConfigurations;
    expect(configurations.map((each: Resource['Properties']) => each.Filter.S3Key.Rules)).toEqual(
      SUFFIXES.map((suffix) => [{ Name: 'suffix', Value: suffix }]),
    );
    expect(properties('Raw')).not.toHaveProperty('NotificationConfiguration');
    expect(properties('UploadNotificationPermission')).toMatchObject({
      Principal: 's3.amazonaws.com',
      SourceAccount: '123456789012',
      SourceArn: 'arn:aws:s3:::unqcow-test-images-123456789012-us-east-1',
    });
    expect(stack).not.toHaveProperty('UploadRule');
  });

  it('hears of images only, by EventBridge', () => {
    expect(properties('UploadRule', changed).EventPattern).toEqual({
      source: ['aws.s3'],
      'detail-type': ['Object Created'],
      detail: {
        bucket: { name: ['my-images'] },
        object: { key: SUFFIXES.map((suffix) => ({ wildcard: `vms/*${suffix}` })) },
      },
    });
  });

  it.each([
    ['S3’s notification', stack],
    ['EventBridge', changed],
  ])('keeps what failed, with why, in one queue and no other: by %s', (_, of) => {
    expect(properties('OnDashuploadLambdaEvConf', of).DestinationConfig.OnFailure.Destination).toContain('Failures');
    // Lambda sends what it gives up to a dead-letter queue of the function as well.
    expect(properties('OnDashuploadLambdaFunction', of)).not.toHaveProperty('DeadLetterConfig');
    expect(JSON.stringify(properties('OnUploadRole', of))).not.toContain('UploadDeadLetters');
    expect(watchedQueues(of)).toContain('unqcow-test-UploadFailures');
  });

  it('keeps what EventBridge could not hand to it; what S3 sends there is no such queue for, nor an alarm', () => {
    expect(properties('UploadRule', changed).Targets[0].DeadLetterConfig.Arn).toContain('UploadDeadLetters');
    expect(watchedQueues(changed)).toContain('unqcow-test-UploadDeadLetters');
    expect(ofType('AWS::SQS::Queue').map(([id]) => id)).toEqual(['UploadFailures']);
    expect(watchedQueues(stack)).toEqual(['unqcow-test-UploadFailures']);
  });

  const watchedQueues = (of: typeof stack) =>
    ofType('AWS::CloudWatch::Alarm', of)
      .filter(([, { Properties }]) => Properties.Namespace === 'AWS/SQS')
      .map(([, { Properties }]) => Properties.Dimensions[0].Value);
});

describe('the HTTP API', () => {
  const routes = (of: typeof stack) => ofType('AWS::ApiGatewayV2::Route', of).map(([, { Properties }]) => Properties);

  it('lets nobody in who is not signed in, by IAM or by JWT', () => {
    expect(routes(stack).length).toBeGreaterThan(1);
    expect(
      routes(stack)
        .map(({ RouteKey }) => RouteKey)
        .toSorted(),
    ).toEqual(Object.keys(ROUTES).toSorted());
    // The console's page tells nothing, and a browser's preflight carries no credentials.
    const unsigned = routes(stack).filter(({ AuthorizationType }) => AuthorizationType !== 'AWS_IAM');
    expect(unsigned.map(({ RouteKey }) => RouteKey).toSorted()).toEqual(['GET /', 'HEAD /']);
    const open = routes(changed).filter(({ AuthorizationType }) => AuthorizationType !== 'JWT');
    expect(open.map(({ RouteKey }) => RouteKey).toSorted()).toEqual(['GET /', 'HEAD /', 'OPTIONS /{proxy+}']);
    expect(ofType('AWS::ApiGatewayV2::Authorizer', changed)[0]?.[1].Properties.JwtConfiguration).toEqual({
      Audience: ['disks'],
      Issuer: 'https://issuer.example.com/',
    });
    expect(ofType('AWS::ApiGatewayV2::Authorizer')).toEqual([]);
  });

  it('is logged and throttled', () => {
    expect(properties('HttpApiStage')).toMatchObject({
      DefaultRouteSettings: { ThrottlingRateLimit: 50, ThrottlingBurstLimit: 100, DetailedMetricsEnabled: true },
      AccessLogSettings: { Format: expect.stringContaining('$context.requestId') },
    });
  });
});

describe('the state machine', () => {
  const made = JSON.parse(String(properties('Conversion').DefinitionString));

  it('is the definition that runs on one machine, with the functions of the stack', () => {
    const arn = (name: string) => `arn:aws:lambda:us-east-1:123456789012:function:unqcow-test-${name}`;
    const text = JSON.stringify(definition).replaceAll(/\$\{(\w+)FunctionArn\}/g, (_, name: string) =>
      arn(name.replaceAll(/\B[A-Z]/g, '-$&').toLowerCase()),
    );
    expect(made).toEqual(JSON.parse(text));
    const functions = ofType('AWS::Lambda::Function').map(([, { Properties }]) =>
      arn(Properties.FunctionName.slice(12)),
    );
    for (const [called] of text.matchAll(/arn:aws:lambda:[^"]+/g)) expect(functions).toContain(called);
  });

  it('gives its functions as much time as they have', () => {
    const states = { ...made.States, ...made.States.ConvertParts.ItemProcessor.States };
    for (const [, { Properties }] of ofType('AWS::Lambda::Function')) {
      for (const state of Object.values<Resource['Properties']>(states)) {
        if (!state.Resource?.endsWith(`:${Properties.FunctionName}`)) continue;
        expect(state.TimeoutSeconds).toBeGreaterThan(Properties.Timeout);
      }
    }
  });

  it('is logged without the data of its callers, and traced', () => {
    expect(properties('Conversion')).toMatchObject({
      StateMachineType: 'STANDARD',
      TracingConfiguration: { Enabled: true },
      LoggingConfiguration: { Level: 'ERROR', IncludeExecutionData: false },
    });
  });
});

describe('who looks after it', () => {
  it('is told of failures, of throttles, and of uploads that wait', () => {
    const watched = ofType('AWS::CloudWatch::Alarm').map(([, { Properties }]) => Properties.MetricName);
    expect(watched.toSorted()).toEqual(
      [
        'ApproximateNumberOfMessagesVisible',
        'AsyncEventAge',
        'ExecutionThrottled',
        'ExecutionsFailed',
        'ExecutionsTimedOut',
        'MapRunsFailed',
        'Throttles',
      ].toSorted(),
    );
    for (const [, { Properties }] of ofType('AWS::CloudWatch::Alarm', changed)) {
      expect(Properties.AlarmActions).toEqual(['arn:aws:sns:us-east-1:123456789012:alarms']);
    }
  });

  it('has a dashboard that shows every function', () => {
    const { widgets } = JSON.parse(properties('Dashboard').DashboardBody);
    const shown = JSON.stringify(widgets);
    for (const [, { Properties }] of ofType('AWS::Lambda::Function'))
      expect(shown).toContain(`"${Properties.FunctionName}"`);
    expect(shown).not.toContain('${');
  });
});
