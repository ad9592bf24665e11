/** A CloudFormation template as far as it is looked into here. */
export interface Template {
  readonly Resources: Readonly<Record<string, Resource>>;
  readonly Conditions: Readonly<Record<string, unknown>>;
  readonly Rules: Readonly<Record<string, { Assertions: { Assert: unknown; AssertDescription: string }[] }>>;
  readonly Outputs: Readonly<Record<string, { Value: unknown }>>;
}

export interface Resource {
  readonly Type: string;
  readonly Condition?: string;
  readonly DependsOn?: string | readonly string[];
  readonly DeletionPolicy?: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever a resource type has.
  readonly Properties: any;
}

const ACCOUNT = '123456789012';
const REGION = 'us-east-1';

const PSEUDO: Readonly<Record<string, string>> = {
  'AWS::Partition': 'aws',
  'AWS::Region': REGION,
  'AWS::AccountId': ACCOUNT,
  'AWS::StackName': 'unqcow-test',
  'AWS::URLSuffix': 'amazonaws.com',
};
const NO_VALUE = Symbol('AWS::NoValue');

/** The resources that a stack of this template has, its conditions decided and its functions evaluated. */
export function deployed(template: Template): Record<string, Resource> {
  const there = Object.entries(template.Resources).filter(
    ([, { Condition }]) => Condition === undefined || evaluate({ Condition }, template) === true,
  );
  return Object.fromEntries(
    there.map(([id, each]) => [id, { ...each, Properties: evaluate(each.Properties ?? {}, template) }]),
  );
}

/** The names of the stack's buckets. */
export function bucketsOf(template: Template): { images: string; raw: string; work: string } {
  const output = (name: string) => String(evaluate(template.Outputs[name]?.Value, template));
  return { images: output('ImagesBucket'), raw: output('RawBucket'), work: output('WorkBucket') };
}

/** Evaluates CloudFormation's functions. What only a running stack knows gets a name that says what it is. */
export function evaluate(value: unknown, template: Template): unknown {
  const made = at(value, template);
  return made === NO_VALUE ? undefined : made;
}

function at(value: unknown, template: Template): unknown {
  if (Array.isArray(value)) return value.map((each) => at(each, template)).filter((each) => each !== NO_VALUE);
  if (typeof value !== 'object' || value === null) return value;
  const [[name, argument] = [], ...more] = Object.entries(value);
  if (name !== undefined && more.length === 0) {
    const intrinsic = INTRINSICS[name];
    if (intrinsic) return intrinsic(argument, template);
    if (name.startsWith('Fn::')) throw new Error(`${name} is not evaluated here`);
  }
  const entries = Object.entries(value).map(([key, each]) => [key, at(each, template)] as const);
  return Object.fromEntries(entries.filter(([, each]) => each !== NO_VALUE));
}

type Intrinsic = (argument: unknown, template: Template) => unknown;

const INTRINSICS: Readonly<Record<string, Intrinsic>> = {
  Ref: (name, template) => (name === 'AWS::NoValue' ? NO_VALUE : reference(String(name), template)),
  Condition: (name, template) => {
    if (!Object.hasOwn(template.Conditions, String(name))) throw new Error(`there is no condition ${name}`);
    return at(template.Conditions[String(name)], template);
  },
  'Fn::GetAtt': (path, template) => {
    const [id = '', attribute] = Array.isArray(path) ? path : String(path).split('.');
    if (attribute === 'Arn') return arnOf(id, template);
    if (attribute === 'QueueName') return nameOf(id, template);
    if (attribute === 'FunctionUrl') return `https://${id.toLowerCase()}.lambda-url.${REGION}.on.aws/`;
    return `${id}.${attribute}`;
  },
  'Fn::Sub': (argument, template) => {
    const [text, values] = Array.isArray(argument) ? argument : [argument, {}];
    return String(text).replaceAll(/\$\{(?!!)([^}]+)\}/g, (_, name: string) =>
      String(Object.hasOwn(values, name) ? at(values[name], template) : reference(name, template)),
    );
  },
  'Fn::Join': (argument, template) => {
    const [separator, parts] = argument as [string, unknown[]];
    return (at(parts, template) as unknown[]).join(separator);
  },
  'Fn::If': (argument, template) => {
    const [condition, then, otherwise] = argument as [string, unknown, unknown];
    return at(at({ Condition: condition }, template) === true ? then : otherwise, template);
  },
  'Fn::Equals': (argument, template) => {
    const [one, other] = at(argument, template) as [unknown, unknown];
    return one === other;
  },
  'Fn::Not': (argument, template) => (at(argument, template) as unknown[])[0] !== true,
};

const REFERRED_BY_ARN = ['AWS::StepFunctions::StateMachine', 'AWS::SecretsManager::Secret'];

function reference(name: string, template: Template): string {
  const pseudo = PSEUDO[name];
  if (pseudo !== undefined) return pseudo;
  const { Type } = resource(name, template);
  if (REFERRED_BY_ARN.includes(Type)) return arnOf(name, template);
  return nameOf(name, template);
}

const NAMES: Readonly<Record<string, string>> = {
  'AWS::Lambda::Function': 'FunctionName',
  'AWS::S3::Bucket': 'BucketName',
  'AWS::StepFunctions::StateMachine': 'StateMachineName',
  'AWS::Logs::LogGroup': 'LogGroupName',
  'AWS::SecretsManager::Secret': 'Name',
};

function nameOf(id: string, template: Template): string {
  const { Type, Properties } = resource(id, template);
  return String(at(Properties?.[NAMES[Type] ?? ''], template) ?? `unqcow-test-${id}`);
}

const ARNS: Readonly<Record<string, (name: string) => string>> = {
  'AWS::Lambda::Function': (name) => `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${name}`,
  'AWS::S3::Bucket': (name) => `arn:aws:s3:::${name}`,
  'AWS::StepFunctions::StateMachine': (name) => `arn:aws:states:${REGION}:${ACCOUNT}:stateMachine:${name}`,
  'AWS::Logs::LogGroup': (name) => `arn:aws:logs:${REGION}:${ACCOUNT}:log-group:${name}:*`,
  'AWS::SQS::Queue': (name) => `arn:aws:sqs:${REGION}:${ACCOUNT}:${name}`,
  'AWS::IAM::Role': (name) => `arn:aws:iam::${ACCOUNT}:role/${name}`,
  'AWS::Events::Rule': (name) => `arn:aws:events:${REGION}:${ACCOUNT}:rule/${name}`,
  'AWS::SecretsManager::Secret': (name) => `arn:aws:secretsmanager:${REGION}:${ACCOUNT}:secret:${name}-AbCdEf`,
};

function arnOf(id: string, template: Template): string {
  const { Type } = resource(id, template);
  const make = ARNS[Type];
  if (!make) throw new Error(`${id}: what the ARN of ${Type} looks like is not known here`);
  return make(nameOf(id, template));
}

function resource(id: string, template: Template): Resource {
  const found = Object.hasOwn(template.Resources, id) ? template.Resources[id] : undefined;
  if (!found) throw new Error(`there is no resource ${id}`);
  return found;
}
