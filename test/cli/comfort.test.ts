import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { drawMap } from '../../bin/picture.ts';
import type { MapEntry } from '../../lib/format/map.ts';
import { answers, answersText, isSilent, useFaultyS3 } from '../support/faulty-s3.ts';
import { EXT, imageBytes } from '../support/hostile.ts';
import { useStore } from '../support/store.ts';
import { useQemu } from '../support/use-qemu.ts';
import { unqcow } from './run.ts';

const run = promisify(execFile);
const store = useStore();
const seen = useFaultyS3(() => store.s3.target.endpoint);
const qemu = useQemu();
let image: string;
beforeAll(async () => {
  image = await qemu.image('compressed-among-plain');
});

describe('the picture of a map', () => {
  const entry = (start: number, length: number, kind: Partial<MapEntry>): MapEntry => {
    return { start, length, depth: 0, present: true, zero: false, data: true, compressed: false, ...kind };
  };
  async function* of(...entries: MapEntry[]) {
    yield* entries;
  }

  it('shows in each cell what of it holds bytes, however little', async () => {
    const entries = of(
      entry(0, 512, {}),
      entry(512, 3584, { zero: true, data: false }),
      entry(4096, 4096, { compressed: true }),
      entry(8192, 4096, { depth: 1 }),
      entry(12_288, 4096, { present: false, zero: true, data: false }),
    );
    const [first, second, ...rest] = (await drawMap(entries, 16_384, { columns: 2, rows: 2 })).split('\n');
    expect([first, second]).toEqual(['█▓', '▒·']);
    expect(rest.join('\n')).toContain('data 512 B');
    expect(rest.join('\n')).toContain('each sign 4 KiB');
  });

  it('draws no more cells than the disk has sectors, and none of an empty disk', async () => {
    const one = await drawMap(of(entry(0, 512, {})), 512, { columns: 80, rows: 10 });
    expect(one.split('\n')[0]).toBe('█');
    expect(await drawMap(of(), 0, { columns: 80, rows: 10 })).toContain('each sign 0 B');
  });

  it('comes from the command line, without colours where there is no terminal', async () => {
    const { code, stdout } = await unqcow(['map', '--picture', image]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^[█▓▒░·]{80}\n/);
    expect(stdout).not.toContain('\u001b');
  });
});

describe('on a terminal', () => {
  /** What a terminal shows of a command that is started in one, with an environment of its own: with `CI` in it, Node draws no colours. */
  const onTerminal = async (command: string, env: NodeJS.ProcessEnv = {}) => {
    const shell = { PATH: process.env.PATH, HOME: process.env.HOME, TERM: 'xterm', ...env };
    const { stdout } = await run('script', ['-qec', command, '/dev/null'], { env: shell }).catch((failed) => failed);
    return stdout as string;
  };
  const RED = '\u001b[31m';

  it('a picture has colours, and one of no size is drawn all the same', async () => {
    expect(await onTerminal(`bin/unqcow map --picture '${image}'`)).toContain('\u001b[32m█');
    expect(await onTerminal(`bin/unqcow map --picture '${image}'`, { NO_COLOR: '1' })).not.toContain('\u001b[3');
  });

  it('a refusal has its code in colour', async () => {
    expect(await onTerminal('bin/unqcow info none.qcow2')).toContain(`unqcow: ${RED}SOURCE_NOT_FOUND`);
    expect(await onTerminal('bin/unqcow info none.qcow2', { NO_COLOR: '1' })).toContain('unqcow: SOURCE_NOT_FOUND');
  });

  it('a conversion shows its rate, what is left, and parts by their kinds; with --quiet nothing of it', async () => {
    const convert = (...more: string[]) =>
      onTerminal(`bin/unqcow convert '${image}' '${join(qemu.folder, 'shown.raw')}' ${more.join(' ')}`);
    const shown = await convert();
    expect(shown).toMatch(/100% \| .* of .* \| .*iB\/s \| 0s left \| .*\d+ data/);
    expect(shown.trimEnd().split('\n').at(-1)).toMatch(/shown\.raw: .*, parts: .*; read .* in \d+ requests, /);
    expect(await convert('--quiet')).not.toContain('%');
  });
});

