import * as z from 'zod';
import { type ErrorCode, ErrorCodes } from '../../lib/errors.ts';
import { Location, Target } from './schemas.ts';

/** What the API answers, as its description publishes it. Fields may be added; none goes, and none changes its meaning. */

/** May be larger than a JavaScript number holds exactly. */
const Integer = z.unknown().meta({ type: 'integer' });
const Bytes = Integer;

const Warning = z
  .object({
    code: z.string().describe('Codes are added, never renamed.'),
    message: z.string(),
    at: z.string().optional(),
  })
  .meta({ id: 'Warning', description: 'What is odd about an image without being able to change its bytes.' });

export const Problem = z
  .object({
    type: z.string().describe('urn:unqcow:error: and the code: stable.'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(Object.keys(ErrorCodes) as ErrorCode[]).describe('A contract: codes are added, never renamed.'),
    cure: z.string().describe('What to do about it, for people.'),
    at: z.string().optional().describe('Where in the image or in the request.'),
  })
  .meta({ id: 'Problem', description: 'RFC 9457.' });

export const ImageAnswer = z
  .looseObject({
    'virtual-size': Bytes,
    filename: z.string(),
    'cluster-size': z.int(),
    format: z.enum(['qcow', 'qcow2']),
    'actual-size': Bytes,
    encrypted: z.literal(true).optional(),
    'backing-filename': z.string().optional(),
    'full-backing-filename': z.string().optional(),
    'backing-filename-format': z.string().optional(),
    snapshots: z.array(z.looseObject({ id: z.string(), name: z.string() })).optional(),
    'format-specific': z.looseObject({ type: z.literal('qcow2'), data: z.looseObject({}) }).optional(),
    'dirty-flag': z.boolean(),
    unqcow: z.looseObject({
      source: z.string().describe('Names the exact bytes that were read.'),
      version: z.int(),
      header: z.record(z.string(), Integer),
      l1: z.object({ offset: Integer, entries: Integer, needed: Integer }),
      warnings: z.array(Warning),
    }),
  })
  .meta({ id: 'Image', description: 'What qemu-img info says, in its keys; what is ours is inside unqcow.' });

const MapEntry = z
  .object({
    start: Bytes,
    length: Bytes,
    depth: z.int(),
    present: z.boolean(),
    zero: z.boolean(),
    data: z.boolean(),
    compressed: z.boolean(),
    offset: Integer.optional(),
  })
  .meta({ id: 'MapEntry', description: 'What qemu-img map says of a stretch of the disk, in its keys.' });

export const CheckAnswer = z
  .object({
    filename: z.string(),
    format: z.enum(['qcow', 'qcow2']),
    'check-errors': z.int(),
    leaks: z.int().optional(),
    corruptions: z.int().optional(),
    'image-end-offset': Integer.optional(),
    'total-clusters': Integer.optional(),
    'allocated-clusters': Integer.optional(),
    'fragmented-clusters': Integer.optional(),
    'compressed-clusters': Integer.optional(),
    unqcow: z.looseObject({
      verdict: z.enum(['clean', 'leaks', 'corrupt', 'incomplete']),
      source: z.string(),
      version: z.int(),
      findings: z.array(z.object({ code: z.string(), message: z.string(), at: z.string() })),
      warnings: z.array(Warning),
    }),
  })
  .meta({ id: 'Check', description: 'What qemu-img check says, in its keys; what is ours is inside unqcow.' });

const NextCursor = z.string().optional().describe('Where the next page begins. There is none after the last.');

export const MapAnswer = z
  .object({
    map: z.array(MapEntry),
    cursor: NextCursor,
    unqcow: z.object({ source: z.string(), 'virtual-size': Bytes, warnings: z.array(Warning) }),
  })
  .meta({ id: 'Map' });

const Place = z.object({ bucket: z.string(), prefix: z.string() });

export const PlacesAnswer = z
  .object({ sources: z.array(Place), destinations: z.array(Place) })
  .meta({ id: 'Places', description: 'Prefixes: what lies under them may be read, or written to.' });

export const ObjectsAnswer = z
  .object({
    prefixes: z.array(z.string()).optional().describe('With a delimiter: what lies deeper, up to the next one.'),
    objects: z.array(
      z.object({
        key: z.string(),
        size: Bytes,
        etag: z.string(),
        lastModified: z.iso.datetime(),
        looksLikeImage: z.boolean().describe('By its name.'),
      }),
    ),
    cursor: NextCursor,
  })
  .meta({ id: 'Objects' });

const Cost = z.object({ requests: z.int(), bytes: Bytes });

/** The state machine's output, too. */
export const ConversionResult = z
  .object({
    job: z.string(),
    source: Location.extend({ size: Bytes }).describe('The exact object that was converted.'),
    destination: Target.extend({ etag: z.string(), versionId: z.string().optional() }),
    size: Bytes.describe('Bytes of raw disk.'),
    crc32: z.string().optional().describe('Of the whole raw disk, in hexadecimal.'),
    proven: z.boolean().describe('Whether the store itself checked that CRC against what it holds.'),
    parts: z.object({ data: z.int(), zero: z.int(), copy: z.int() }).optional(),
    read: Cost,
    warnings: z.array(Warning),
  })
  .meta({ id: 'ConversionResult' });

const Progress = z.object({ total: Integer, done: Integer, left: Integer });

export const ConversionAnswer = z
  .object({
    id: z.string(),
    state: z.enum(['running', 'succeeded', 'failed', 'stopped']),
    source: Location.optional(),
    destination: Target.optional(),
    startedAt: z.iso.datetime(),
    endedAt: z.iso.datetime().optional(),
    parts: Progress.optional(),
    bytes: Progress.optional().describe('Of raw disk.'),
    cells: z
      .string()
      .regex(/^[dzcDZC]*$/)
      .optional()
      .describe(
        'While it runs, a letter for each part in the order of the disk: data, zeros, copied; a capital once it is made.',
      ),
    result: ConversionResult.optional(),
    problem: Problem.optional().describe('Why it ended without a raw disk.'),
  })
  .meta({ id: 'Conversion' });

export const ViewAnswer = z
  .object({ url: z.url().describe('Whoever has it may read the disk.'), expires: z.iso.datetime() })
  .meta({ id: 'View' });

const Numbers = (...names: string[]) => z.object(Object.fromEntries(names.map((name) => [name, z.number()])));

export const EstimateAnswer = z
  .object({
    source: Location.extend({ size: Bytes }),
    size: Bytes.describe('Bytes of raw disk.'),
    estimate: z.object({
      seconds: Numbers('plan', 'convert', 'complete', 'total'),
      balance: z.number(),
      requests: Numbers('get', 'put'),
      bytes: Numbers('read', 'uploaded', 'copied'),
      lambdaSeconds: z.number(),
      transitions: z.number(),
      dollars: Numbers('lambda', 'requests', 'transitions', 'total', 'storagePerMonth'),
    }),
  })
  .meta({ id: 'Estimate', description: 'A forecast by a cost model, not a promise.' });
