import { allows, type Context, type Permission, type Statement } from './policy.ts';
import type { Resource } from './template.ts';

/** The policies of one role. A KMS key's own policy is taken to be the default one: the account's policies decide. */
export interface Role {
  readonly name: string;
  readonly statements: readonly Statement[];
  allows(permission: Permission, context?: Context): boolean;
}

/** @param resources Of a template, evaluated. */
export function rolesOf(resources: Readonly<Record<string, Resource>>): Map<string, Role> {
  const roles = Object.entries(resources).filter(([, { Type }]) => Type === 'AWS::IAM::Role');
  return new Map(roles.map(([id, { Properties }]) => [id, roleOf(id, Properties)]));
}

function roleOf(name: string, { Policies }: Resource['Properties']): Role {
  const statements: Statement[] = Policies.flatMap(
    ({ PolicyDocument }: Resource['Properties']) => PolicyDocument.Statement,
  );
  return { name, statements, allows: (permission, context) => allows(statements, permission, context) };
}
