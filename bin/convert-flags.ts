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

/** @throws UsageError for flags of which one would be ignored beside the others. */
export function assertTogether(flags: ConvertFlags): void {
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
    [keySecret && !inCloud, '--key-secret goes with --state-machine only; see --passphrase-file'],
  ];
  const refusal = refusals.find(([is]) => is);
  if (refusal) throw new UsageError(refusal[1]);
}