describe('bin/unqcow in a checkout', () => {
  it('sets up again once the lockfile is newer than what is installed, and only then', async () => {
    const root = await mkdtemp(join(qemu.folder, 'checkout-'));
    const installed = join(root, 'node_modules/.package-lock.json');
    for (const folder of ['bin', 'infra/local', 'node_modules/.bin'])
      await mkdir(join(root, folder), { recursive: true });
    await copyFile('bin/unqcow', join(root, 'bin/unqcow'));
    await symlink(process.execPath, join(root, 'node_modules/.bin/node'));
    await writeFile(join(root, 'bin/unqcow.ts'), 'process.stdout.write("ran " + process.argv[2])');
    await writeFile(join(root, 'infra/local/setup.sh'), 'echo "setup $1" >&2; [ ! -e offline ]');
    await writeFile(installed, '{}');
    await writeFile(join(root, 'package-lock.json'), '{}');
    await utimes(installed, 2_000, 2_000);
    const lockedAt = (seconds: number) => utimes(join(root, 'package-lock.json'), seconds, seconds);
    const start = () => run(join(root, 'bin/unqcow'), ['info']).catch((failed) => failed);
    await lockedAt(1_000);
    expect(await start()).toMatchObject({ stdout: 'ran info', stderr: '' });
    await lockedAt(3_000);
    expect(await start()).toMatchObject({ stdout: 'ran info', stderr: 'setup npm\n' });
    await writeFile(join(root, 'offline'), '');
    expect(await start()).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('npm run setup') });
  });
});

