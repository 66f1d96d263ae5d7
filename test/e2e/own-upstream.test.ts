import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { emptyFolder } from './adit.ts';
import { exportRows, lakeLines, mineOnce } from './lake-rows.ts';
import { listOf, page, pageText, plainItems, startUpstream } from './scripted-upstream.ts';

/** What is served, and the text that must stand in the lake when it differs from what was served. */
const VALUES: readonly (readonly [served: string, stored?: string])[] = [
  ['{"id":"n1","n":9007199254740993}'],
  ['{"id":"n2","n":1e400}'],
  ['{"id":"n3","n":-0}'],
  ['{"id":"n4","n":1.0}'],
  ['{"id":"n5","n":12.50}'],
  ['{"id":"n6","n":[-0.0,1E5,1e-7,0.1,123456789012345678901234567890.00]}'],
  ['{"id":"p1","__proto__":{"admin":true},"constructor":{"prototype":1},"toString":null}'],
  ['{"id":"p2","__proto__":{"admin":1.0}}'],
  ['{"__proto__":1,"id":"p3"}'],
  ['{"id":"s1","text":"a\\u0000b"}'],
  ['{"id":"s2","text":"\\ud800 alone, \\udfff too"}'],
  ['{"id":"s3","text":"\\ud800 alone","n":1.0}'],
  ['{"id":"s4","text":"grüße 🙈 漢字 \u2028 \u2029 \u007f \u{10ffff} e\u0301"}'],
  ['{"id":"s5","text":"\\u00e9\\ud83d\\ude48\\/"}', '{"id":"s5","text":"é🙈/"}'],
  ['{"id":"s6","text":"\\"}],\\"data\\":[{\\\\","n":2.50}'],
  ['{"id":"d1","a":1,"a":2}', '{"id":"d1","a":2}'],
  ['{"id":"d2","a":1.0,"a":2.0,"b":null}', '{"id":"d2","a":2.0,"b":null}'],
  ['{"id":"wrong","id":"d3"}', '{"id":"d3"}'],
  ['{ "id" : "w1" , "list" : [ 1 , { } , [ ] , "" ] }', '{"id":"w1","list":[1,{},[],""]}'],
  ['{"id":"e1","":"","a.b":{"$c":[]},"id ":1}'],
  [`{"id":"deep1","d":${'['.repeat(3000)}${']'.repeat(3000)}}`],
  [`{"id":"deep2","d":${'{"d":'.repeat(60_000)}1.50${'}'.repeat(60_000)}}`],
];

