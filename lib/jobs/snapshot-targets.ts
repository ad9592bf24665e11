import { UnqcowError } from '../errors.ts';
import { qemuText } from '../format/qemu-text.ts';
import type { SnapshotTable } from '../format/snapshot-table.ts';

/** A disk of an image: a snapshot, or the active one, which has no index. */
export interface NamedDisk {
  readonly index: number | undefined;
  /** Bytes, up to the first NUL: what QEMU tells snapshots apart by. */
  readonly id: Uint8Array;
  readonly name: Uint8Array;
}

/** What stands for the active disk, whichever placeholder is used. */
const ACTIVE = Buffer.from('active');

/** The active disk, and all snapshots in the order of the table. @throws UnqcowError what is wrong with the table. */
export function disksOf(table: SnapshotTable): NamedDisk[] {
  if (table.fault) throw table.fault;
  const snapshots = Array.from({ length: table.count }, (_, index) => ({
    index,
    id: table.textAt(index, 'id'),
    name: table.textAt(index, 'name'),
  }));
  return [{ index: undefined, id: ACTIVE, name: ACTIVE }, ...snapshots];
}

/** As an answer tells them apart. */
export function snapshotLabel({ index, id, name }: NamedDisk) {
  return index === undefined ? null : { index, id: qemuText(id), name: qemuText(name) };
}

/** A file system takes no longer name, and few know what to do with it. */
const LONGEST = 200;

const refuse = (message: string) => new UnqcowError('BAD_REQUEST', message, { at: 'target' });

/** @throws UnqcowError `BAD_REQUEST` for what `targetNames` would refuse whatever the disks are. */
export function assertTemplate(template: string): void {
  const unknown = (template.match(/\{[^{}]*\}/g) ?? []).find((each) => !/^\{(id|name|index)\}$/.test(each));
  if (unknown !== undefined) throw refuse(`${unknown} is not {id}, {name} or {index}`);
  if (!/\{(id|name|index)\}/.test(template))
    throw refuse(`${template} has no {id}, {name} or {index} to tell disks apart`);
  if (/^s3:\/\/[^/]*\{/i.test(template)) throw refuse("a placeholder cannot be in the bucket's name");
}

/**
 * Says where each disk is to go: `{id}`, `{name}` and `{index}` in the template stand for the snapshot's, or for `active`.
 *
 * Ids and names come from the image, so they are escaped: of their bytes letters, digits, `_`, `-` and a `.` that is not
 * the first stay as they are, each other one is `%` and two digits; an empty one is `%`. So nothing that an image says is
 * ever a folder, and what differs stays different.
 *
 * @throws UnqcowError `BAD_REQUEST` for a template without a placeholder, with one that is unknown, or with one in a
 * bucket's name; where two disks would go to one place; for an id or name that is longer than 200 bytes.
 */
export function targetNames(template: string, disks: readonly NamedDisk[]): string[] {
  assertTemplate(template);
  const taken = new Map<string, NamedDisk>();
  return disks.map((disk) => {
    const target = template.replaceAll(/\{(id|name|index)\}/g, (_, key: 'id' | 'name' | 'index') => {
      const text = key === 'index' ? `${disk.index ?? 'active'}` : escaped(disk[key]);
      if (text.length > LONGEST)
        throw refuse(`the ${key} of snapshot ${disk.index} is too long for a target: use {index}`);
      return text;
    });
    const other = taken.get(target);
    if (other) throw refuse(`${whatIs(other)} and ${whatIs(disk)} would both go to ${target}: use {index}, or {id}`);
    taken.set(target, disk);
    return target;
  });
}

const whatIs = ({ index }: NamedDisk) => (index === undefined ? 'the active disk' : `snapshot ${index}`);

function escaped(bytes: Uint8Array): string {
  if (bytes.length === 0) return '%';
  return Array.from(bytes, (byte, i) => {
    const character = String.fromCharCode(byte);
    const stays = /[A-Za-z0-9_-]/.test(character) || (character === '.' && i > 0);
    return stays ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('');
}
