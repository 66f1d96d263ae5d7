import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** What the fake answers to every call. */
export interface PulumiAnswer {
  readonly stdout?: string;
  readonly stderr?: string;
  readonly code?: number;
}

/** A `pulumi` on a PATH of the test's own. */
export interface FakePulumi {
  /** To be given to a process. */
  readonly path: string;
  answer(answer: PulumiAnswer): Promise<void>;
  /** Arguments of the calls so far. */
  calls(): Promise<readonly (readonly string[])[]>;
}

/** Puts an executable named `pulumi` into a folder below `dir`. */
export async function fakePulumi(dir: string): Promise<FakePulumi> {
  const bin = join(dir, 'bin');
  const answers = join(dir, 'pulumi-answer.json');
  const calls = join(dir, 'pulumi-calls.ndjson');
  await mkdir(bin, { recursive: true });
  await writeFile(calls, '');
  const program = [
    `#!${process.execPath}`,
    `const fs = require('node:fs');`,
    `fs.appendFileSync(${JSON.stringify(calls)}, JSON.stringify(process.argv.slice(2)) + '\\n');`,
    `const { stdout = '', stderr = '', code = 0 } = JSON.parse(fs.readFileSync(${JSON.stringify(answers)}, 'utf8'));`,
    `fs.writeSync(1, stdout);`,
    `fs.writeSync(2, stderr);`,
    `process.exit(code);`,
  ];
  const file = join(bin, 'pulumi');
  await writeFile(file, `${program.join('\n')}\n`);
  await chmod(file, 0o755);
  return {
    path: `${bin}${delimiter}${process.env['PATH'] ?? ''}`,
    answer: (answer) => writeFile(answers, JSON.stringify(answer)),
    calls: async () =>
      (await readFile(calls, 'utf8'))
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as string[]),
  };
}
