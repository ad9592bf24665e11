import { type ErrorCode, ErrorCodes } from '../../lib/errors.ts';
import type { Ending, Met, Play } from './cells.ts';
import type { World } from './world.ts';

/** A question that was laid out. */
interface Asked {
  /** More than one request, where what comes after the first is part of it: the last answer counts, or the first refusal. */
  ask(): Promise<Answer>;
  isRight(answer: Answer, met?: Met): boolean | Promise<boolean>;
  after?(): Promise<unknown>;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

interface QuestionPlay extends Pick<Play, 'name' | 'leaves'> {
  /** The function. */
  readonly by: string;
  /** Sends its body while it makes it: what goes wrong by then can only be shown by cutting it off. */
  readonly isStreamed?: boolean;
  begin(world: World, key: string): Promise<Asked>;
}

/** A body that ends before its end. */
class CutOff extends Error {}

async function request(url: string, init?: RequestInit): Promise<Answer> {
  const answer = await fetch(url, init);
  const body = await answer.arrayBuffer().catch((cause) => {
    throw new CutOff('the answer is cut off', { cause });
  });
  return { status: answer.status, headers: answer.headers, body: Buffer.from(body) };
}

const post = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});
const parsed = ({ body }: Answer) => JSON.parse(body.toString());

/** What reads only is asked twice: what it answers without faults is what it is to answer with them. */
function reading(by: string, pathOf: (world: World) => string, more: Pick<Play, 'leaves'> = {}): QuestionPlay {
  return {
    ...{ name: by, by, ...more },
    async begin(world) {
      const ask = () => request(`${world.stack.apiEndpoint}${pathOf(world)}`);
      const right = await ask();
      return { ask, isRight: ({ status, body }) => status === 200 && body.equals(right.body) };
    },
  };
}

/** One GET has nothing to hold an ETag against. */
const knowsOneETag: Play['leaves'] = (_kind, { name }) => name === 'another ETag';

const gate = (world: World) => `allow=${encodeURIComponent(`s3://${world.stack.buckets.images}/`)}`;

