import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import type { StackOptions } from '../../infra/local/stack.ts';
import { type Pipeline, usePipeline } from '../pipeline/use-pipeline.ts';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export interface Console {
  readonly pipeline: Pipeline;
  /** What pages have logged as errors. */
  readonly complaints: string[];
  /** Where the tests' images are made. */
  readonly folder: string;
  /** Opens the console at a place, and waits until it is shown. */
  open(hash: string, page?: Page): Promise<Page>;
  /** A page like any other, on a phone, say, or in the dark. */
  page(options?: BrowserContextOptions): Promise<Page>;
}

/** The local stack, and a Chromium that looks at its console. A page that logs an error or breaks its policy fails its test. */
export function useConsole(options: Partial<StackOptions> = {}): Console {
  const pipeline = usePipeline(options);
  const complaints: string[] = [];
  let folder: string;
  let browser: BrowserContext;
  const others: BrowserContext[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'unqcow-browser-'));
    browser = await launch(join(folder, 'profile'), {});
  });
  afterAll(async () => {
    await Promise.all([browser, ...others].map((each) => each.close()));
    await rm(folder, { recursive: true, maxRetries: 3 });
  });
  afterEach(() => {
    expect(complaints.splice(0)).toEqual([]);
  });

  const page = async (options?: BrowserContextOptions) => {
    const context = options ? await launch(join(folder, `profile-${others.length}`), options) : browser;
    if (options) others.push(context);
    const made = await context.newPage();
    made.setDefaultTimeout(12_000);
    made.on('pageerror', (error) => complaints.push(String(error)));
    made.on('console', (message) => {
      // A refusal of the API is no fault of the page, though Chromium says so.
      if (message.type() === 'error' && !message.text().includes('Failed to load resource'))
        complaints.push(message.text());
    });
    return made;
  };
  return {
    pipeline,
    complaints,
    get folder() {
      return folder;
    },
    page,
    async open(hash, given) {
      const shown = given ?? (await page());
      await shown.goto(`${pipeline.stack.apiEndpoint}/#/${hash}`);
      await shown.locator('h1').waitFor();
      return shown;
    },
  };
}

const launch = (profile: string, options: BrowserContextOptions) =>
  chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium',
    headless: true,
    args: FLAGS,
    viewport: { width: 1100, height: 900 },
    ...options,
  });

/** Runs qemu-img or qemu-io in a folder. */
export const qemuIn =
  (cwd: string) =>
  (command: 'qemu-img' | 'qemu-io', ...args: string[]): string =>
    execFileSync(command, args, { cwd, encoding: 'utf8' });
