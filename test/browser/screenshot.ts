import type { Page } from 'playwright-core';

/** Where pictures for the docs are to go, if they are to be taken: `UNQCOW_SCREENSHOTS=docs/images npm run test:browser`. */
const folder = process.env.UNQCOW_SCREENSHOTS;

/** Takes a picture of what is in view. */
export async function screenshot(page: Page, name: string): Promise<void> {
  if (folder) await page.screenshot({ path: `${folder}/console-${name}.png` });
}
