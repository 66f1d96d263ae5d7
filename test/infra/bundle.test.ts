import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sha256 } from '../../infra/archive.ts';
import { type Bundle, bundleFunctions } from '../../infra/bundle.ts';
import { hostJson } from '../../infra/host-json.ts';
import { miners } from '../../runtime/catalog.ts';
import { functionsOf } from '../../runtime/core/functions.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const FIXTURES = join(ROOT, 'test/infra/fixtures');
const ENTRY = 'test/infra/fixtures/bundle-entry.ts';
const run = promisify(execFile);

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'adit-bundle-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** Bundles an entry of a few lines that imports nothing. */
async function bundleOf(name: string, ...lines: readonly string[]): Promise<Bundle> {
  const entry = join(dir, `${name}.ts`);
  await writeFile(entry, [...lines, ''].join('\n'));
  return await bundleFunctions({ entry, outDir: join(dir, 'out') });
}

const VERSIONED = 'console.log(ADIT_CODE_VERSION);';

/** What a process without any package around it finds in a bundle. */
async function load(codePath: string): Promise<{
  readonly names: readonly string[];
  readonly required: readonly string[];
  readonly answer: { readonly jsonBody: unknown };
}> {
  const place = await mkdtemp(join(dir, 'app-'));
  await cp(codePath, join(place, 'functions.cjs'));
  const { stdout } = await run(process.execPath, [join(FIXTURES, 'load-bundle.cjs')], { cwd: place, env: {} });
  return JSON.parse(stdout) as Awaited<ReturnType<typeof load>>;
}

