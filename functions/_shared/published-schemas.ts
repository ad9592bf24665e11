import * as z from 'zod';
import { ConversionResult } from './answers.ts';
import { Conversion } from './schemas.ts';

const schemaOf = (schema: z.ZodType, title: string) => ({
  ...z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }),
  title,
});

/**
 * What the state machine takes and gives, for those who call it from their own: `docs/schemas/`. Within a version fields
 * are only added; whatever else changes gets the next number.
 */
export const publishedSchemas = () => ({
  'conversion-input.v1.json': schemaOf(Conversion, 'Input of unqcow’s state machine'),
  'conversion-output.v1.json': schemaOf(ConversionResult, 'Output of unqcow’s state machine'),
});
