import fc from 'fast-check';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createHandler as convertWhole } from '../../functions/convert-whole.ts';
import { createHandler as getImage } from '../../functions/get-image.ts';
import { createHandler as onUpload } from '../../functions/on-upload.ts';
import { createHandler as plan } from '../../functions/plan.ts';
import { createHandler as startConversion } from '../../functions/start-conversion.ts';
import { UnqcowError } from '../../lib/errors.ts';
import { DEFAULT_OPTIONS } from '../../lib/jobs/conversion.ts';
import { COPIED, EXT, type ImageSpec, imageBytes } from '../support/hostile.ts';
import { hostileName } from '../support/hostile-names.ts';
import { qcow1Bytes } from '../support/hostile-v1.ts';
import { useGateWorld } from './world.ts';

const world = useGateWorld();
const SECRET = 'what nobody may read ';
const source = { bucket: 'images', key: 'in/folder/disk.qcow2' };
const destination = { bucket: 'raw', key: 'out/disk.raw' };
const gate = { allow: ['s3://images/in/'], places: {}, backingFormats: { '': 'raw' } };

beforeAll(async () => {
  for (const [bucket, key] of [
    ['images', 'base'],
    ['images', 'out/base'],
    ['images', 'indigo/base'],
    ['images', 'etc/passwd'],
    ['secrets', 'in/base'],
    ['secrets', 'in/folder/base'],
    ['work', 'base'],
    ['raw', 'in/base'],
  ] as const) {
    await world.put(bucket, key, SECRET.repeat(5000));
  }
  await world.put('images', 'in/folder/base', 'x'.repeat(65_536));
  await world.put('images', 'in/plain.qcow2', imageBytes());
});
beforeEach(() => {
  world.log();
});

const stated = (format: string) => [{ type: EXT.backingFormat, data: format }];
/** Every way in which an image can name another file. */
const NAMING: Readonly<Record<string, (name: string) => Uint8Array>> = {
  'a raw backing file': (backing) => imageBytes({ backing, extensions: stated('raw') }),
  'a qcow2 backing file': (backing) => imageBytes({ backing, extensions: stated('qcow2') }),
  'a backing file of no stated format': (backing) => imageBytes({ version: 2, backing }),
  'a backing file of version 1': (backing) => qcow1Bytes({ backing }),
  'a backing file in overlong UTF-8': (name) => withName(overlong(name)),
  'a backing file in bytes that are no text': (name) => withName(Buffer.from(name, 'utf16le')),
  'a data file': (data) => imageBytes(withDataFile(data)),
  'a raw data file': (data) =>
    imageBytes({ ...withDataFile(data), header: { incompatibleFeatures: 4n, autoclearFeatures: 2n } }),
};
/** The bytes of a name where no string would put them. */
const withName = (bytes: Uint8Array) =>
  imageBytes({
    extensions: stated('raw'),
    header: { backingFileOffset: 1024, backingFileSize: bytes.subarray(0, 1023).length },
    patches: { 1024: bytes.subarray(0, 1023) },
  });
/** Full stops and slashes of two bytes, which careless readers take for those of one. */
const overlong = (name: string) =>
  Buffer.concat(
    [...Buffer.from(name)].map((byte) =>
      byte === 0x2e || byte === 0x2f ? Buffer.of(0xc0, 0x80 | byte) : Buffer.of(byte),
    ),
  );
const withDataFile = (data: string): ImageSpec => ({
  extensions: [{ type: EXT.dataFile, data }],
  header: { incompatibleFeatures: 4n },
  l2: [COPIED, COPIED | 0x1000n],
});

