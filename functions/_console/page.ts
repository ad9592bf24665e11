import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { build } from 'esbuild';

/** The console as it is served: one page that holds its own script and style, and nothing else. */
export interface ConsolePage {
  readonly html: string;
  /** The Content-Security-Policy that lets just these two run, and has them ask just where they came from. */
  readonly policy: string;
  readonly etag: string;
}

let page: Promise<ConsolePage> | undefined;

/** Builds the page when it is first asked for. In bundles and in the package its result stands in the place of this module. */
export function consolePage(): Promise<ConsolePage> {
  page ??= made();
  return page;
}

/** What stands in the place of this module where there is nothing to build from. */
export async function builtModule(): Promise<string> {
  return `const page = ${JSON.stringify(await made())};\nexport const consolePage = async () => page;\n`;
}

async function made(): Promise<ConsolePage> {
  const [html, script, style] = await Promise.all([
    readFile(new URL('./index.html', import.meta.url), 'utf8'),
    bundled('./app/main.ts'),
    bundled('./style.css'),
  ]);
  // As functions, since `$&` in a text would mean something.
  const whole = html.replace('/* style */', () => style).replace('/* script */', () => script);
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${hashOf(style)}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ];
  const etag = `"${createHash('sha256').update(whole).digest('hex').slice(0, 32)}"`;
  return { html: whole, policy: policy.join('; '), etag };
}

async function bundled(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [new URL(entry, import.meta.url).pathname],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    legalComments: 'none',
    logLevel: 'silent',
  });
  return outputFiles[0]?.text.trim() ?? '';
}

const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
