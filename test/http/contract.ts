import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { matchPath } from '../../functions/_shared/routes.ts';

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: Responses }>>>>;
}
type Responses = Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>>;

/** Holds an answer against the API's published description. @returns what is wrong with it. */
export type Contract = (request: { method: string; path: string }, answer: Told) => string | undefined;

interface Told {
  readonly status: number;
  readonly type: string | null;
  readonly body: unknown;
}

export function contractOf(document: Document): Contract {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  formats.default(ajv);
  ajv.addSchema(document, 'api');
  const compiled = new Map<string, ValidateFunction>();
  return ({ method, path }, { status, type, body }) => {
    const template = Object.keys(document.paths).find((each) => matchPath(each.replace('{key}', '{key+}'), path));
    const operation = template && document.paths[template]?.[method.toLowerCase()];
    if (!template || !operation) return undefined; // what no route takes is described nowhere
    const key = String(status) in operation.responses ? String(status) : 'default';
    const response = operation.responses[key];
    if (body === '') return method === 'HEAD' ? undefined : 'there is no body';
    if (type === null || response?.content?.[type] === undefined)
      return `${method} ${path} answers ${status} as ${type}`;
    const pointer = [template, method.toLowerCase(), 'responses', key, 'content', type, 'schema'];
    const at = `api#/paths/${pointer.map((each) => encodeURIComponent(each.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
    const validate = compiled.get(at) ?? ajv.compile({ $ref: at });
    compiled.set(at, validate);
    return validate(body) ? undefined : ajv.errorsText(validate.errors);
  };
}
