import definition from './state-machine.asl.json' with { type: 'json' };

const PLACEHOLDER = /\$\{([^}]*)\}/g;

/**
 * The state machine's definition with each `${Name}` replaced, as CloudFormation's DefinitionSubstitutions would do it.
 * Every call returns a new object: validators write into what they are given.
 *
 * @param substitutions Values by name: `PlanFunctionArn`, `ConvertWholeFunctionArn`, `ConvertPartFunctionArn`, `CompleteFunctionArn`.
 * @throws Error if the definition has a placeholder that `substitutions` does not.
 */
export function stateMachineDefinition(substitutions: Readonly<Record<string, string>>): unknown {
  return substitute(definition, substitutions);
}

function substitute(value: unknown, substitutions: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string')
    return value.replace(PLACEHOLDER, (_, name: string) => replacementOf(name, substitutions));
  if (Array.isArray(value)) return value.map((item) => substitute(item, substitutions));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, substitute(item, substitutions)]));
}

function replacementOf(name: string, substitutions: Readonly<Record<string, string>>): string {
  const value = Object.hasOwn(substitutions, name) ? substitutions[name] : undefined;
  if (value === undefined) throw new Error(`the state machine names \${${name}}, for which there is no value`);
  return value;
}
