import { type FindingCode, FindingCodes } from '../../lib/errors.ts';
import type { CheckReport, Verdict } from '../../lib/format/check/report.ts';
import { toJson } from '../../lib/format/json.ts';
import { checkDisk } from '../../lib/jobs/check-disk.ts';
import { formatBytes, MiB } from '../../lib/units.ts';
import { showProgress } from '../progress.ts';
import { CHECK_EXIT, print, printable, printWarnings } from '../report.ts';
import { openNamed } from '../source.ts';
import { stopping } from '../stopping.ts';
import { type TermsFlags, termsOf } from '../terms-flags.ts';

interface CheckFlags extends TermsFlags {
  readonly json?: boolean;
  readonly deep?: boolean;
  readonly quiet?: boolean;
  /** In MiB. */
  readonly memory: number;
}

/** Sooner, nobody wants to know how far it is. */
const PROGRESS_AFTER_SECONDS = 1;

/** `unqcow check IMAGE`: whether its tables and refcounts are sound. The exit code says so, too. */
export async function check(name: string, flags: CheckFlags): Promise<void> {
  using stop = stopping();
  const { source } = await openNamed(name, termsOf(flags, [name]));
  const progress = showProgress({ quiet: flags.quiet === true || flags.json === true });
  try {
    const report = await checkDisk(source, {
      filename: name,
      deep: flags.deep,
      memory: flags.memory * MiB,
      signal: stop.signal,
      onProgress: (done, total) => {
        if (progress.seconds() > PROGRESS_AFTER_SECONDS) progress.update(done, total);
      },
    });
    await source.verify();
    progress.end();
    if (flags.json) print(toJson(report, 4));
    else printReport(report, progress.seconds());
    process.exitCode = CHECK_EXIT[report.unqcow.verdict];
  } finally {
    progress.end();
    await source.close();
  }
}

const WORDS = { errors: 'not checked', corruptions: 'corrupt', ownCorruptions: 'corrupt', leaks: 'leaked' } as const;

function printReport(report: CheckReport, seconds: number): void {
  const { unqcow } = report;
  for (const { code, message, at, times } of unqcow.findings) {
    const often = times === undefined ? '' : `, ${times} times`;
    print(printable(`${WORDS[FindingCodes[code].counts]}: ${code}: ${message} (${at}${often})`));
  }
  for (const [code, count] of Object.entries(unqcow.counts)) {
    const listed = unqcow.findings.filter((each) => each.code === code).reduce((sum, { times = 1 }) => sum + times, 0);
    const kind = WORDS[FindingCodes[code as FindingCode].counts];
    if (count > listed) print(`${kind}: ${code}: ${count - listed} more`);
  }
  print(verdictOf(report));
  print(clustersOf(report));
  const deep = unqcow.decompressed === undefined ? '' : `${unqcow.decompressed} compressed clusters decompressed; `;
  const { requests, bytes } = unqcow.read;
  print(`${deep}read ${formatBytes(bytes)} in ${requests} requests, ${seconds.toFixed(1)} s`);
  printWarnings(unqcow.warnings);
}

const MEANING: Readonly<Record<Verdict, string>> = {
  clean: 'no errors were found on the image',
  leaks: 'space is wasted, no data is harmed',
  corrupt: 'data may be corrupt, or may become so by writing to the image',
  incomplete: 'not all of the image could be checked',
};

function verdictOf({ unqcow, leaks = 0, corruptions = 0, 'check-errors': errors }: CheckReport): string {
  const corrupt = unqcow.version === 1 ? corruptions : corruptions + unqcow['own-corruptions'];
  const counts = [
    [errors, 'not checked'],
    [corrupt, 'corruptions'],
    [leaks, 'leaked clusters'],
  ] as const;
  const found = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return [`${unqcow.verdict}: ${MEANING[unqcow.verdict]}`, ...found].join('; ');
}

function clustersOf(report: CheckReport): string {
  const { 'allocated-clusters': allocated = 0, 'total-clusters': total = 0 } = report;
  const percent = (part: number, whole: number) => `${whole === 0 ? '0.00' : ((100 * part) / whole).toFixed(2)} %`;
  return [
    `${allocated} of ${total} clusters allocated (${percent(allocated, total)})`,
    `${percent(report['fragmented-clusters'] ?? 0, allocated)} of them fragmented`,
    `${percent(report['compressed-clusters'] ?? 0, allocated)} compressed`,
    `image end offset ${report['image-end-offset'] ?? 0}`,
  ].join(', ');
}
