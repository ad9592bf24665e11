import * as z from 'zod';
import {
  CheckAnswer,
  ConversionAnswer,
  EstimateAnswer,
  ImageAnswer,
  MapAnswer,
  ObjectsAnswer,
  PlacesAnswer,
  Problem,
  ViewAnswer,
} from './answers.ts';
import { CheckQuery, ImageQuery, MapQuery, ObjectsQuery, StartHeaders, StartQuery } from './queries.ts';
import { ROUTES } from './routes.ts';
import { BucketName, JobName, NewConversion, NewView, ObjectKey } from './schemas.ts';

interface Operation {
  readonly summary: string;
  readonly query?: z.ZodObject;
  readonly headers?: z.ZodObject;
  readonly body?: z.ZodType;
  readonly answers: Readonly<Record<number, z.ZodType>>;
  /** What the answers are, if not JSON. */
  readonly type?: string;
}

const read = (path: string, operation: Operation) => ({ [`GET ${path}`]: operation, [`HEAD ${path}`]: operation });
/** A key that a path cannot carry is given in the query. */
const object = (path: string, operation: Operation) => ({
  ...read(`${path}/{bucket}/{key+}`, operation),
  ...read(`${path}/{bucket}`, operation),
});

const OPERATIONS: Readonly<Record<string, Operation>> = {
  ...read('/', { summary: 'The web console', answers: { 200: z.string() }, type: 'text/html; charset=utf-8' }),
  ...read('/places', { summary: 'Where the caller may read and write', answers: { 200: PlacesAnswer } }),
  ...object('/images', { summary: 'What is in an image', query: ImageQuery, answers: { 200: ImageAnswer } }),
  ...object('/maps', { summary: 'Where the bytes of a disk lie', query: MapQuery, answers: { 200: MapAnswer } }),
  ...object('/checks', { summary: 'Whether an image is sound', query: CheckQuery, answers: { 200: CheckAnswer } }),
  ...read('/objects/{bucket}', {
    summary: 'What lies under a prefix',
    query: ObjectsQuery,
    answers: { 200: ObjectsAnswer },
  }),
  'POST /conversions': {
    summary: 'Starts a conversion, or says what it would take',
    query: StartQuery,
    headers: StartHeaders,
    body: NewConversion,
    answers: { 200: EstimateAnswer, 202: ConversionAnswer },
  },
  ...read('/conversions/{id}', { summary: 'How a conversion stands', answers: { 200: ConversionAnswer } }),
  'DELETE /conversions/{id}': { summary: 'Stops a conversion', answers: { 200: ConversionAnswer } },
  'POST /views': { summary: 'A link that reads a disk as raw bytes', body: NewView, answers: { 201: ViewAnswer } },
  ...read('/openapi.json', { summary: 'This description', answers: { 200: z.looseObject({ openapi: z.string() }) } }),
};

const PATH_PARAMETERS: Readonly<Record<string, z.ZodType>> = { bucket: BucketName, key: ObjectKey, id: JobName };

/** The whole API, made from the schemas that requests are parsed by. @see OpenAPI 3.1 */
export function openApiDocument() {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of Object.keys(ROUTES)) {
    const [method = '', template] = route.split(' ');
    const operation = OPERATIONS[route];
    if (template === undefined || operation === undefined) continue;
    const path = template.replaceAll('+}', '}');
    paths[path] = { ...paths[path], [method.toLowerCase()]: describe(operation, method, path) };
  }
  return withComponents({
    openapi: '3.1.0',
    info: { title: 'unqcow', version: '1', license: { name: 'MIT', identifier: 'MIT' } },
    servers: [{ url: '/' }],
    paths,
    components: {
      securitySchemes: {
        jwt: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
        iam: { type: 'apiKey', in: 'header', name: 'Authorization', description: 'AWS Signature Version 4' },
      },
    },
    security: [{ iam: [] }, { jwt: [] }],
  });
}

function describe(
  { summary, query, headers, body, answers, type = 'application/json' }: Operation,
  method: string,
  path: string,
) {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  const parameters = [
    ...names.map((name) => ({
      ...{ name, in: 'path', required: true, schema: schemaOf(PATH_PARAMETERS[name] as z.ZodType) },
    })),
    ...parametersOf('query', query),
    ...parametersOf('header', headers),
  ];
  const content = (type: string, schema: z.ZodType) =>
    method === 'HEAD' ? {} : { content: { [type]: { schema: schemaOf(schema) } } };
  const responses = Object.entries(answers).map(([status, schema]) => [
    status,
    { description: summary, ...content(type, schema) },
  ]);
  const gateway = z.object({ message: z.string() });
  return {
    operationId: `${method.toLowerCase()}${path.replaceAll(/\W+(\w)?/g, (_, letter = '') => letter.toUpperCase())}`,
    summary,
    parameters,
    ...(body ? { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body) } } } } : {}),
    responses: {
      ...Object.fromEntries(responses),
      401: { description: 'No valid token', ...content('application/json', gateway) },
      default: { description: 'A refusal', ...content('application/problem+json', Problem) },
    },
  };
}

function parametersOf(place: 'query' | 'header', schema: z.ZodObject | undefined) {
  if (schema === undefined) return [];
  return Object.entries(schema.shape).map(([name, each]) => ({
    ...{ name, in: place, required: false, schema: schemaOf(each as z.ZodType) },
  }));
}

/** A schema as JSON Schema 2020-12, with those that have a name of their own under `$defs`. */
const schemaOf = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });

/** Moves the schemas that have names to where OpenAPI keeps them. */
function withComponents<D extends { readonly components: object }>(document: D): D {
  const schemas: Record<string, unknown> = {};
  const text = JSON.stringify(document, (key, value: unknown) => {
    if (key === '$schema') return undefined;
    if (key !== '$defs') return value;
    Object.assign(schemas, value);
    return undefined;
  });
  const whole = { ...(JSON.parse(text) as D), components: { ...document.components, schemas } };
  return JSON.parse(JSON.stringify(whole).replaceAll('"#/$defs/', '"#/components/schemas/')) as D;
}
