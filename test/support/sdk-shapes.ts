/** What an SDK client exports, its model among it: `GetObject$` and so on. */
export type ClientModule = Readonly<Record<string, unknown>>;

type Schema = readonly unknown[];

/** Kinds of schemas in the model that the SDK's clients carry. */
const LIST = 1;
const MAP = 2;
const STRUCTURES = [3, 4, -3];

/**
 * The parameters in a state's `Parameters` that an action's command does not have, as paths. In Step Functions all members
 * begin with a capital letter, also those of services that write them with a small one.
 *
 * @param action As a resource's ARN names it: `importSnapshot`.
 */
export function unknownParameters(client: ClientModule, action: string, parameters: unknown): string[] {
  return unknownIn(operation(client, action)[0], parameters, '');
}

/** The names of the members of an action's answer. */
export function answerMembers(client: ClientModule, action: string): string[] {
  const [, , , , members] = operation(client, action)[1] ?? [];
  return (members as string[]).map(capital);
}

function operation(client: ClientModule, action: string): (Schema | undefined)[] {
  const schema = client[`${capital(action)}$`] as Schema | undefined;
  if (schema === undefined) throw new Error(`there is no command for ${action}`);
  return schema.slice(4).map(resolved);
}

function unknownIn(schema: Schema | undefined, value: unknown, path: string): string[] {
  if (schema === undefined || typeof value !== 'object' || value === null) return [];
  const [kind, , , , members, types] = schema;
  if (kind === LIST) {
    if (!Array.isArray(value)) return [`${path} is a list`];
    return value.flatMap((each, i) => unknownIn(resolved(members), each, `${path}[${i}]`));
  }
  if (kind === MAP)
    return Object.entries(value).flatMap(([key, each]) => unknownIn(resolved(types), each, `${path}.${key}`));
  if (!STRUCTURES.includes(kind as number)) return [];
  const names = (members as string[]).map(capital);
  return Object.entries(value).flatMap(([key, each]) => {
    const name = key.replace(/\.\$$/, '');
    const at = names.indexOf(name);
    if (at === -1) return [`${path}.${name}`];
    return key.endsWith('.$') ? [] : unknownIn(resolved((types as unknown[])[at]), each, `${path}.${name}`);
  });
}

/** A member's type is a schema, a function that makes one, or either with traits beside it. */
function resolved(type: unknown): Schema | undefined {
  if (typeof type === 'function') return resolved(type());
  if (!Array.isArray(type)) return undefined;
  return typeof type[0] === 'number' ? type : resolved(type[0]);
}

const capital = (name: string) => `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
