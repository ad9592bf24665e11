import { defineConfig } from 'vitest/config';

/** Crashes and changes: a run of its own, since each kill costs a process that has to be started again. */
export default defineConfig({
  test: { include: ['test/faults/**/*.test.ts'], maxWorkers: 2, testTimeout: 120_000, hookTimeout: 120_000 },
});
