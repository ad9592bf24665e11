const { readConfig } = require('../../functions/_shared/config.ts');

const READS = 'The raw bucket must not be the images bucket: what is written would be read again.';
const TOKENS = 'Tenants are told apart by a claim of their tokens: tenantClaim goes with apiAuth=jwt.';

/**
 * The functions add the slash that a prefix lacks, and take every character for itself. IAM, S3's filters and EventBridge's
 * patterns do neither: only of such a prefix do all of them make the same.
 */
const FOLDER = /^([^*?$,\\]*\/)?$/;

/** What a stack has where it is not known yet. */
const STACK = { 'AWS::AccountId': '123456789012', 'AWS::Region': 'us-east-1', 'AWS::Partition': 'aws' };

/** A value of a function's environment as the function will see it; nothing for what only the stack knows. */
function inFunction(value) {
  if (typeof value !== 'object') return String(value);
  const { 'Fn::Sub': text, 'Fn::If': choice } = value;
  // The condition of each of ours is that a parameter is given.
  if (choice) return choice[1] || undefined;
  return text?.replaceAll(/\$\{([^}]+)\}/g, (_, name) => STACK[name]);
}

/** Zod's message is a list in JSON. */
const whyOf = ({ issues, message }) =>
  issues?.map((issue) => `${issue.path[0]}: ${issue.message}`).join('; ') ?? message;

/** Parameters that have no default: without one, a bucket is made. */
const BUCKETS = ['imagesBucket', 'rawBucket', 'workBucket'];

/** Names that are given on the command line or under a stage's name, and are nobody's: a default would be taken in silence. */
function unknownParameters({ configurationInput, processedInput }) {
  const { default: known, ...stages } = configurationInput.params;
  const { param = [] } = processedInput.options;
  const given = [...param.map((each) => each.split('=')[0]), ...Object.values(stages).flatMap(Object.keys)];
  return given.filter((name) => !Object.hasOwn(known, name) && !BUCKETS.includes(name));
}

/**
 * What serverless.yml cannot say: a rule in the template, and what is refused before there is one. CloudFormation asserts
 * the rule before it touches anything; a configuration that functions would refuse when they start is not deployed.
 */
module.exports = class Rules {
  constructor(serverless) {
    const { service, classes } = serverless;
    const refuse = (why) => {
      throw new classes.Error(why);
    };
    this.hooks = {
      'before:package:initialize': () => {
        const { images, raw, trigger, authorizer, prefixes } = service.custom;
        const [unknown] = unknownParameters(serverless);
        if (unknown !== undefined) refuse(`There is no parameter ${unknown}: see docs/guides/deploy.md.`);
        if (images === raw) refuse(READS);
        for (const [name, prefix] of Object.entries(prefixes)) {
          if (!FOLDER.test(prefix))
            refuse(`${name} is "${prefix}": it has to end in a slash, and may have none of * ? $ , \\`);
        }
        for (const [name, { environment }] of Object.entries(service.functions)) {
          // Without a trigger it is there, and nobody calls it.
          if (name === 'on-upload' && trigger === 'none') continue;
          const values = Object.entries({ ...service.provider.environment, ...environment });
          const env = Object.fromEntries(values.map(([key, value]) => [key, inFunction(value)]));
          if (env.UNQCOW_TENANT_CLAIM && authorizer.type === 'aws_iam') refuse(TOKENS);
          try {
            readConfig(env);
          } catch (error) {
            refuse(`The function ${name} would not start: ${whyOf(error)}`);
          }
        }
      },
      'before:package:finalize': () => {
        const { images, raw } = service.custom;
        service.provider.compiledCloudFormationTemplate.Rules = {
          OutputIsNotInput: {
            Assertions: [{ Assert: { 'Fn::Not': [{ 'Fn::Equals': [images, raw] }] }, AssertDescription: READS }],
          },
        };
      },
    };
  }
};
