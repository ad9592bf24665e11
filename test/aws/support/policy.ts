/** A statement of an IAM policy as far as it is evaluated here. */
export interface Statement {
  readonly Sid: string;
  readonly Effect: string;
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  /** By operator, then by key of the request's context: `StringEquals` → `kms:ViaService` → values. */
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

export interface Permission {
  readonly action: string;
  readonly resource: string;
}

/** Of what is asked, by the keys that conditions are on. */
export type Context = Readonly<Record<string, string>>;

/**
 * Whether a policy allows a request: some statement does, and none denies it. Knows what our policies are made of: Allow and
 * Deny, wildcards in actions and resources, StringEquals and StringLike.
 *
 * @throws Error for all else that a statement may have, rather than passing over it.
 * @see IAM User Guide § Policy evaluation logic
 */
export function allows(statements: readonly Statement[], asked: Permission, context: Context = {}): boolean {
  for (const each of statements) check(each);
  const effects = statements.filter((each) => applies(each, asked, context)).map(({ Effect }) => Effect);
  return effects.includes('Allow') && !effects.includes('Deny');
}

const ELEMENTS = ['Sid', 'Effect', 'Action', 'Resource', 'Condition'];
const OPERATORS: Readonly<Record<string, (pattern: string, value: string) => boolean>> = {
  StringEquals: (pattern, value) => pattern === value,
  StringLike: matches,
};

function check(statement: Statement): void {
  const { Sid, Effect, Condition = {} } = statement;
  const unknown = [
    ...Object.keys(statement).filter((each) => !ELEMENTS.includes(each)),
    ...Object.keys(Condition).filter((each) => !Object.hasOwn(OPERATORS, each)),
    ...(['Allow', 'Deny'].includes(Effect) ? [] : [Effect]),
  ];
  if (JSON.stringify(statement).includes('${')) unknown.push('a policy variable');
  if (unknown.length > 0) throw new Error(`${Sid}: ${unknown.join(', ')} is not evaluated here`);
}

function applies({ Action, Resource, Condition = {} }: Statement, asked: Permission, context: Context): boolean {
  // Names of actions are the same in any case; those of resources are not.
  const names = [Action].flat().map((each) => each.toLowerCase());
  return (
    names.some((each) => matches(each, asked.action.toLowerCase())) &&
    [Resource].flat().some((each) => matches(each, asked.resource)) &&
    Object.entries(Condition).every(([operator, keys]) =>
      Object.entries(keys).every(([key, values]) => holds(operator, values, context[key])),
    )
  );
}

/** One of the values has to fit. What the request does not say fits none. */
function holds(operator: string, values: string | readonly string[], said: string | undefined): boolean {
  return said !== undefined && [values].flat().some((each) => OPERATORS[operator]?.(each, said));
}

/** `*` stands for any text, with slashes and colons, and for none; `?` for one character. */
function matches(pattern: string, value: string): boolean {
  const escaped = pattern.replaceAll(/[\\^$.+()[\]{}|]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's').test(value);
}
