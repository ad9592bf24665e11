import { loadAwsServiceSpecSync } from '@aws-cdk/aws-service-spec';

/** What CloudFormation's own registry says about resource types, as AWS's CDK keeps it. Takes 5 s to load. */
const db = loadAwsServiceSpecSync();

const found = (cloudFormationType: string) =>
  db.lookup('resource', 'cloudFormationType', 'equals', cloudFormationType)[0];

type Type = NonNullable<ReturnType<typeof found>>['properties'][string]['type'];
type Properties = NonNullable<ReturnType<typeof found>>['properties'];

/** What is wrong with a resource, one line each: a type, property or attribute that is not, one that is missing, a value of another type. */
export function faults(type: string, properties: unknown): string[] {
  const resource = found(type);
  return resource ? inObject(type, properties, resource.properties) : [`${type} is no type of resource`];
}

/** Whether `Fn::GetAtt` knows this attribute of a resource type. */
export function hasAttribute(type: string, attribute: string): boolean {
  return Object.hasOwn(found(type)?.attributes ?? {}, attribute);
}

/** Whether a service is known to publish a metric of this name. */
export function hasMetric(namespace: string, name: string): boolean {
  return db.lookup('metric', 'name', 'equals', name).some((each) => each.namespace === namespace);
}

function inObject(path: string, value: unknown, properties: Properties): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path} is not an object`];
  const given = value as Record<string, unknown>;
  const missing = Object.entries(properties)
    .filter(([name, { required }]) => required && given[name] === undefined)
    .map(([name]) => `${path}.${name} is missing`);
  const wrong = Object.entries(given).flatMap(([name, each]) => {
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (property === undefined) return [`${path}.${name} is not known`];
    return each === undefined
      ? []
      : inValue(`${path}.${name}`, each, [property.type, ...(property.previousTypes ?? [])]);
  });
  return [...missing, ...wrong];
}

/** A value is right if it is of one of the types; what is wrong is told by the first. */
function inValue(path: string, value: unknown, types: readonly Type[]): string[] {
  const tried = types.map((type) => ofType(path, value, type));
  return tried.some((wrong) => wrong.length === 0) ? [] : (tried[0] ?? []);
}

function ofType(path: string, value: unknown, type: Type): string[] {
  const is = (right: boolean) => (right ? [] : [`${path} is ${JSON.stringify(value)}, not a ${type.type}`]);
  switch (type.type) {
    case 'string':
      return is(isScalar(value) && (type.allowedValues?.includes(String(value)) ?? true));
    case 'date-time':
      return is(isScalar(value));
    case 'number':
    case 'integer':
      return is(isScalar(value) && value !== '' && !Number.isNaN(Number(value)));
    case 'boolean':
      return is([true, false, 'true', 'false'].includes(value as never));
    case 'json':
      return is(typeof value === 'object' || typeof value === 'string');
    case 'array':
      if (!Array.isArray(value)) return [`${path} is not a list`];
      return value.flatMap((each, i) => inValue(`${path}[${i}]`, each, [type.element]));
    case 'map':
      return Object.entries(value as object).flatMap(([key, each]) => inValue(`${path}.${key}`, each, [type.element]));
    case 'ref':
      return inObject(path, value, db.get('typeDefinition', type.reference.$ref).properties);
    case 'union':
      return inValue(path, value, type.types);
    default:
      return is(type.type === 'tag');
  }
}

/** CloudFormation writes numbers and booleans as strings where it must. */
const isScalar = (value: unknown) => ['string', 'number', 'boolean'].includes(typeof value);
