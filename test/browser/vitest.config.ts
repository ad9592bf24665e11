import { defineConfig } from 'vitest/config';

/** The console in a real Chromium, which is not needed for anything else. */
export default defineConfig({
  test: {
    include: ['test/browser/**/*.test.ts'],
    maxWorkers: 1,
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
});
