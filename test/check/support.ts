import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import type { CheckReport } from '../../lib/format/check/report.ts';
import { MiB } from '../../lib/units.ts';

/** What `qemu-img check --output=json` says, and how it exits. There is no answer where it could not check. */
export interface QemuCheck {
  readonly code: number;
  readonly answer: Record<string, unknown> | undefined;
  readonly stderr: string;
}

/** @param more What else it needs to know, before the image. */
export function qemuCheck(image: string, more: readonly string[] = ['-f', 'qcow2']): Promise<QemuCheck> {
  return new Promise((resolve, reject) => {
    const args = ['check', '--output=json', ...more, image];
    const options = { cwd: dirname(image), maxBuffer: 256 * MiB, timeout: 60_000 };
    execFile('qemu-img', args, options, (error, stdout, stderr) => {
      const code = error ? error.code : 0;
      if (typeof code !== 'number') reject(error);
      else resolve({ code, answer: stdout.startsWith('{') ? JSON.parse(stdout) : undefined, stderr });
    });
  });
}

/** Our report as QEMU would have put it. */
export function asQemu({ unqcow: _, ...report }: CheckReport): Record<string, unknown> {
  return report;
}

export const EXIT_CODES = { clean: 0, incomplete: 1, corrupt: 2, leaks: 3 } as const;
