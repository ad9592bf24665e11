/** The dashboard's body, as text. `${AWS::…}` and the state machine's ARN are CloudFormation's to fill in. */
module.exports = async ({ resolveVariable }) => {
  const [name, stateMachine, functions] = await Promise.all(
    ['self:custom.name', 'self:custom.stateMachine', 'self:functions'].map(resolveVariable),
  );
  const lambdas = Object.keys(functions).map((each) => `${name}-${each}`);
  const widget = (place, title, stat, metrics) => ({
    type: 'metric',
    x: (place % 2) * 12,
    y: Math.floor(place / 2) * 6,
    width: 12,
    height: 6,
    properties: { title, stat, metrics, period: 300, region: `\${AWS::Region}`, view: 'timeSeries' },
  });
  const states = (...names) => names.map((each) => ['AWS/States', each, 'StateMachineArn', stateMachine]);
  const perFunction = (metric) => lambdas.map((each) => ['AWS/Lambda', metric, 'FunctionName', each]);
  return JSON.stringify({
    widgets: [
      widget(0, 'Conversions', 'Sum', [
        ...states(
          'ExecutionsStarted',
          'ExecutionsSucceeded',
          'ExecutionsFailed',
          'ExecutionsTimedOut',
          'ExecutionsAborted',
        ),
        [name, 'MapRunsFailed'],
      ]),
      widget(1, 'Time of a conversion (ms)', 'p90', states('ExecutionTime')),
      widget(2, 'Functions: time (ms)', 'p90', perFunction('Duration')),
      widget(3, 'Functions: errors', 'Sum', perFunction('Errors')),
      widget(4, 'Functions: throttles', 'Sum', perFunction('Throttles')),
      widget(5, 'Functions: at once', 'Maximum', perFunction('ConcurrentExecutions')),
      widget(6, 'Uploads: age of events (ms)', 'Maximum', [
        ['AWS/Lambda', 'AsyncEventAge', 'FunctionName', `${name}-on-upload`],
      ]),
    ],
  });
};
