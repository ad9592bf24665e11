const definition = require('../state-machine.asl.json');

/** `ConvertPartFunctionArn` → `convert-part`. */
const functionOf = (placeholder) =>
  placeholder
    .replace(/FunctionArn$/, '')
    .replace(/\B[A-Z]/g, '-$&')
    .toLowerCase();

/** The state machine as it is, each `${NameFunctionArn}` a reference to the function of that name. */
module.exports = JSON.parse(JSON.stringify(definition), (_key, value) => {
  const [, placeholder] = /^\$\{(\w+FunctionArn)\}$/.exec(value) ?? [];
  return placeholder ? { 'Fn::GetAtt': [functionOf(placeholder), 'Arn'] } : value;
});
