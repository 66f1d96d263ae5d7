import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { PreviewJson } from '../../infra/preview/tree.ts';
import { until } from '../e2e/adit.ts';
import { descendantsOf, survivorsOf } from '../e2e/process-tree.ts';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = fileURLToPath(new URL('../../infra/preview/main.ts', import.meta.url));

const COMMAND_LIMIT_MS = 120_000;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the command on the program of this repository, as its npm script does. */
function start(args: readonly string[]) {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], { cwd: REPOSITORY });
  const texts = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => (texts.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (texts.err += chunk.toString()));
  const ended = once(child, 'close').then(([code]): Ended => ({ code: code as number | null, ...texts }));
  return { child, ended };
}

describe('npm run preview on this repository', { timeout: COMMAND_LIMIT_MS }, () => {
  it.each(['dev', 'prod'])('shows the stack %s as JSON, every resource below one that is there', async (stack) => {
    const { code, out, err } = await start(['--stack', stack, '--json']).ended;
    expect({ code, err }).toMatchObject({ code: 0 });
    expect(err).not.toContain('\u{1b}');
    const { resources, outputs } = JSON.parse(out) as PreviewJson;
    const names = resources.map(({ type, name }) => `${type} ${name}`);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('azure-native:resources:ResourceGroup group');
    const parents = resources.flatMap(({ parent }) => (parent === null ? [] : [parent]));
    expect(parents.filter((parent) => !names.includes(parent))).toEqual([]);
    expect(outputs).toMatchObject({ stage: stack });
  });

  it('ends the program with it when it is interrupted', async () => {
    const { child, ended } = start(['--stack', 'dev']);
    let program = descendantsOf(child.pid ?? 0);
    await until(() => (program = descendantsOf(child.pid ?? 0)).length > 0, COMMAND_LIMIT_MS, 'the program to start');
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 130, out: '' });
    expect(survivorsOf(program)).toEqual([]);
  });
});
