import type {
  CheckReport,
  Conversion,
  ConversionRequest,
  EstimateAnswer,
  ImageInfo,
  MapPage,
  ObjectsPage,
  Places,
  ViewLink,
  ViewRequest,
} from './answers.ts';
import { token } from './session.ts';

/** A refusal as the API words it, or as whatever stands before the API does. */
export class Refusal extends Error {
  readonly status: number;
  /** One of the error table's; none where the API was not reached, or did not get the request. */
  readonly code: string | undefined;
  /** What the table says that the code means. */
  readonly title: string;
  readonly cure: string | undefined;
  readonly at: string | undefined;

  constructor(
    status: number,
    problem: { code?: unknown; title?: unknown; detail?: unknown; cure?: unknown; at?: unknown; message?: unknown },
  ) {
    super(textOf(problem.detail) ?? textOf(problem.message) ?? `the answer was ${status}`);
    this.status = status;
    this.code = textOf(problem.code);
    this.title =
      textOf(problem.title) ??
      (status === 0 ? 'the API was not reached' : 'the request was refused before it reached the API');
    this.cure = textOf(problem.cure);
    this.at = textOf(problem.at);
  }
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);

/** A list is a parameter that is given more than once. */
export type Query = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** @throws Refusal */
async function ask<T>(path: string, query: Query, init: RequestInit = {}): Promise<T> {
  const given = Object.entries(query).flatMap(([name, value]) => [value].flat().map((each) => [name, each] as const));
  const said = given.filter(([, value]) => value !== undefined && value !== '');
  const search = new URLSearchParams(said.map(([name, value]) => [name, String(value)])).toString();
  const headers = { accept: 'application/json', ...(token() ? { authorization: `Bearer ${token()}` } : {}) };
  let response: Response;
  try {
    // Relative to this page: an API may lie under the name of a stage.
    const url = new URL(`${path}${search && `?${search}`}`, document.baseURI);
    response = await fetch(url, { ...init, headers: { ...headers, ...init.headers }, redirect: 'error' });
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error;
    throw new Refusal(0, { detail: 'there was no answer' });
  }
  const body = (await response.json().catch(() => ({}))) as T;
  if (!response.ok) throw new Refusal(response.status, (body ?? {}) as object);
  return body;
}

/** An object. Its key goes into the query, since paths lose `//` and `..`. */
export interface ObjectName {
  readonly bucket: string;
  readonly key: string;
}

const segment = encodeURIComponent;
const post = (body: unknown): RequestInit => ({
  method: 'POST',
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json' },
});

export const api = {
  places: () => ask<Places>('places', {}),
  objects: (bucket: string, query: Query) =>
    ask<ObjectsPage>(`objects/${segment(bucket)}`, { ...query, delimiter: '/' }),
  image: ({ bucket, key }: ObjectName, query: Query = {}) =>
    ask<ImageInfo>(`images/${segment(bucket)}`, { key, ...query }),
  map: ({ bucket, key }: ObjectName, query: Query, signal?: AbortSignal) =>
    ask<MapPage>(`maps/${segment(bucket)}`, { key, ...query }, signal ? { signal } : {}),
  check: ({ bucket, key }: ObjectName, query: Query) =>
    ask<CheckReport>(`checks/${segment(bucket)}`, { key, ...query }),
  estimate: (request: ConversionRequest) => ask<EstimateAnswer>('conversions', { estimate: 'true' }, post(request)),
  convert: (request: ConversionRequest) => ask<Conversion>('conversions', {}, post(request)),
  view: (request: ViewRequest) => ask<ViewLink>('views', {}, post(request)),
  conversion: (id: string) => ask<Conversion>(`conversions/${segment(id)}`, {}),
  stop: (id: string) => ask<Conversion>(`conversions/${segment(id)}`, {}, { method: 'DELETE' }),
};
