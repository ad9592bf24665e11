import type { Context } from 'aws-lambda';
import { type Executions, openExecutions } from '../../lib/jobs/executions.ts';
import { type Deps, onLambda } from './deps.ts';

/** For who starts the stack on one machine. */
export { openExecutions };

export interface ExecutionDeps extends Deps {
  readonly executions: Executions;
}

/** As `onLambda`, for functions that start executions or look after them. */
export const onLambdaWithExecutions = <E, R>(
  create: (deps: ExecutionDeps) => (event: E, context: Context) => Promise<R>,
) =>
  onLambda((deps) => {
    const { stateMachineArn } = deps.config;
    if (!stateMachineArn) throw new Error('UNQCOW_STATE_MACHINE_ARN is not set');
    return create({ ...deps, executions: openExecutions(stateMachineArn) });
  });
