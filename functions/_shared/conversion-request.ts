import * as z from 'zod';
import { UnqcowError } from '../../lib/errors.ts';
import type { Execution } from '../../lib/jobs/executions.ts';
import { noteInCall } from './call.ts';
import type { Caller } from './caller.ts';
import { isVisible } from './conversion-view.ts';
import type { ExecutionDeps } from './executions.ts';
import { JobName } from './schemas.ts';

/** A request about one conversion: its id. */
export const ConversionRequest = z
  .object({ pathParameters: z.object({ id: JobName }), queryStringParameters: z.strictObject({}).optional() })
  .transform(({ pathParameters }) => pathParameters.id);

/** @throws UnqcowError `CONVERSION_NOT_FOUND` if there is none of that id, or it is another tenant's. */
export async function found({ executions }: ExecutionDeps, caller: Caller, id: string): Promise<Execution> {
  noteInCall({ job: id });
  const execution = await executions.describe(id);
  if (execution && isVisible(caller, execution)) return execution;
  throw new UnqcowError('CONVERSION_NOT_FOUND', `there is no conversion ${id}`);
}
