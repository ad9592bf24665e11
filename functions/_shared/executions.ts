import {
  DescribeExecutionCommand,
  ExecutionAlreadyExists,
  SFNClient,
  type SFNClientConfig,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';

export type ExecutionStatus = 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED' | 'PENDING_REDRIVE';

/** Starts conversions and looks after them. One request each. */
export interface Executions {
  /** @returns whether it was started now; a name that is taken is not an error. */
  start(name: string, input: unknown): Promise<boolean>;
  status(name: string): Promise<ExecutionStatus>;
}

/** The executions of one state machine. The SDK's own retry is the one layer there is. */
export function openExecutions(stateMachineArn: string, config: SFNClientConfig = {}): Executions {
  const client = new SFNClient({ maxAttempts: 5, ...config });
  return {
    async start(name, input) {
      try {
        await client.send(new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(input) }));
        return true;
      } catch (error) {
        if (error instanceof ExecutionAlreadyExists) return false;
        throw error;
      }
    },
    async status(name) {
      const executionArn = `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${name}`;
      const { status } = await client.send(new DescribeExecutionCommand({ executionArn }));
      return status as ExecutionStatus;
    },
  };
}
