/** As package.json has it; written out, since not everything that is built from this has that file beside it. */
export const VERSION = '0.1.0';
