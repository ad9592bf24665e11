import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Cells } from '../../functions/_console/app/map/cells.ts';
import { DiskMap } from '../../functions/_console/app/map/disk-map.ts';
import { DATA, HOLE, KINDS, ZERO } from '../../functions/_console/app/map/kinds.ts';
import { Viewport } from '../../functions/_console/app/map/viewport.ts';

const UNIT = 4;

/** What an API might say of a tiny disk: each entry's length in clusters, whether it is data, and where it lies. */
const disk = fc.array(
  fc.record({ length: fc.integer({ min: 1, max: 5 }), kind: fc.constantFrom(DATA, ZERO, HOLE), host: fc.nat(30) }),
  { minLength: 1, maxLength: 30 },
);
type Drawn = typeof disk extends fc.Arbitrary<infer T> ? T : never;

function entriesOf(drawn: Drawn) {
  let start = 0;
  return drawn.map(({ length, kind, host }) => {
    const entry = {
      ...{ start, length: length * UNIT, depth: 0, present: kind !== HOLE, zero: kind !== DATA, compressed: false },
      ...(kind === DATA ? { offset: host * UNIT } : {}),
    };
    start += entry.length;
    return entry;
  });
}

function mapOf(drawn: Drawn, sizes: { keep?: number; sums?: number } = {}) {
  const entries = entriesOf(drawn);
  const size = entries.reduce((sum, { length }) => sum + length, 0);
  const map = new DiskMap({ size, fileSize: 40 * UNIT, unit: UNIT, ...sizes });
  map.add(entries);
  return { map, entries, size };
}

const bytesOf = (cells: Cells) =>
  Array.from({ length: cells.count }, (_, cell) => KINDS.map((_, kind) => cells.bytes(cell, kind)));

describe('the picture’s sums', () => {
  it('hold every byte once, whatever the cells are', () => {
    fc.assert(
      fc.property(disk, fc.integer({ min: 1, max: 20 }), fc.nat(40), (drawn, size, start) => {
        const { map, entries } = mapOf(drawn);
        const cells = new Cells(start, size, 12);
        map.pour(cells, 'guest');
        for (let cell = 0; cell < cells.count; cell += 1) {
          const [from, to] = [start + cell * size, start + (cell + 1) * size];
          const within = (e: { start: number; length: number }) =>
            Math.max(0, Math.min(to, e.start + e.length) - Math.max(from, e.start));
          const data = entries.filter(({ zero }) => !zero).reduce((sum, entry) => sum + within(entry), 0);
          expect(cells.bytes(cell, DATA)).toBe(data);
        }
      }),
    );
  });

  it('are the same from kept stretches and from sums, where cells are no finer than these', () => {
    fc.assert(
      fc.property(disk, fc.constantFrom<'guest' | 'host'>('guest', 'host'), fc.nat(3), (drawn, order, power) => {
        const exact = mapOf(drawn).map;
        const summed = mapOf(drawn, { keep: 1, sums: 16 }).map;
        const size = summed.finest(order) * 2 ** power;
        const [a, b] = [new Cells(0, size, 10), new Cells(0, size, 10)];
        exact.pour(a, order);
        summed.pour(b, order);
        expect(bytesOf(b)).toEqual(bytesOf(a));
      }),
      { numRuns: 1000 },
    );
  });

  it('count what lies in one place of the file as often as the disk has it', () => {
    const [long, short] = [
      { length: 5, kind: DATA, host: 0 },
      { length: 1, kind: DATA, host: 1 },
    ];
    const { map } = mapOf([long, short, short]);
    const cells = new Cells(0, UNIT, 6);
    map.pour(cells, 'host');
    expect(Array.from({ length: 6 }, (_, cell) => cells.bytes(cell, DATA) / UNIT)).toEqual([1, 3, 1, 1, 1, 0]);
    const behind = new Cells(3 * UNIT, UNIT, 3);
    map.pour(behind, 'host');
    expect([0, 1, 2].map((cell) => behind.bytes(cell, DATA) / UNIT)).toEqual([1, 1, 0]);
    expect(map.find(3 * UNIT, 'host')).toMatchObject({ start: 0, host: 0 });
    expect(map.find(5 * UNIT, 'host')).toBeUndefined();
  });

  it('never take more memory for more stretches', () => {
    const map = new DiskMap({ size: 2 ** 40, fileSize: 2 ** 40, unit: 65_536, keep: 1000, sums: 1024 });
    const before = process.memoryUsage().arrayBuffers;
    for (let page = 0; page < 100; page += 1) {
      map.add(
        Array.from({ length: 10_000 }, (_, i) => {
          const start = (page * 10_000 + i) * 2 ** 20;
          return { start, length: 2 ** 20, depth: 0, present: true, zero: false, compressed: false, offset: start };
        }),
      );
    }
    expect(map.count).toBe(1_000_000);
    expect(map.isExact).toBe(false);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000);
    const cells = new Cells(0, 2 ** 30, 1024);
    map.pour(cells, 'guest');
    expect(cells.bytes(975, DATA)).toBe(2 ** 30);
    expect(cells.bytes(977, DATA)).toBe(0);
  });

  it('count what does not lie behind what came before', () => {
    const at = (host: number) => ({ length: 1, kind: DATA, host });
    const { map } = mapOf([at(5), at(6), at(2), { length: 2, kind: HOLE, host: 0 }, at(3)]);
    expect(map).toMatchObject({ pieces: 4, jumps: 1 });
  });
});

describe('the view', () => {
  const size = fc.integer({ min: 1, max: 5000 });
  const moves = fc.array(
    fc.tuple(fc.constantFrom('zoom', 'step', 'scroll', 'point'), fc.integer({ min: -70, max: 70 })),
  );

  it('never leaves the disk, and always has its cursor in view', () => {
    fc.assert(
      fc.property(
        size,
        fc.integer({ min: 1, max: 900 }),
        fc.integer({ min: 1, max: 600 }),
        moves,
        (length, width, height, made) => {
          const view = new Viewport(length, UNIT);
          view.resize(width, height);
          expect(view.end).toBe(length);
          for (const [move, by] of made) {
            if (move === 'zoom') view.zoom(Math.sign(by));
            if (move === 'step') view.step(by);
            if (move === 'point') view.point(by * 50);
            if (move === 'scroll') view.scroll(by);
            expect(view.start).toBeGreaterThanOrEqual(0);
            expect(view.start).toBeLessThan(length);
            expect(view.cursor % view.cell).toBe(0);
            if (move === 'scroll') view.point(view.start);
            expect(view.cursor).toBeGreaterThanOrEqual(view.start);
            expect(view.cursor).toBeLessThan(view.start + view.columns * view.rows * view.cell);
          }
        },
      ),
    );
  });

  it('zooms to one cluster and back to all', () => {
    const view = new Viewport(2 ** 40, 65_536);
    view.resize(1000, 480);
    view.point(2 ** 39 + 65_536 * 3);
    view.zoom(Number.NEGATIVE_INFINITY, 2 ** 39 + 65_536 * 3);
    expect([view.start, view.end, view.cell]).toEqual([2 ** 39 + 65_536 * 3, 2 ** 39 + 65_536 * 4, 65_536]);
    view.whole();
    expect([view.start, view.end]).toEqual([0, 2 ** 40]);
  });
});