/** Names that a first cluster has room for; also very long ones, and ones that are no UTF-8. */
const name = fc.oneof(
  { weight: 8, arbitrary: hostileName },
  { weight: 1, arbitrary: fc.integer({ min: 200, max: 1000 }).map((n) => `${'../'.repeat(n / 4)}out/base`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('base', '../../out/base', '../../../secrets/in/base', 'base/', 'base ', 'base.'),
  },
);

/** What a function answers, or the code by which it refuses. */
async function outcome(work: Promise<unknown>): Promise<unknown> {
  return work.catch((error) => {
    if (error instanceof UnqcowError) return error.code;
    throw error;
  });
}

describe.each(Object.entries(NAMING))('an image that names %s', (_, image) => {
  it('has the functions ask S3 for nothing outside of what its caller may reach', async () => {
    const [whole, planning, asking] = [convertWhole(world.deps), plan(world.deps), getImage(world.deps)];
    const check = async (each: string) => {
      await world.put(source.bucket, source.key, image(each));
      world.log();
      await asking(request(source.bucket, source.key), world.context());
      // To say what is in it, nothing is opened that it names.
      expect(new Set(world.log())).toEqual(new Set([`GET ${source.bucket}/${source.key}`]));
      await outcome(planning({ job: 'job', request: { source, destination, gate } }, world.context()));
      const pin = { ...source, etag: '"0"', size: 1 };
      const job = { mode: 'whole', job: 'job', source: pin, destination, options: DEFAULT_OPTIONS, gate };
      await outcome(whole(job, world.context()));
      expect(world.trespasses()).toEqual([]);
    };
    await fc.assert(fc.asyncProperty(name, check), { numRuns: 25 });
  });

  it('has no file but itself asked for as long as its caller allows none', async () => {
    const planning = plan(world.deps);
    const check = async (each: string) => {
      await world.put(source.bucket, source.key, image(each));
      world.log();
      await outcome(planning({ job: 'job', request: { source, destination } }, world.context()));
      // An image whose name is empty, or starts with a NUL, names nothing: its plan goes on to ask for the destination.
      const own = new Set([`GET ${source.bucket}/${source.key}`, `HEAD ${destination.bucket}/${destination.key}`]);
      const read = world.log().filter((seen) => !seen.includes(' work/jobs/'));
      expect(read).toContain(`GET ${source.bucket}/${source.key}`);
      expect(read.filter((seen) => !own.has(seen))).toEqual([]);
    };
    await fc.assert(fc.asyncProperty(name, check), { numRuns: 12, examples: [['\0'], ['']] });
  });
});

it('lets an image reach what its caller allows: the log would show it', async () => {
  await world.put(source.bucket, source.key, imageBytes({ backing: 'base', extensions: stated('raw') }));
  world.log();
  const planned = await outcome(
    plan(world.deps)({ job: 'job', request: { source, destination, gate } }, world.context()),
  );
  expect(planned).toMatchObject({ mode: 'whole' });
  expect(world.log()).toContain('GET images/in/folder/base');
});

describe('a caller', () => {
  /** Keys and buckets that look like what is allowed. */
  const key = fc.oneof(
    hostileName,
    hostileName.map((each) => `in/${each}`),
    hostileName.map((each) => `in/../${each}`),
    fc.constantFrom(
      'in',
      'in/',
      'IN/disk',
      'indigo/base',
      'out/base',
      'in%2fdisk',
      'in\\disk',
      '/in/disk',
      'in/../out/base',
    ),
  );
  const bucket = fc.constantFrom(
    'images',
    'images',
    'secrets',
    'raw',
    'work',
    'absent',
    'images.',
    'IMAGES',
    '../secrets',
  );

  it('has nothing asked for outside of its prefixes, whatever bucket and key it names', async () => {
    const asking = getImage(world.deps);
    const check = async (where: string, what: string) => {
      const { statusCode } = await asking(request(where, what), world.context());
      const log = world.log();
      if (where === 'images' && what.startsWith('in/') && what !== 'in/') {
        // It is that very key, and no other that it could be taken for.
        expect(log).toEqual(Buffer.byteLength(what) > 1024 ? [] : [`GET images/${what}`]);
      } else {
        expect([400, 404]).toContain(statusCode);
        expect(log).toEqual([]);
      }
    };
    const wellFormed = key.filter((each) => each.isWellFormed());
    await fc.assert(fc.asyncProperty(bucket, wellFormed, check), { numRuns: 200 });
  });

  it('cannot tell what it may not see from what is not there', async () => {
    const asking = getImage(world.deps);
    const answers = [
      ['images', 'in/not-there'],
      ['images', 'out/base'],
      ['images', 'out/not-there'],
      ['secrets', 'in/base'],
      ['absent-bucket', 'in/base'],
      ['work', 'jobs/plan.json'],
    ].map(async ([where = '', what = '']) => {
      const { statusCode, headers, body = '' } = await asking(request(where, what), world.context());
      return { statusCode, headers: { ...headers }, body: body.replaceAll(`${where}/${what}`, 'it') };
    });
    const [missing, ...others] = await Promise.all(answers);
    expect(missing?.statusCode).toBe(404);
    for (const other of others) expect(other).toEqual(missing);
  });

  it('has nothing written outside of its prefixes, whatever key it gives', async () => {
    const [starting, planning] = [startConversion(world.deps), plan(world.deps)];
    const plain = { bucket: 'images', key: 'in/plain.qcow2' };
    const check = async (where: string, what: string) => {
      const target = { bucket: where, key: what };
      const isAllowed = where === 'raw' && /^out\/./s.test(what) && Buffer.byteLength(what) <= 1024;
      world.log();
      const answer = await starting(posted({ source: plain, destination: target }), world.context());
      expect(isAllowed ? [202] : [400, 404]).toContain(answer.statusCode);
      if (!isAllowed) expect(world.log()).toEqual([]);
      const planned = await outcome(
        planning({ job: 'job', request: { source: plain, destination: target } }, world.context()),
      );
      if (isAllowed) expect(planned).toMatchObject({ destination: target });
      else expect(['NOT_ALLOWED', 'BAD_REQUEST']).toContain(planned);
      expect(world.trespasses()).toEqual([]);
    };
    const target = fc.oneof(
      key,
      hostileName.map((each) => `out/${each}`),
    );
    await fc.assert(fc.asyncProperty(bucket, target, check), { numRuns: 150 });
    for (const input of world.started)
      expect(input).toMatchObject({ destination: { bucket: 'raw', key: expect.stringMatching(/^out\//) } });
  });
});

describe('an upload', () => {
  it('starts a conversion to a key under the destination only, whatever its own key', async () => {
    const handler = onUpload(world.deps);
    const check = async (each: string) => {
      const record = {
        eventSource: 'aws:s3',
        eventName: 'ObjectCreated:Put',
        s3: { bucket: { name: 'images' }, object: { key: encodeURIComponent(each), eTag: '0', sequencer: '1' } },
      };
      world.started.length = 0;
      await outcome(handler({ Records: [record] }, world.context()));
      for (const input of world.started) {
        const { destination: to } = input as { destination: { bucket: string; key: string } };
        expect(to.bucket).toBe('raw');
        expect(to.key.startsWith('out/')).toBe(true);
        expect(each.startsWith('in/')).toBe(true);
      }
      expect(world.trespasses()).toEqual([]);
    };
    const uploaded = hostileName.filter((each) => each.isWellFormed()).map((each) => `${each}.qcow2`);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          uploaded,
          uploaded.map((each) => `in/${each}`),
        ),
        check,
      ),
      { numRuns: 100 },
    );
  });
});

function request(bucket: string, key: string) {
  return {
    version: '2.0',
    rawPath: `/images/${bucket}`,
    headers: { accept: '*/*' },
    requestContext: { requestId: 'id', stage: '$default', http: { method: 'GET', path: '/' } },
    pathParameters: { bucket },
    queryStringParameters: { key },
  } as never;
}

function posted(body: unknown) {
  return {
    version: '2.0',
    rawPath: '/conversions',
    headers: { accept: '*/*', 'content-type': 'application/json' },
    requestContext: { requestId: 'id', stage: '$default', http: { method: 'POST', path: '/conversions' } },
    body: JSON.stringify(body),
  } as never;
}
