import { defineConfig } from 'vitest/config';

/** What can be known of the deployment without an account. Its own run: it packages the service and builds Lambda's runtime client. */
export default defineConfig({
  test: {
    include: ['test/aws/**/*.test.ts'],
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 300_000,
    globalSetup: 'test/aws/support/package-once.ts',
  },
});
