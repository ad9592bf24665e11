import { S3Client } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { createMachine } from '../../infra/local/step-functions/machine.ts';
import { runMachine } from '../../infra/local/step-functions/run-machine.ts';
import type { ContextObject, MachineDefinition, State } from '../../infra/local/step-functions/task.ts';
import { evaluate } from '../../infra/local/step-functions/template.ts';
import { stateMachineDefinition } from '../../infra/state-machine.ts';
import { arnOf, SUBSTITUTIONS } from './stack.ts';

const s3 = new S3Client({ region: 'us-east-1' });
const never = async () => undefined;
const functions = Object.fromEntries(Object.values(SUBSTITUTIONS).map((arn) => [arn, never]));
const create = (definition: unknown) =>
  createMachine(definition as MachineDefinition, { functions, s3, retryDelayScale: 0, mapConcurrency: 1 });
const only = (state: object) => ({ StartAt: 'Only', States: { Only: { End: true, ...state } } });

const context: ContextObject = {
  Execution: {
    Id: 'arn:aws:states:::execution:m:e',
    Name: 'e',
    Input: { a: 1 },
    StartTime: '2026-01-01T00:00:00.000Z',
  },
  StateMachine: { Id: 'arn:aws:states:::stateMachine:m', Name: 'm' },
};

describe('a machine', () => {
  const changed = (changes: object) => {
    const definition = stateMachineDefinition(SUBSTITUTIONS) as { States: { ConvertParts: State } };
    return {
      ...definition,
      States: { ...definition.States, ConvertParts: { ...definition.States.ConvertParts, ...changes } },
    };
  };

  it.each([
    ['a function that is not given', only({ Type: 'Task', Resource: arnOf('other') }), 'there is no function'],
    ['another service', only({ Type: 'Task', Resource: 'arn:aws:states:::lambda:invoke' }), 'there is no function'],
    [
      'an S3 action that there is not',
      only({ Type: 'Task', Resource: 'arn:aws:states:::aws-sdk:s3:makeUpload' }),
      'MakeUploadCommand',
    ],
    ['Parallel', only({ Type: 'Parallel', Branches: [] }), 'Parallel'],
    ['an inline Map', only({ Type: 'Map', ItemProcessor: only({ Type: 'Pass' }) }), 'Map'],
    ['tolerated failures', changed({ ToleratedFailureCount: 1 }), 'tolerated failures'],
    ['batches', changed({ ItemBatcher: { MaxItemsPerBatch: 2 } }), 'ItemBatcher'],
    ['another reader', changed({ ItemReader: { Resource: 'arn:aws:states:::s3:listObjectsV2' } }), 'the reader'],
    ['another writer', changed({ ResultWriter: { Resource: 'arn:aws:states:::s3:putObject' } }), 'the writer'],
  ])('with %s is refused before anything runs', (_what, definition, message) => {
    expect(() => create(definition)).toThrow(message);
  });

  it('gives a state its context: execution, machine, and the state itself', async () => {
    const template = {
      'name.$': '$$.Execution.Name',
      'id.$': '$$.Execution.Id',
      'input.$': '$$.Execution.Input',
      'machine.$': '$$.StateMachine.Id',
      'state.$': '$$.State.Name',
    };
    const definition = {
      StartAt: 'First',
      States: {
        First: { Type: 'Pass', Result: {}, Next: 'Second' },
        Second: { Type: 'Pass', Parameters: template, End: true },
      },
    };
    const { signal } = new AbortController();
    expect(await runMachine(create(definition), { input: { a: 1 }, context, signal })).toEqual({
      name: 'e',
      id: 'arn:aws:states:::execution:m:e',
      input: { a: 1 },
      machine: 'arn:aws:states:::stateMachine:m',
      state: 'Second',
    });
  });
});

describe('a payload template', () => {
  it('sees the execution that it belongs to, the item of a map, and intrinsic functions', async () => {
    const template = {
      'input.$': '$$.Execution.Input.a',
      'started.$': '$$.Execution.StartTime',
      'item.$': '$$.Map.Item.Value',
      'text.$': "States.Format('{}/{}', $.b, $$.Execution.Name)",
      kept: { as: ['it', 'is'] },
    };
    const map = { Map: { Item: { Index: 3, Value: { x: 1 } } } };
    expect(await evaluate(template, { b: 2 }, { ...context, ...map })).toEqual({
      input: 1,
      started: '2026-01-01T00:00:00.000Z',
      item: { x: 1 },
      text: '2/e',
      kept: { as: ['it', 'is'] },
    });
  });

  it('that points nowhere fails as States.Runtime', async () => {
    await expect(evaluate({ 'a.$': '$.nowhere' }, {}, context)).rejects.toThrow(
      expect.objectContaining({ name: 'States.Runtime' }),
    );
  });
});
