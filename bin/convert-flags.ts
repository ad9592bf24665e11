import type { GateFlags } from './gate-flags.ts';
import type { KeepingFlags } from './keeping-flags.ts';
import type { TermsFlags } from './terms-flags.ts';
import { UsageError } from './usage.ts';

export interface ConvertFlags extends GateFlags, KeepingFlags, TermsFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly estimate?: boolean;
  readonly salvage?: boolean;
  readonly snapshot?: string;
  readonly allSnapshots?: boolean;
  readonly copyParts: 'on' | 'off';
  readonly zeroParts: 'copy' | 'upload';
  readonly work?: string;
  readonly stateMachine?: string;
  readonly keySecret?: string[];
  readonly detach?: boolean;
  readonly checksum?: boolean;
  readonly workers: number;
  readonly outputLimit?: number;
}

/**
 * @param isGiven Whether a flag is, by the name of its value: not by its default, nor by the environment.
 * @throws UsageError for flags of which one would be ignored beside the others, or from and to such places.
 */
export function assertTogether(
  flags: ConvertFlags,
  isGiven: (flag: keyof ConvertFlags) => boolean,
  { fromS3, toS3 }: { readonly fromS3: boolean; readonly toS3: boolean },
): void {
  const { salvage, estimate, snapshot, allSnapshots, detach, keySecret, passphraseFile, outputLimit } = flags;
  const inCloud = flags.stateMachine !== undefined;
  const refusals: readonly [is: unknown, why: string][] = [
    [salvage && (estimate || inCloud), '--salvage is for this machine only: the state machine converts sound images'],
    [allSnapshots && snapshot !== undefined, '--snapshot and --all-snapshots exclude each other'],
    [allSnapshots && inCloud, '--all-snapshots is for this machine only; see --snapshot'],
    [allSnapshots && estimate, '--estimate is of one disk, not of --all-snapshots; see --snapshot'],
    [passphraseFile && inCloud, '--passphrase-file is for this machine only; see --key-secret'],
    [outputLimit !== undefined && inCloud, '--output-limit is for this machine only: a deployment has its own'],
    [detach && !inCloud, '--detach goes with --state-machine only'],
    [isGiven('workers') && inCloud, '--workers is for this machine only'],
    [isGiven('work') && !toS3 && !estimate, '--work is for targets in S3'],
    [isGiven('zeroParts') && !toS3 && !estimate, '--zero-parts is for targets in S3'],
    [isGiven('copyParts') && !(fromS3 && toS3) && !estimate, '--copy-parts is for what goes from S3 to S3'],
    [keySecret && !inCloud, '--key-secret goes with --state-machine only; see --passphrase-file'],
  ];
  const refusal = refusals.find(([is]) => is);
  if (refusal) throw new UsageError(refusal[1]);
}
