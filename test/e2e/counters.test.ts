import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adit, type Ended, lastJson } from './adit.ts';
import { copyOfProduct, damage } from './product-copy.ts';

async function startDamaged(path: string, what: RegExp, by: string): Promise<Ended> {
  const root = await copyOfProduct();
  await damage(root, path, what, by);
  return adit('start', ['--once', '--json', '--users', '1', '--state', join(root, 'state')], { root });
}

describe('a counter that is off by one is exit code 1', () => {
  it.each([
    ['fetched', 'fetched = new + seen + rejected'],
    ['new', 'sent = new'],
    ['seen', 'fetched = new + seen + rejected'],
    ['rejected', 'fetched = new + seen + rejected'],
    ['sent', 'sent = new'],
    ['settled', 'settled = sent + recovered'],
    ['recovered', 'settled = sent + recovered'],
    ['known', 'settled = lake + known + discarded'],
    ['discarded', 'settled = lake + known + discarded'],
    ['lake', 'settled = lake + known + discarded'],
  ])('%s', async (counter, equation) => {
    const ended = await startDamaged(
      'runtime/engine/completeness.ts',
      new RegExp(`\\b${counter}: 0,`),
      `${counter}: 1,`,
    );
    expect(ended.code, ended.stderr).toBe(1);
    const line = ended.stderr.split('\n').find((text) => text.includes(equation));
    const [, mark, left, right] = /^ *(\w+) .* (\d+) = (\d+)$/.exec(line ?? '') ?? [];
    expect(mark, line).toBe('DIFF');
    expect(Math.abs(Number(left) - Number(right)), line).toBe(1);
    // Only the counter is wrong, not the lake.
    expect(lastJson(ended)).toMatchObject({ lost: 0, duplicate: 0 });
  });
});

describe('a row that goes wrong on the way is exit code 1', () => {
  it.each([
    {
      what: 'one lake object that was never written',
      path: 'runtime/adapters/file-lake.ts',
      find: /await place\(temporary, file\);/,
      by: "if (!file.includes('/fans/')) await place(temporary, file);",
      lines: [/DIFF settled = lake \+ known/, /DIFF against what the upstream served +lost [1-9]\d*, duplicate 0/],
    },
    {
      what: 'one row written twice',
      path: 'runtime/engine/ingest.ts',
      find: /lines\.join\(''\)/,
      by: "(lines.join('') + (envelope.minerName === 'fans' ? lines[0] : ''))",
      lines: [/DIFF settled = lake \+ known/, /DIFF against what the upstream served +lost 0, duplicate [1-9]\d*/],
    },
    {
      what: 'one item dropped before anything is counted',
      path: 'runtime/core/page.ts',
      find: /return \{ items: data \};/,
      by: 'return { items: data.slice(1) };',
      lines: [/ok +settled = lake \+ known/, /DIFF against what the upstream served +lost [1-9]\d*, duplicate 0/],
    },
    {
      what: 'one item taken for known that was never sent',
      path: 'runtime/engine/take-page.ts',
      find: /const \{ fresh, dropped, surplus \} = dropSeen\(good, isSeen\);/,
      by: 'const { fresh, dropped, surplus } = dropSeen(good, isSeen.map((known, index) => known || index === 7));',
      lines: [/ok +fetched = new/, /DIFF against what the upstream served +lost [1-9]\d*, duplicate 0/],
    },
    {
      what: 'the data of some rows changed on the way, their versions not',
      path: 'runtime/engine/ingest.ts',
      find: /,"data":\$\{dataText\}/,
      by: `,"data":\${dataText.replace('{', envelope.minerName === 'fans' ? '{"damaged":1,' : '{')}`,
      lines: [/ok +settled = lake/, /DIFF against what the upstream served +lost [1-9]\d*, duplicate 0/],
    },
  ])('$what', async ({ path, find, by, lines }) => {
    const ended = await startDamaged(path, find, by);
    expect(ended.code, ended.stderr).toBe(1);
    for (const line of lines) expect(ended.stderr).toMatch(line);
  });
});
