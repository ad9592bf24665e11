/**
 * One role for each function and one for the state machine, with what it needs and no more. Where a bucket's objects are
 * meant, the resource ends at the prefix that the configuration allows; test/aws/roles.test.ts replays every call that the
 * functions make against these policies.
 */
const arn = (text) => ({ 'Fn::Sub': `arn:\${AWS::Partition}:${text}` });
const statement = (Sid, Action, ...Resource) => ({ Sid, Effect: 'Allow', Action, Resource });

/** To look at the destination, open an upload there, and make it or give it up. */
const UPLOAD = [
  's3:PutObject',
  's3:PutObjectTagging',
  's3:AbortMultipartUpload',
  's3:ListMultipartUploadParts',
  's3:GetObject',
];

module.exports = async ({ resolveVariable }) => {
  const [name, images, raw, work, imagesPrefix, rawPrefix, kmsKeyArn, secrets] = await Promise.all(
    [
      'self:custom.name',
      'self:custom.images',
      'self:custom.raw',
      'self:custom.work',
      'param:imagesPrefix',
      'param:rawPrefix',
      'param:kmsKeyArn',
      'param:secrets',
    ].map(resolveVariable),
  );
  const states = (kind, more = '') => arn(`states:\${AWS::Region}:\${AWS::AccountId}:${kind}:${name}${more}`);
  /** All tenants' objects: which of them a caller may reach, the functions decide. */
  const allOf = (prefix) => `${prefix.split('{tenant}')[0]}*`;
  const objects = {
    images: arn(`s3:::${images}/${allOf(imagesPrefix)}`),
    raw: arn(`s3:::${raw}/${allOf(rawPrefix)}`),
    work: arn(`s3:::${work}/*`),
  };

  /** Without ListBucket, S3 answers 403 for a key that is missing, and `SOURCE_NOT_FOUND` would be `SOURCE_DENIED`. */
  const tellMissing = (...buckets) =>
    statement('TellMissing', ['s3:ListBucket'], ...buckets.map((each) => arn(`s3:::${each}`)));
  const readImages = statement('ReadImages', ['s3:GetObject', 's3:GetObjectVersion'], objects.images);
  const readWork = statement('ReadWork', ['s3:GetObject', 's3:GetObjectVersion'], objects.work);

  /** What is there already is only replaced if unqcow made it. */
  const seeRaw = statement('SeeRaw', ['s3:GetObject'], objects.raw);
  const unseal = statement('Unseal', ['secretsmanager:GetSecretValue'], { Ref: 'SealingSecret' });
  /** Secrets that callers may name: each text is how an ARN begins. */
  const named = secrets.split(',').filter(Boolean);
  const readKeys = statement('ReadKeys', ['secretsmanager:GetSecretValue'], ...named.map((each) => allOf(each.trim())));

  /** X-Ray knows no resources. */
  const trace = statement('Trace', ['xray:PutTraceSegments', 'xray:PutTelemetryRecords'], '*');
  /** Only through S3 and Secrets Manager, and only with the one key. */
  const via = ['s3', 'secretsmanager'].map((each) => ({ 'Fn::Sub': `${each}.\${AWS::Region}.amazonaws.com` }));
  const useKey = {
    ...statement('UseKey', ['kms:Decrypt', 'kms:GenerateDataKey'], kmsKeyArn),
    Condition: { StringEquals: { 'kms:ViaService': via } },
  };
  const role = (service, statements) => ({
    Type: 'AWS::IAM::Role',
    Properties: {
      AssumeRolePolicyDocument: {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Principal: { Service: `${service}.amazonaws.com` }, Action: 'sts:AssumeRole' }],
      },
      Policies: [
        {
          PolicyName: 'least',
          PolicyDocument: { Version: '2012-10-17', Statement: [...statements, trace, ...(kmsKeyArn ? [useKey] : [])] },
        },
      ],
    },
  });
  const lambda = (functionName, ...statements) =>
    role('lambda', [
      statement(
        'Log',
        ['logs:CreateLogStream', 'logs:PutLogEvents'],
        arn(`logs:\${AWS::Region}:\${AWS::AccountId}:log-group:/aws/lambda/${name}-${functionName}:*`),
      ),
      ...statements,
    ]);

  return {
    Resources: {
      PlanRole: lambda(
        'plan',
        readImages,
        readWork,
        statement('WriteWork', ['s3:PutObject'], objects.work),
        unseal,
        ...(named.length > 0 ? [readKeys] : []),
        statement('OpenUpload', UPLOAD, objects.raw),
        statement('MakeZeros', ['s3:AbortMultipartUpload', 's3:ListMultipartUploadParts'], objects.work),
        tellMissing(images, raw, work),
      ),
      ConvertWholeRole: lambda(
        'convert-whole',
        readImages,
        statement('WriteRaw', UPLOAD, objects.raw),
        statement('RecordUpload', ['s3:PutObject'], arn(`s3:::${work}/open/*`)),
        statement('ReadSealedKeys', ['s3:GetObject'], arn(`s3:::${work}/jobs/*`)),
        unseal,
        tellMissing(images, raw),
      ),
      ConvertPartRole: lambda(
        'convert-part',
        readImages,
        readWork,
        statement('WriteParts', ['s3:PutObject'], objects.raw),
        statement('TellWhy', ['s3:PutObject'], arn(`s3:::${work}/jobs/*/failure.json`)),
        unseal,
        tellMissing(images),
      ),
      CompleteRole: lambda(
        'complete',
        readImages,
        readWork,
        statement(
          'CompleteRaw',
          ['s3:PutObject', 's3:AbortMultipartUpload', 's3:ListMultipartUploadParts', 's3:GetObject'],
          objects.raw,
        ),
        tellMissing(images, raw),
      ),
      OnUploadRole: lambda(
        'on-upload',
        statement('Start', ['states:StartExecution'], states('stateMachine')),
        statement('Follow', ['states:DescribeExecution'], states('execution', ':*')),
        readImages,
        seeRaw,
        tellMissing(images, raw),
        statement('SendFailures', ['sqs:SendMessage'], { 'Fn::GetAtt': ['UploadFailures', 'Arn'] }),
      ),
      SweepRole: lambda(
        'sweep',
        statement('Follow', ['states:DescribeExecution'], states('execution', ':*')),
        statement('ReadOpen', ['s3:GetObject'], arn(`s3:::${work}/open/*`)),
        statement(
          'Forget',
          ['s3:DeleteObject'],
          arn(`s3:::${work}/open/*`),
          arn(`s3:::${work}/jobs/*/keys.json`),
          arn(`s3:::${work}/jobs/*/failure.json`),
        ),
        statement('Abort', ['s3:AbortMultipartUpload', 's3:ListMultipartUploadParts'], objects.raw, objects.work),
        statement('SeeUploads', ['s3:ListBucketMultipartUploads'], arn(`s3:::${raw}`), arn(`s3:::${work}`)),
        tellMissing(work),
      ),
      StartConversionRole: lambda(
        'start-conversion',
        readImages,
        seeRaw,
        tellMissing(images, raw),
        statement('Start', ['states:StartExecution'], states('stateMachine')),
        statement('Follow', ['states:DescribeExecution'], states('execution', ':*')),
      ),
      GetConversionRole: lambda(
        'get-conversion',
        statement('Follow', ['states:DescribeExecution'], states('execution', ':*')),
        statement('ReadPlan', ['s3:GetObject'], arn(`s3:::${work}/jobs/*/plan.json`)),
        statement('CountParts', ['s3:ListMultipartUploadParts'], objects.raw),
        tellMissing(work),
      ),
      StopConversionRole: lambda(
        'stop-conversion',
        statement('Stop', ['states:DescribeExecution', 'states:StopExecution'], states('execution', ':*')),
      ),
      NoRouteRole: lambda('no-route'),
      GetImageRole: lambda('get-image', readImages, tellMissing(images)),
      ConsoleRole: lambda('console'),
      ListPlacesRole: lambda('list-places'),
      GetOpenapiRole: lambda('get-openapi'),
      CheckImageRole: lambda('check-image', readImages, tellMissing(images)),
      StartViewRole: lambda('start-view', readImages, unseal, tellMissing(images)),
      ViewDiskRole: lambda('view-disk', readImages, unseal, tellMissing(images)),
      GetMapRole: lambda('get-map', readImages, tellMissing(images)),
      ListObjectsRole: lambda('list-objects', statement('List', ['s3:ListBucket'], arn(`s3:::${images}`))),
      ConversionRole: role('states', [
        statement(
          'RunFunctions',
          ['lambda:InvokeFunction'],
          ...['plan', 'convert-whole', 'convert-part', 'complete'].map((each) =>
            arn(`lambda:\${AWS::Region}:\${AWS::AccountId}:function:${name}-${each}`),
          ),
        ),
        statement('StartChildren', ['states:StartExecution'], states('stateMachine')),
        /** A child's name begins with the map's; Step Functions' documentation of Distributed Map asks for the other. */
        statement(
          'FollowChildren',
          ['states:DescribeExecution', 'states:StopExecution'],
          states('execution', '/*'),
          states('execution', ':*'),
        ),
        statement('ReadItems', ['s3:GetObject'], objects.work),
        statement(
          'WriteResults',
          ['s3:PutObject', 's3:AbortMultipartUpload', 's3:ListMultipartUploadParts'],
          objects.work,
        ),
        statement('TellMissing', ['s3:ListBucket'], arn(`s3:::${work}`)),
        statement('ForgetKeys', ['s3:DeleteObject'], arn(`s3:::${work}/jobs/*/keys.json`)),
        statement('AbortUpload', ['s3:AbortMultipartUpload'], objects.raw),
        /** Log delivery is configured account-wide: these actions know no resources. */
        statement(
          'DeliverLogs',
          [
            'logs:CreateLogDelivery',
            'logs:GetLogDelivery',
            'logs:UpdateLogDelivery',
            'logs:DeleteLogDelivery',
            'logs:ListLogDeliveries',
            'logs:PutResourcePolicy',
            'logs:DescribeResourcePolicies',
            'logs:DescribeLogGroups',
          ],
          '*',
        ),
        statement('TraceRules', ['xray:GetSamplingRules', 'xray:GetSamplingTargets'], '*'),
      ]),
    },
  };
};
