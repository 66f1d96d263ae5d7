import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

/** One file per rule. Type-aware rules come first: without their type checker they are silent, and silence is success. */
const PLANTED: Readonly<Record<string, readonly [path: string, text: string]>> = {
  'no-floating-promises': ['runtime/core/floating.ts', 'export async function f(): Promise<void> {}\nf();\n'],
  'no-misused-promises': [
    'runtime/core/misused.ts',
    'export async function f(): Promise<void> {}\nif (f()) throw new Error();\n',
  ],
  'await-thenable': ['runtime/core/thenable.ts', 'export const one = await Number(1);\n'],
  'no-unsafe-call': ['runtime/core/unsafe.ts', "export const one: number = JSON.parse('1')();\n"],
  'switch-exhaustiveness-check': [
    'runtime/core/exhaustive.ts',
    "export function f(a: 'x' | 'y'): void {\n  switch (a) {\n    case 'x':\n      break;\n  }\n}\n",
  ],
  'no-explicit-any': ['runtime/core/explicit.ts', 'export type A = any;\n'],
  'no-unused-vars': ['runtime/core/unused.ts', 'const a = 1;\nexport {};\n'],
  'consistent-type-imports': ['runtime/core/imports.ts', "import { A } from './explicit.ts';\nexport type B = A;\n"],
  'no-default-export': ['runtime/core/default.ts', 'export default 1;\n'],
  'max-lines-per-function': ['runtime/core/long.ts', `export function f(): void {\n${'  void 0;\n'.repeat(70)}}\n`],
  'max-lines': ['test/core/lines.ts', 'export {};\n'.repeat(401)],
  'no-restricted-globals': ['runtime/engine/wait.ts', 'export const wait = setTimeout;\n'],
  'no-restricted-properties': ['runtime/host/compose.ts', 'export const home = process.env;\n'],
};

let folder = '';
let diagnostics: readonly { code: string; filename: string }[] = [];

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'adit-lint-')));
  const plant = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const [path, text] of Object.values(PLANTED)) plant(path, text);
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2024',
    strict: true,
    allowImportingTsExtensions: true,
    noEmit: true,
  };
  plant('tsconfig.json', JSON.stringify({ compilerOptions: { ...compilerOptions, types: [] } }));
  plant('package.json', JSON.stringify({ type: 'module' }));
  const oxlint = join(ROOT, 'node_modules', 'oxlint', 'bin', 'oxlint');
  // The configuration is copied, because its overrides name files from the folder that it lies in.
  copyFileSync(join(ROOT, '.oxlintrc.json'), join(folder, '.oxlintrc.json'));
  const { stdout } = spawnSync(process.execPath, [oxlint, '-f', 'json'], { cwd: folder, encoding: 'utf8' });
  ({ diagnostics } = JSON.parse(stdout) as { diagnostics: readonly { code: string; filename: string }[] });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(Object.entries(PLANTED))('lint finds %s', (rule, [path]) => {
  const found = diagnostics.filter(({ filename }) => filename.replaceAll('\\', '/').endsWith(path));
  expect(found.map(({ code }) => code.replace(/^.*\((.*)\)$/, '$1'))).toContain(rule);
});