describe('a bundle', () => {
  let bundle: Bundle;
  let archive: Uint8Array;
  let files: Readonly<Record<string, Uint8Array>>;
  const textOf = (name: string): string => new TextDecoder().decode(files[name]);

  beforeAll(async () => {
    bundle = await bundleFunctions({ entry: ENTRY, outDir: join(dir, 'first') });
    archive = await readFile(join(dir, 'first/functions.zip'));
    files = unzipSync(archive);
  });

  test('is an archive of code, host.json and package.json', () => {
    expect(Object.keys(files)).toEqual(['functions.cjs', 'host.json', 'package.json']);
    expect(JSON.parse(textOf('host.json'))).toEqual(hostJson());
    expect(JSON.parse(textOf('package.json'))).toEqual({
      name: 'adit-functions',
      private: true,
      main: 'functions.cjs',
    });
  });

  test('says its size and hash as they are', () => {
    expect(bundle.sizeBytes).toBe(archive.byteLength);
    expect(bundle.archiveHash).toBe(sha256(archive));
    expect(bundle.codeBytes).toBe(files['functions.cjs']?.byteLength);
  });

  test('names its archive from the root of the repository on', async () => {
    expect(resolve(ROOT, bundle.archivePath)).toBe(join(dir, 'first/functions.zip'));
    const { archivePath } = await bundleFunctions({ entry: ENTRY, outDir: '.adit/build/test' });
    expect(archivePath).toBe('.adit/build/test/functions.zip');
    await rm(join(ROOT, '.adit/build/test'), { recursive: true });
  });

  test('reports its version when it runs, without a package around it', async () => {
    const { names, answer } = await load(join(dir, 'first/functions.cjs'));
    expect(bundle.version).toMatch(/^[0-9a-f]{12}$/);
    expect(names).toEqual(['version']);
    expect(answer.jsonBody).toEqual({ version: bundle.version });
  });

  test('has its source map beside it, which names sources from the repository and holds no text', async () => {
    const map = JSON.parse(await readFile(join(dir, 'first/functions.cjs.map'), 'utf8')) as {
      readonly sources: readonly string[];
      readonly sourcesContent?: unknown;
    };
    expect(map.sources.some((source) => source.endsWith(ENTRY))).toBe(true);
    expect(map.sourcesContent).toBeUndefined();
  });

  test('names no place of this machine', () => {
    for (const name of Object.keys(files)) expect(textOf(name)).not.toContain(ROOT);
  });

  test('is the same bytes again, and in another checkout in another time zone', async () => {
    const again = await bundleFunctions({ entry: ENTRY, outDir: join(dir, 'again') });
    expect({ ...again, archivePath: '' }).toEqual({ ...bundle, archivePath: '' });

    const checkout = await mkdtemp(join(tmpdir(), 'adit-checkout-'));
    try {
      for (const part of ['infra', 'runtime', 'test/infra/fixtures', 'package.json', 'tsconfig.json']) {
        await cp(join(ROOT, part), join(checkout, part), { recursive: true });
      }
      await symlink(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
      const program = join(FIXTURES, 'bundle-here.ts');
      const env = { TZ: 'America/Los_Angeles' };
      const { stdout } = await run(process.execPath, [program], { cwd: checkout, env });
      expect(JSON.parse(stdout)).toEqual({ ...bundle, archivePath: '.adit/build/functions/functions.zip' });
    } finally {
      await rm(checkout, { recursive: true });
    }
  }, 60_000);

  test('changes with the code and not with a comment', async () => {
    const plain = await bundleOf('code', VERSIONED);
    const commented = await bundleOf('code', '/** Says', ' *  more. */', VERSIONED, '// The end.');
    const other = await bundleOf('code', VERSIONED, 'console.log(1);');
    expect(commented.archiveHash).toBe(plain.archiveHash);
    expect(other.archiveHash).not.toBe(plain.archiveHash);
    expect(other.version).not.toBe(plain.version);
  });

  test('knows where it is, as a module does', async () => {
    await bundleOf('place', VERSIONED, 'console.log(import.meta.url, import.meta.filename, import.meta.dirname);');
    const path = join(dir, 'out/functions.cjs');
    const { stdout } = await run(process.execPath, [path]);
    expect(stdout).toContain(`file://${path} ${path} ${join(dir, 'out')}`);
  });
});

describe('a bundle is refused', () => {
  test('when the app could not tell its version', async () => {
    await expect(bundleOf('mute', 'console.log(1);')).rejects.toThrow('never read ADIT_CODE_VERSION');
  });

  test('when an import leads nowhere', async () => {
    await expect(bundleOf('lost', VERSIONED, "import 'no-such-package';")).rejects.toThrow('no-such-package');
  });

  test('when something optional is missing, which would show at run time', async () => {
    const lines = [VERSIONED, "try { require('no-such-addon'); } catch {}"];
    await expect(bundleOf('optional', ...lines)).rejects.toThrow('does not hold: no-such-addon');
  });

  test('when it uses what CommonJS does not have', async () => {
    await expect(bundleOf('meta', VERSIONED, 'console.log(import.meta.env);')).rejects.toThrow('import.meta');
  });

  test('when it needs a native addon', async () => {
    await writeFile(join(dir, 'addon.node'), 'binary');
    await expect(bundleOf('native', VERSIONED, "import './addon.node';")).rejects.toThrow('.node');
  });
});

describe('the functions of the catalog', { timeout: 60_000 }, () => {
  let bundle: Bundle;
  let loaded: Awaited<ReturnType<typeof load>>;
  beforeAll(async () => {
    bundle = await bundleFunctions({ outDir: join(dir, 'real') });
    loaded = await load(join(dir, 'real/functions.cjs'));
  }, 60_000);

  test('are all registered by the bundle, which reports its version', () => {
    expect(loaded.names.toSorted()).toEqual(
      functionsOf(miners)
        .map(({ name }) => name)
        .toSorted(),
    );
    expect(loaded.answer.jsonBody).toEqual({ version: bundle.version });
  });

  test('are loaded with the modules of Node alone, and without its SQLite', () => {
    const foreign = loaded.required.filter((id) => !isBuiltin(id) && !id.startsWith('/'));
    expect(foreign).toEqual(['@azure/functions-core']);
    expect(loaded.required).not.toContain('node:sqlite');
  });

  test('fit into an archive of a few megabytes', () => {
    expect(existsSync(resolve(ROOT, bundle.archivePath))).toBe(true);
    expect(bundle.sizeBytes).toBeLessThan(4 * 1024 * 1024);
  });
});