const questions: readonly QuestionPlay[] = [
  reading('list-places', () => '/places'),
  reading('list-objects', ({ stack }) => `/objects/${stack.buckets.images}?prefix=parts`),
  reading('get-image', ({ stack }) => `/images/${stack.buckets.images}/parts`, { leaves: knowsOneETag }),
  reading('get-map', (world) => `/maps/${world.stack.buckets.images}/parts?${gate(world)}`),
  reading('check-image', ({ stack }) => `/checks/${stack.buckets.images}/parts?deep=true`),
  {
    name: 'start-conversion',
    by: 'start-conversion',
    async begin(world, key) {
      const start = () => request(`${world.stack.apiEndpoint}/conversions`, post(world.conversion('whole', key)));
      return {
        // Asked again, it is the same conversion.
        async ask() {
          const started = await start();
          if (started.status !== 202) return started;
          await world.stack.stepFunctions.wait(parsed(started).id);
          return start();
        },
        async isRight(answer) {
          const { id, state } = parsed(answer);
          if (state === 'running') await world.stack.stepFunctions.wait(id);
          return answer.status === 202 && (await world.made('whole', key)) === 'right';
        },
        after: () => world.remove('raw', key),
      };
    },
  },
  {
    name: 'estimate',
    by: 'start-conversion',
    async begin(world, key) {
      const url = `${world.stack.apiEndpoint}/conversions?estimate=true`;
      const ask = () => request(url, post(world.conversion('parts', key)));
      // What planning costs is in it as well, and so is what was asked for more than once.
      const withoutPlanning = (answer: Answer) => {
        const { size, estimate } = parsed(answer);
        return JSON.stringify([size, estimate.bytes, estimate.balance, estimate.transitions]);
      };
      const right = withoutPlanning(await ask());
      return { ask, isRight: (answer) => answer.status === 200 && withoutPlanning(answer) === right };
    },
  },
  {
    name: 'get-conversion',
    by: 'get-conversion',
    async begin(world, key) {
      const { id, letGo } = await world.hold(key);
      const ask = () => request(`${world.stack.apiEndpoint}/conversions/${id}`);
      const isRight = (answer: Answer, met?: Met) => {
        const { state, parts } = parsed(answer);
        // Where the store says that there is no plan yet, or no upload any more, there is no more to tell.
        const isWhole = met?.fault.name === '404' || (parts.total > 1 && parts.done === parts.total);
        return answer.status === 200 && state === 'running' && isWhole;
      };
      return { ask, isRight, after: letGo };
    },
  },
  {
    name: 'stop-conversion',
    by: 'stop-conversion',
    async begin(world, key) {
      const { id, letGo } = await world.hold(key);
      const ask = () => request(`${world.stack.apiEndpoint}/conversions/${id}`, { method: 'DELETE' });
      const after = async () => {
        await letGo();
        await world.stack.sweep();
      };
      return { ask, isRight: (answer) => answer.status === 200 && parsed(answer).state === 'stopped', after };
    },
  },
  {
    name: 'start-view',
    by: 'start-view',
    leaves: knowsOneETag,
    async begin(world) {
      const isRight = async (answer: Answer) => {
        const { status, body } = await request(parsed(answer).url, { headers: { range: 'bytes=0-511' } });
        return answer.status === 201 && status === 206 && body.equals(world.raw('whole').subarray(0, 512));
      };
      return { ask: () => startView(world, 'whole'), isRight };
    },
  },
  {
    name: 'view-disk',
    by: 'view-disk',
    isStreamed: true,
    async begin(world, key) {
      // Of a disk that it knows it reads less.
      await world.put('whole', key);
      const { url } = parsed(await startView(world, key));
      return {
        ask: () => request(url),
        isRight: ({ status, body }) => status === 200 && body.equals(world.raw('whole')),
        after: () => world.remove('images', key),
      };
    },
  },
];

function startView({ stack }: World, key: string): Promise<Answer> {
  return request(`${stack.apiEndpoint}/views`, post({ source: { bucket: stack.buckets.images, key } }));
}

/** A refusal's code, if it is one as they are documented. */
function codeOf(answer: Answer): ErrorCode | undefined {
  if (answer.headers.get('content-type') !== 'application/problem+json') return undefined;
  const { code, type, status } = parsed(answer);
  const known = Object.hasOwn(ErrorCodes, code) ? ErrorCodes[code as ErrorCode] : undefined;
  const isDocumented =
    known?.status === answer.status && status === answer.status && type === `urn:unqcow:error:${code}`;
  return isDocumented && known.retryable === answer.headers.has('retry-after') ? code : undefined;
}

function question({ by, isStreamed = false, begin, ...play }: QuestionPlay): Play {
  return {
    ...play,
    isQuestion: true,
    wants: (kind) => kind.by === by,
    async begin(world, key) {
      const asked = await begin(world, key);
      let answer: Answer | undefined;
      return {
        async act(): Promise<Ending> {
          try {
            answer = await asked.ask();
            if (answer.status < 400) return { result: 'done' };
            return { result: 'failed by name', error: codeOf(answer) ?? `an answer of status ${answer.status}` };
          } catch (error) {
            if (error instanceof CutOff) return { result: 'cut off' };
            throw error;
          }
        },
        async judge({ result }, met) {
          const wrong = [
            ...(result === 'done' && !(answer && (await asked.isRight(answer, met))) ? ['a wrong answer'] : []),
            ...(result === 'cut off' && !isStreamed ? ['an answer that is cut off'] : []),
          ];
          await asked.after?.();
          return wrong;
        },
      };
    },
  };
}

/** What is asked over HTTP. */
export const QUESTIONS: readonly Play[] = questions.map(question);
