/**
 * For `serverless offline`, which knows next to nothing of CloudFormation's functions: what the functions' environment gets
 * from the stack comes from the environment that serverless runs in, under the same names, or is not there.
 */
module.exports = class Offline {
  constructor(serverless) {
    const { processedInput, service } = serverless;
    // Packaging, which may go on beside it, empties the usual folder.
    if (processedInput.commands[0] === 'offline') service.custom.esbuild.outputWorkFolder = '.unqcow/offline';
    this.hooks = {
      'before:offline:start:init': () => {
        const { provider, functions } = service;
        for (const { environment = {} } of [provider, ...Object.values(functions)]) {
          for (const [name, value] of Object.entries(environment)) {
            if (typeof value === 'object') environment[name] = process.env[name];
            if (environment[name] === undefined) delete environment[name];
          }
        }
      },
    };
  }
};
