import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { sourceFileOf, type SourceFile, type TidyRule } from './source-file.ts';
import { SYNTAX_RULES } from './syntax-rules.ts';
import { TEXT_RULES } from './text-rules.ts';
import { SAMPLES } from './tidy-samples.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const RULES: readonly TidyRule[] = [...SYNTAX_RULES, ...TEXT_RULES];
const BINARY = /\.(png|jpe?g|gif|ico|woff2?|gz|br|zip)$/;

/** Files that git tracks or would track; a deleted one stays listed until the deletion is committed. */
function repositoryPaths(): readonly string[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: ROOT, encoding: 'utf8' });
  return listed.split('\0').filter((path) => path !== '' && existsSync(join(ROOT, path)));
}

function findingsOf(rule: TidyRule, file: SourceFile): readonly string[] {
  if (!rule.applies(file.path)) return [];
  return rule.find(file).map(({ line, what }) => `${file.path}:${line} ${what}`);
}

describe('the tidy rules', () => {
  test('all have samples', () => {
    expect(Object.keys(SAMPLES).toSorted()).toEqual(RULES.map(({ name }) => name).toSorted());
  });

  test.each(RULES.map((rule) => [rule.name, rule] as const))('%s finds what it is for', (name, rule) => {
    const missed = SAMPLES[name]?.bad.filter(([path, text]) => findingsOf(rule, sourceFileOf(path, text)).length === 0);
    expect(SAMPLES[name]?.bad).not.toEqual([]);
    expect(missed).toEqual([]);
  });

  test.each(RULES.map((rule) => [rule.name, rule] as const))('%s leaves the rest alone', (name, rule) => {
    const wronged = SAMPLES[name]?.good.flatMap(([path, text]) => findingsOf(rule, sourceFileOf(path, text)));
    expect(wronged).toEqual([]);
  });
});

describe('the repository', () => {
  let files: readonly SourceFile[] = [];
  beforeAll(() => {
    files = repositoryPaths()
      .filter((path) => !BINARY.test(path))
      .map((path) => sourceFileOf(path, readFileSync(join(ROOT, path), 'utf8')));
  });

  test('is read at all', () => {
    expect(files.length).toBeGreaterThan(40);
    expect(files.map(({ path }) => path)).toContain('runtime/ports.ts');
  });

  test.each(RULES.map((rule) => [rule.name, rule] as const))('keeps %s', (_, rule) => {
    expect(files.some(({ path }) => rule.applies(path))).toBe(true);
    expect(
      files.flatMap((file) => findingsOf(rule, file)),
      rule.why,
    ).toEqual([]);
  });
});
