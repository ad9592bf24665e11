import { writeFile } from 'node:fs/promises';
import { builtModule } from './page.ts';

/** Puts the console, as it is built, in the place of the module that builds it: in the package there is nothing to build from. */
await writeFile(new URL('../../dist/functions/_console/page.js', import.meta.url), await builtModule());