describe('an upstream of the adopter', () => {
  it('has its values in the lake as they were served, byte for byte', async () => {
    const upstream = await startUpstream(
      listOf(
        VALUES.map(([served]) => served),
        5,
      ),
    );
    const state = join(await emptyFolder(), 'state');
    const ended = await mineOnce({ upstream, state, users: ['u1'] });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({
      fetched: VALUES.length,
      new: VALUES.length,
      rejected: 0,
      lake: VALUES.length,
    });

    const stored = new Map((await exportRows(state)).map((row) => [row.id, row.dataText]));
    const lines = await lakeLines(state, 'lake');
    for (const [served, text = served] of VALUES) {
      const { id } = JSON.parse(served) as { id: string };
      expect(stored.get(id), id).toBe(text);
      expect(
        lines.some((line) => line.endsWith(`,"data":${text}}`)),
        id,
      ).toBe(true);
    }
    expect(stored.size).toBe(VALUES.length);

    const again = await mineOnce({ upstream, state, users: ['u1'] });
    expect(again.code, again.stderr).toBe(0);
    expect(again.counts).toMatchObject({ new: 0, seen: VALUES.length });
  });

  it('may call its items and users what it likes: nothing collides', async () => {
    const long = 'x'.repeat(4095);
    const ids = [
      ...['a/b', 'a%2Fb', 'a\\b', '../../etc/passwd', '..', '.', 'a b', ' a b', 'a b ', 'a+b', 'a%20b', ' '],
      ...['é', 'e\u0301', '漢字', '🙈', '\u200b', '"', "'", '`', '\\"', 'a\nb', 'a\r\nb', 'a\tb', '\0', 'a\0b'],
      ...['__proto__', 'constructor', 'hasOwnProperty', 'Case', 'case', 'CASE', 'null', 'undefined', 'true', '0', '-0'],
      ...['00', '1', '1.0', '1e0', '\ud800', '\ud801', '\udfff', '\ufffd', `${long}a`, `${long}b`, '|', ':', 'a|b:c'],
    ];
    const items = ids.map((id, index) => JSON.stringify({ id, index }));
    const users = [
      'u/1',
      'u%2F1',
      'ü',
      'u 1',
      'U 1',
      '__proto__',
      '"',
      'a?limit=1',
      'a#b',
      '🙈',
      '...',
      'x'.repeat(256),
    ];
    const upstream = await startUpstream(listOf(items, 10));
    const state = join(await emptyFolder(), 'state');
    const ended = await mineOnce({ upstream, state, users });
    expect(ended.code, ended.stderr).toBe(0);
    const total = ids.length * users.length;
    expect(ended.counts).toMatchObject({ fetched: total, new: total, lake: total, known: 0, rejected: 0 });
    expect(new Set(upstream.calls.map((call) => call.userId))).toEqual(new Set(users));
    expect(upstream.strays).toEqual([]);

    const rows = await exportRows(state);
    const keys = new Set(rows.map((row) => JSON.stringify([row.userId, row.id])));
    expect(keys).toEqual(new Set(users.flatMap((user) => ids.map((id) => JSON.stringify([user, id])))));
    for (const row of rows) expect(row.dataText).toBe(items[ids.indexOf(row.id)]);
    expect(rows.every((row) => row.seq === 1 && !row.late)).toBe(true);
  });

  it('has items without a usable id set aside, whole and counted, and the others mined', async () => {
    const bad = [
      ...['{"n":1.0}', '{"id":7}', '{"id":1.0}', '{"id":""}', '{"id":null}', '{"id":["a"]}', '{"id":{"id":"a"}}'],
      ...['{"__proto__":{"id":"p"}}', 'null', '"text"', '12.50', '[]', '[{"id":"x"}]', `{"id":"${'x'.repeat(4097)}"}`],
    ];
    const good = plainItems('ok', 30);
    const upstream = await startUpstream(listOf([...good.slice(0, 10), ...bad, ...good.slice(10)], 7));
    const state = join(await emptyFolder(), 'state');
    const ended = await mineOnce({ upstream, state, users: ['u1'] });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({ fetched: 44, new: 30, rejected: bad.length, lake: 30, failed: 0 });
    expect((await exportRows(state)).map((row) => row.id).sort()).toEqual(good.map((_, index) => `ok${index}`).sort());
    const rejected = await lakeLines(state, 'rejected');
    const texts = rejected.map((line) => line.slice(line.indexOf(',"data":') + 8, -1));
    expect(texts.sort()).toEqual([...bad].sort());
    for (const line of rejected) expect(line).toMatch(/^\{"miner":"chats","userId":"u1","reason":"id must/);
  });

  it('may serve items of megabytes beside small ones', async () => {
    const text = (bytes: number): string => randomBytes(bytes).toString('base64');
    const large = [`{"id":"1MB","t":"${text(1_000_000)}"}`, `{"id":"300KB","t":"${text(300_000)}"}`];
    const items = [...plainItems('a', 250), large[0]!, ...plainItems('b', 250), large[1]!];
    const upstream = await startUpstream(listOf(items, 100));
    const state = join(await emptyFolder(), 'state');
    const ended = await mineOnce({ upstream, state, users: ['u1', 'u2'] });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({ new: 1004, lake: 1004 });
    const rows = await exportRows(state);
    expect(rows.map((row) => row.dataText).sort()).toEqual([...items, ...items].sort());
  });

  it('is asked for half as many items when a page is over 16 MB, and for the rest after that', async () => {
    const filler = 'x'.repeat(200_000);
    const items = Array.from({ length: 130 }, (_, index) => `{"id":"i${index}","t":"${filler}"}`);
    const upstream = await startUpstream(({ after, limit }) => {
      const from = Number(after ?? 0);
      const to = from + limit;
      return { body: pageText(items.slice(from, to), to < items.length ? String(to) : undefined) };
    });
    const state = join(await emptyFolder(), 'state');
    const ended = await mineOnce({ upstream, state, users: ['u1'] });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({ fetched: 130, new: 130, lake: 130, quarantined: 0 });
    const asked = upstream.calls.slice(1).map(({ limit, after }) => [limit, after]);
    expect(asked).toEqual([
      [100, null],
      [50, null],
      [50, '50'],
      [50, '100'],
    ]);
  });

  it('may have empty pages, short pages, and a next page on another host, which is never called', async () => {
    const other = await startUpstream(() => page([]));
    const upstream = await startUpstream(({ after }) => {
      const nextUrl = `${other.url}/users/u1/chats?after=evil`;
      const at = Number(after ?? 0);
      const items = at % 3 === 0 ? [] : [`{"id":"i${at}"}`];
      return { body: pageText(items, at < 12 ? String(at + 1) : undefined, nextUrl) };
    });
    const state = join(await emptyFolder(), 'state');
    const ended = await mineOnce({ upstream, state, users: ['u1'] });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({ new: 8, lake: 8, pages: 13 });
    expect([other.calls, other.strays]).toEqual([[], []]);
  });
});
