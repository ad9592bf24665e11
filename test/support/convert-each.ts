/**
 * `node convert-each.ts FOLDER < cases.json`: converts images one after the other, in a process that does nothing else, and
 * prints by how many bytes each raised the peak of the process's memory. The first is converted many times before, to warm
 * up.
 */
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { openFile } from '../../lib/source/file.ts';
import { besides, convertTo, type PlacedOptions, refusalOf } from './images.ts';

export interface ConvertedCase {
  readonly name: string;
  readonly path: string;
  readonly places?: Readonly<Record<string, string>>;
  readonly formats?: Readonly<Record<string, string>>;
  readonly options?: PlacedOptions;
}

const cases = JSON.parse(await text(process.stdin)) as readonly ConvertedCase[];
const folder = process.argv[2] as string;
const peak = () => process.resourceUsage().maxRSS * 1024;

async function convert({ path, places = {}, formats = {}, options }: ConvertedCase): Promise<void> {
  const absolute = Object.entries(places).map(([name, file]) => [name, join(dirname(path), file)]);
  const gate = { places: Object.fromEntries(absolute), backingFormats: formats };
  const source = await openFile(path);
  const key = { passphrases: { '': Buffer.from('secret') } };
  await refusalOf(convertTo(folder, source, undefined, { ...besides(path, gate), ...key, ...options }));
  await source.close();
}

const [control] = cases;
for (let i = 0; i < 20; i += 1) await convert(control as ConvertedCase);
const raised: [name: string, bytes: number][] = [];
for (const each of cases) {
  const before = peak();
  await convert(each);
  raised.push([each.name, peak() - before]);
}
process.stdout.write(JSON.stringify(raised));