describe('unqcow doctor', () => {
  const findings = (stdout: string) =>
    (JSON.parse(stdout) as { check: string; ok: boolean; code?: string; cure?: string }[]).map(
      ({ ok, code, cure }) => ({
        ok,
        code,
        cured: cure !== undefined,
      }),
    );
  const fine = { ok: true, code: undefined, cured: false };

  it('finds nothing wrong with what can be read and written, and leaves nothing there', async () => {
    const folder = await mkdtemp(join(qemu.folder, 'doctor-'));
    const { code, stdout } = await unqcow(['doctor', '--json', image, join(folder, 'disk.raw')]);
    expect(code).toBe(0);
    expect(findings(stdout)).toEqual([fine, fine, fine]);
    expect(await readdir(folder)).toEqual([]);
  });

  it('names what is no image, and a folder that is not there, with a cure for each', async () => {
    const nothing = await qemu.imageOf(Buffer.alloc(1000));
    const { code, stdout } = await unqcow(['doctor', '--json', nothing, join(qemu.folder, 'none', 'disk.raw')]);
    expect(code).toBe(1);
    expect(findings(stdout).slice(1)).toEqual([
      { ok: false, code: 'NOT_QCOW', cured: true },
      { ok: false, code: 'DESTINATION_NOT_FOUND', cured: true },
    ]);
  });

  it.each([
    ['a folder', () => [image, qemu.folder], 'DESTINATION_DENIED'],
    ['a device', () => [image, '/dev/null'], 'DESTINATION_DENIED'],
    ['the image itself', () => [image, image], 'BAD_REQUEST'],
  ])('refuses a target that a conversion would refuse: %s', async (_, names, code) => {
    const before = await readdir(qemu.folder);
    const { stdout } = await unqcow(['doctor', '--json', ...names()]);
    expect(findings(stdout).slice(1)).toEqual([fine, { ok: false, code, cured: true }]);
    expect(await readdir(qemu.folder)).toEqual(before);
  });

  it('says of an image what a conversion would need', async () => {
    const folder = await mkdtemp(join(qemu.folder, 'needs-'));
    const [encrypted, overlay] = [join(folder, 'encrypted'), join(folder, 'overlay')];
    await writeFile(encrypted, imageBytes({ header: { cryptMethod: 1 } }));
    await writeFile(overlay, imageBytes({ backing: 'base', extensions: [{ type: EXT.backingFormat, data: 'raw' }] }));
    await writeFile(join(folder, 'base'), 'x'.repeat(512));
    const said = async (...args: string[]) => findings((await unqcow(['doctor', '--json', ...args])).stdout).at(-1);
    expect(await said(encrypted)).toEqual({ ok: false, code: 'KEY_REQUIRED', cured: true });
    expect(await said(overlay)).toEqual({ ok: false, code: 'EXTERNAL_REF_DENIED', cured: true });
    expect(await said(overlay, '--allow', folder)).toEqual(fine);
  });

  /** With the store's own environment, but for what is said. */
  const doctor = (names: string[], env: Readonly<Record<string, string>> = {}) => {
    const { endpoint, region, credentials } = store.s3.target;
    return unqcow(['doctor', '--json', ...names], undefined, {
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      ...env,
    });
  };

  it('says of S3 whether it can be read and written, and leaves no upload open', async () => {
    const { bucket } = store.s3;
    const [target, missing] = [`s3://${bucket}/disk.raw`, `s3://${bucket}/missing.qcow2`];
    expect(findings((await doctor([missing, target])).stdout).slice(1)).toEqual([
      fine,
      fine,
      { ok: false, code: 'SOURCE_NOT_FOUND', cured: true },
      fine,
    ]);
    expect(await store.openUploads()).toEqual([]);
    const elsewhere = (await doctor([missing, `s3://${bucket}-none/disk.raw`])).stdout;
    expect(findings(elsewhere).at(-1)).toEqual({ ok: false, code: 'DESTINATION_NOT_FOUND', cured: true });
    await store.s3.put('precious', 'x');
    const precious = (await doctor([image, `s3://${bucket}/precious`])).stdout;
    expect(findings(precious).at(-1)).toEqual({ ok: false, code: 'DESTINATION_EXISTS', cured: true });
  });

  describe('without names', () => {
    const failed = { ok: false, code: undefined, cured: true };

    it('finds nothing wrong where S3 answers, in one request', async () => {
      const { code, stdout } = await doctor([], { AWS_ENDPOINT_URL_S3: seen.endpoint });
      expect(code).toBe(0);
      expect(findings(stdout)).toEqual([fine, fine, fine]);
      expect(stdout).toContain(`${seen.endpoint} answers (200)`);
      expect(seen.requests).toHaveLength(1);
    });

    it.each([answers(403, 'AccessDenied'), answers(503, 'SlowDown'), answersText(404, '<html>none</html>')])(
      'takes a refusal for an answer: %j',
      async (refusal) => {
        seen.next(refusal);
        const { code, stdout } = await doctor([], { AWS_ENDPOINT_URL_S3: seen.endpoint });
        expect(code).toBe(0);
        expect(findings(stdout).at(-1)).toEqual(fine);
      },
    );

    it('says that nobody answers, and what to do', async () => {
      const { code, stdout } = await doctor([], { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1' });
      expect(code).toBe(1);
      expect(findings(stdout)).toEqual([fine, fine, failed]);
      expect(stdout).toContain('http://127.0.0.1:1 does not answer: connect ECONNREFUSED');
    });

    it('waits 5 s for whoever takes the call and says nothing', async () => {
      seen.next(isSilent);
      const { code, stdout } = await doctor([], { AWS_ENDPOINT_URL_S3: seen.endpoint });
      expect(code).toBe(1);
      expect(findings(stdout).at(-1)).toEqual(failed);
      expect(stdout).toContain('does not answer: nothing within 5 s');
    });

    it('says that its credentials are not those of this S3', async () => {
      const { code, stdout } = await doctor([], { AWS_ACCESS_KEY_ID: 'nobody' });
      expect(code).toBe(1);
      expect(findings(stdout).at(-1)).toEqual(failed);
      expect(stdout).toContain('answers InvalidAccessKeyId');
    });
  });
});

describe('completion in a shell', () => {
  it.each(['bash', 'zsh', 'fish'])('has a script for %s', async (shell) => {
    const { code, stdout } = await unqcow(['complete', shell]);
    expect(code).toBe(0);
    expect(stdout).toContain('unqcow');
  });

  it('offers commands and options', async () => {
    expect((await unqcow(['complete', '--', 'conv'])).stdout).toMatch(/^convert\t/m);
    expect((await unqcow(['complete', '--', 'convert', '--sna'])).stdout).toMatch(/^--snapshot\t/m);
  });

  it('offers paths where one is meant, and a lone folder with what is in it', async () => {
    const folder = await mkdtemp(join(qemu.folder, 'paths-'));
    await mkdir(join(folder, 'images'));
    for (const name of ['disk.qcow2', 'disk.raw', '.hidden', 'images/base.qcow2']) {
      await writeFile(join(folder, name), '');
    }
    const offered = async (...typed: string[]) => {
      const { stdout } = await unqcow(['complete', '--', ...typed]);
      return [...stdout.matchAll(/^(.+)\t/gm)].map(([, path = '']) => path.replace(`${folder}/`, '')).sort();
    };
    expect(await offered('convert', `${folder}/di`)).toEqual(['disk.qcow2', 'disk.raw']);
    expect(await offered('convert', 'disk.qcow2', `${folder}/`)).toEqual(['disk.qcow2', 'disk.raw', 'images/']);
    expect(await offered('info', `${folder}/im`)).toEqual(['images/', 'images/base.qcow2']);
    expect(await offered('convert', '--passphrase-file', `${folder}/.h`)).toEqual(['.hidden']);
    expect(await offered('convert', `${folder}/none/`)).toEqual([]);
    expect(await offered('convert', 's3://vms/')).toEqual([]);
  });

  describe('in bash', () => {
    /** What bash would offer for words as it splits them, the script sourced twice, without the package bash-completion. */
    const offered = async (line: string, ...words: string[]) => {
      const script = `
        source <(bin/unqcow complete bash) && source <(bin/unqcow complete bash) || exit
        PATH=$PWD/bin:$PATH; COMP_LINE=$1; shift
        COMP_POINT=\${#COMP_LINE} COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _unqcow && printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout, stderr } = await run('bash', ['--norc', '--noprofile', '-c', script, 'bash', line, ...words]);
      expect(stderr).toBe('');
      return stdout.trimEnd().split('\n');
    };

    it('offers what there is, names with blanks among it', async () => {
      const folder = await mkdtemp(join(qemu.folder, 'names-'));
      await writeFile(join(folder, 'a b.qcow2'), '');
      expect(await offered('unqcow conv', 'unqcow', 'conv')).toEqual(['convert']);
      expect(await offered(`unqcow info ${folder}/a`, 'unqcow', 'info', `${folder}/a`)).toEqual([
        `${folder}/a b.qcow2`,
      ]);
      const quoted = `${folder}/a\\ b`;
      expect(await offered(`unqcow info ${quoted}`, 'unqcow', 'info', quoted)).toEqual([`${folder}/a b.qcow2`]);
      expect(await offered('unqcow convert --sse=A', 'unqcow', 'convert', '--sse', '=', 'A')).toEqual(['AES256']);
    });

    it('runs nothing of what is typed', async () => {
      const made = join(qemu.folder, 'made');
      await offered(`unqcow info $(touch ${made})`, 'unqcow', 'info', `$(touch ${made})`);
      expect(existsSync(made)).toBe(false);
    });
  });

  it('is a script that zsh can read, and that says what it needs there', async (context) => {
    const { stdout: script } = await unqcow(['complete', 'zsh']);
    const { stderr } = await run('zsh', ['-f', '-c', script]).catch((error) => {
      if (error.code === 'ENOENT') context.skip('there is no zsh');
      throw error;
    });
    expect(stderr).toBe('unqcow: completion needs compinit: autoload -Uz compinit && compinit\n');
  });
});
