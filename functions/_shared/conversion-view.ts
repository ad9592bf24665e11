import { type Execution, type ExecutionStatus, failureOf } from '../../lib/jobs/executions.ts';
import type { Caller } from './caller.ts';
import { problemOf } from './problem.ts';
import { Conversion } from './schemas.ts';

const STATES = {
  RUNNING: 'running',
  PENDING_REDRIVE: 'running',
  SUCCEEDED: 'succeeded',
  FAILED: 'failed',
  TIMED_OUT: 'failed',
  ABORTED: 'stopped',
} as const satisfies Record<ExecutionStatus, string>;

/** A conversion as its caller sees it, without how far it has come. Costs nothing. */
export function viewOf(id: string, execution: Execution) {
  const { status, startedAt, endedAt, output } = execution;
  const request = Conversion.safeParse(execution.input).data;
  return {
    id,
    state: STATES[status],
    ...(request ? { source: request.source, destination: request.destination } : {}),
    startedAt: startedAt.toISOString(),
    ...(endedAt ? { endedAt: endedAt.toISOString() } : {}),
    ...(status === 'SUCCEEDED' ? { result: output } : {}),
    ...(['FAILED', 'TIMED_OUT', 'ABORTED'].includes(status) ? { problem: problemOf(failureOf(execution)) } : {}),
  };
}

/** Whether a conversion is this caller's to see: tenants see those from and to where they may read and write themselves. */
export function isVisible(caller: Caller, { input }: Execution): boolean {
  if (caller.tenant === undefined) return true;
  const request = Conversion.safeParse(input).data;
  return request !== undefined && caller.mayReach(request.source, request.destination);
}
