import { describe, expect, it } from 'vitest';
import { checkDisk } from '../../lib/jobs/check-disk.ts';
import { GROUPS } from '../format/hostile/all-rows.ts';
import { imageBytes, type Row, type Rows } from '../support/hostile.ts';
import { openBytes, refusalOf } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';
import { asQemu, EXIT_CODES, qemuCheck } from './support.ts';

const qemu = useQemu();

/** What is refused though `qemu-img check` goes on: it takes zeros for what a cut-off header lacks. */
const REFUSED: Readonly<Record<string, string>> = {
  hdr_trunc_71: 'TRUNCATED_HEADER',
  hdr_trunc_in_tail: 'TRUNCATED_HEADER',
  hdr_reftable_clusters_0: 'BAD_REFTABLE',
  back_off_in_hdr: 'BAD_BACKING_NAME',
};

/** A million faults: `qemu-img check` takes a minute to print them. */
const SLOW = 'size_1EiB_sparse';

const ROWS = Object.values(GROUPS).flatMap((rows) => Object.entries(rows).filter(([name]) => name !== SLOW));

describe.concurrent('an odd or damaged image', () => {
  it.each(ROWS)('is checked as qemu-img checks it: %s', async (name, { image }) => {
    const bytes = imageBytes(image);
    const path = await qemu.imageOf(bytes);
    const theirs = await qemuCheck(path);
    const work = checkDisk(openBytes(bytes), { filename: path });
    const refusal = await refusalOf(work);
    if (refusal) {
      expect({ code: refusal.code, theirs: theirs.answer }).toEqual({
        code: REFUSED[name] ?? refusal.code,
        theirs: name in REFUSED ? theirs.answer : undefined,
      });
      return;
    }
    const report = await work;
    // Where it could not open the image, or a file that the image names, ours may know more.
    if (theirs.answer === undefined) return expect(theirs.code).toBe(1);
    expect(asQemu(report)).toEqual(theirs.answer);
    expect(EXIT_CODES[report.unqcow.verdict]).toBe(theirs.code);
  });

  it.each(['hdr_reftable_clusters_max', 'hdr_reftable_unaligned', 'hdr_refcount_order_7', 'hdr_refcount_order_ff'])(
    'cannot be checked: %s',
    async (name) => {
      const [, { image }] = ROWS.find(([each]) => each === name) as (typeof ROWS)[number];
      const code = name.startsWith('hdr_reftable') ? 'BAD_REFTABLE' : 'BAD_REFCOUNT_ORDER';
      await expect(checkDisk(openBytes(imageBytes(image)), { filename: name })).rejects.toMatchObject({ code });
    },
  );

  it.each(['bitmap_res', 'bitmap_unaligned', 'bitmap_len', 'snap_nb_65537', 'snap_unaligned'])(
    'is not wholly checked: %s',
    async (name) => {
      const [, { image }] = ROWS.find(([each]) => each === name) as (typeof ROWS)[number];
      const report = await checkDisk(openBytes(imageBytes(image)), { filename: name });
      expect(report.unqcow.verdict).toBe('incomplete');
      expect(report['check-errors']).toBe(1);
    },
  );
});

describe('an image of a million faults', () => {
  it('is told of by their number, and by few of each', async () => {
    const { image } = (GROUPS['a disk size'] as Rows)[SLOW] as Row;
    const report = await checkDisk(openBytes(imageBytes(image)), { filename: SLOW });
    expect(report.corruptions).toBeGreaterThan(1_000_000);
    expect(report.unqcow.findings.length).toBeLessThan(250);
  });
});
