import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const LAUNCHER = join(import.meta.dirname, '..', '..', 'runtime', 'host', 'launch.mjs');

let house = '';

beforeEach(() => {
  house = realpathSync(mkdtempSync(join(tmpdir(), 'adit-launch-')));
  for (const folder of ['node_modules', 'runtime/host', 'runtime/ops'])
    mkdirSync(join(house, folder), { recursive: true });
  copyFileSync(LAUNCHER, join(house, 'runtime/host/launch.mjs'));
  writeFileSync(join(house, 'package.json'), '{ "type": "module" }');
});

afterEach(() => rmSync(house, { recursive: true, force: true }));

function plant(path: string, text: string): void {
  writeFileSync(join(house, path), text);
}

function launch(
  args: readonly string[],
  nodeArgs: readonly string[] = [],
): { status: number | null; out: string; err: string } {
  const launcher = join(house, 'runtime/host/launch.mjs');
  const { status, stdout, stderr } = spawnSync(process.execPath, [...nodeArgs, launcher, ...args], {
    encoding: 'utf8',
  });
  return { status, out: stdout, err: stderr };
}

/** Runs the launcher as if by this version of Node. */
function launchOn(version: string): ReturnType<typeof launch> {
  const versions = `{ value: { ...process.versions, node: '${version}' } }`;
  plant('older.mjs', `Object.defineProperty(process, 'versions', ${versions});\n`);
  return launch(['start'], ['--import', join(house, 'older.mjs')]);
}

describe('the launcher', () => {
  test('hands the arguments to main and exits with its answer', () => {
    plant('runtime/host/start.ts', 'export const main = async (args: string[]) => (console.log(args.join()), 7);');
    expect(launch(['start', '--state', 'here'])).toEqual({ status: 7, out: '--state,here\n', err: '' });
  });

  test('runs the operations commands', () => {
    plant('runtime/ops/cli.ts', "export const main = async (args: string[]) => (console.log('ops', args[0]), 0);");
    expect(launch(['adit', 'drain'])).toEqual({ status: 0, out: 'ops drain\n', err: '' });
  });

  test('silences experimental warnings and no others', () => {
    plant(
      'runtime/host/start.ts',
      `import { DatabaseSync } from 'node:sqlite';
       export async function main(): Promise<number> {
         new DatabaseSync(':memory:').close();
         process.emitWarning('an experiment', 'ExperimentalWarning');
         process.emitWarning('a leak', { type: 'MaxListenersExceededWarning' });
         return 0;
       }`,
    );
    const { err } = launch(['start']);
    expect(err).toContain('a leak');
    expect(err).not.toMatch(/experiment/i);
  });

  test.each(['20.20.2', '22.18.0', '18.0.0'])('says what to do on Node %s', (version) => {
    const { status, err } = launchOn(version);
    expect(status).toBe(2);
    expect(err).toContain(`needs Node 22.19 or newer, this is ${version}`);
    expect(err).toContain('npm ci');
  });

  test.each(['22.19.0', '24.0.0', '26.1.0'])('accepts Node %s', (version) => {
    plant('runtime/host/start.ts', 'export const main = async () => 0;');
    expect(launchOn(version).status).toBe(0);
  });

  test('asks for npm ci when no package is installed', () => {
    rmSync(join(house, 'node_modules'), { recursive: true });
    expect(launch(['start'])).toEqual({
      status: 2,
      out: '',
      err: 'The packages are not installed: run "npm ci" first.\n',
    });
  });

  test('asks for npm ci when one package is missing', () => {
    plant('runtime/host/start.ts', "import 'undici';");
    const { status, err } = launch(['start']);
    expect(status).toBe(2);
    expect(err).toContain("Cannot find package 'undici'");
    expect(err).toContain('npm ci');
  });

  test('refuses an unknown command', () => {
    const { status, err } = launch(['toString']);
    expect(status).toBe(2);
    expect(err).toContain('Unknown command "toString"');
  });

  test('exits with 1 and the error when main fails', () => {
    plant('runtime/host/start.ts', "export const main = async () => { throw new Error('no disk'); };");
    const { status, err } = launch(['start']);
    expect(status).toBe(1);
    expect(err).toContain('no disk');
  });
});
