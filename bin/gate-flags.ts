import { UnqcowError } from '../lib/errors.ts';
import type { Gate } from '../lib/jobs/gate.ts';

/** What the command line says about files that an image names. */
export interface GateFlags {
  readonly allow?: string[];
  readonly map?: string[];
  readonly backingFormat?: string[];
}

/** @throws UnqcowError `BAD_REQUEST` for a `--map` without a name and a place. */
export function gateOf({ allow = [], map = [], backingFormat = [] }: GateFlags): Gate {
  const places = map.map((text) => {
    const [, name, place] = /^(.+?)=(.+)$/s.exec(text) ?? [];
    if (name === undefined || place === undefined) throw new UnqcowError('BAD_REQUEST', `${text} is not NAME=LOCATION`);
    return [name, place] as const;
  });
  const formats = backingFormat.map((text) => {
    const at = text.lastIndexOf('=');
    return at < 0 ? (['', text] as const) : ([text.slice(0, at), text.slice(at + 1)] as const);
  });
  return { allow, places: Object.fromEntries(places), backingFormats: Object.fromEntries(formats) };
}
