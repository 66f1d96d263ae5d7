import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RULES } from '../../policies/rules.ts';
import { rulesTable } from './rules-table.ts';

const BEGIN = '<!-- rules:begin -->';
const END = '<!-- rules:end -->';
const readme = readFileSync(join(process.cwd(), 'README.md'), 'utf8');

describe('the rules', () => {
  it('stand in the README as they are: copy the expected table between its marks', () => {
    const [, table = ''] = readme.split(BEGIN);
    expect(table.split(END)[0]?.trim()).toBe(rulesTable());
  });

  it('have names of their own, and texts that are sentences', () => {
    expect(new Set(RULES.map(({ name }) => name)).size).toBe(RULES.length);
    for (const { name, what, reason, change } of RULES) {
      expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
      for (const text of [what, reason, change]) expect(text).toMatch(/^[A-Z].*\.$/s);
      for (const text of [what, reason, change]) expect(text).not.toMatch(/[|\n]/);
    }
  });
});
