import type { Deps } from '../../functions/_shared/deps.ts';
import * as complete from '../../functions/complete.ts';
import * as convertPart from '../../functions/convert-part.ts';
import * as convertWhole from '../../functions/convert-whole.ts';
import * as plan from '../../functions/plan.ts';
import { stateMachineDefinition } from '../state-machine.ts';
import { arnOf } from './stack-config.ts';
import type { Lambda } from './stack-options.ts';
import { type LocalStepFunctions, type StepFunctionsOptions, startStepFunctions } from './step-functions/server.ts';

/** The state machine's real definition, over the real handlers that it calls. */
export function startMachine(
  deps: Deps,
  lambda: Lambda,
  options: Omit<StepFunctionsOptions, 'definition' | 'functions'>,
): Promise<LocalStepFunctions> {
  return startStepFunctions({
    ...options,
    definition: stateMachineDefinition({
      PlanFunctionArn: arnOf('plan'),
      ConvertWholeFunctionArn: arnOf('convert-whole'),
      ConvertPartFunctionArn: arnOf('convert-part'),
      CompleteFunctionArn: arnOf('complete'),
    }),
    functions: {
      [arnOf('plan')]: lambda('plan', () => plan.createHandler(deps)),
      [arnOf('convert-whole')]: lambda('convert-whole', () => convertWhole.createHandler(deps)),
      [arnOf('convert-part')]: lambda('convert-part', () => convertPart.createHandler(deps)),
      [arnOf('complete')]: lambda('complete', () => complete.createHandler(deps)),
    },
  });
}
