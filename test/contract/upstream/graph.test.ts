import { describe, expect, it } from 'vitest';

import { parseServed } from '../../../runtime/core/served-json.ts';
import type { UpstreamReply, Usage } from '../../../runtime/core/upstream.ts';
import { graph } from '../../../runtime/upstreams/graph.ts';

const NOW_MS = Date.UTC(2026, 1, 3, 4, 5, 6);

function reply(status: number, body?: unknown, headers: Record<string, string> = {}): UpstreamReply {
  return { status, headers, body };
}

function envelope(code?: unknown, more: object = {}): object {
  return { error: { message: 'what happened', type: 'OAuthException', code, fbtrace_id: 'Ax1', ...more } };
}

describe('a request', () => {
  it('carries the token as a bearer', () => {
    const user = { userId: 'u1', accessToken: 'secret', proxyUrl: null, status: 'active' } as const;
    expect(graph.authorize(user)).toEqual({ authorization: 'Bearer secret' });
  });

  it('asks for the head with a limit, for a later page with its marker', () => {
    expect(graph.paginate(null, 100)).toEqual({ limit: '100' });
    expect(graph.paginate('QVFI/x+y==', 7)).toEqual({ limit: '7', after: 'QVFI/x+y==' });
  });
});

describe('the next page', () => {
  const more = (after: unknown, next: unknown = 'https://elsewhere.example/x?after=other') => ({
    data: [],
    paging: { cursors: { after }, next },
  });
  it.each([
    ['next and a marker, whatever the host of next', more('m1'), { kind: 'more', marker: 'm1' }],
    ['an empty page with a next', more('m2'), { kind: 'more', marker: 'm2' }],
    ['a marker without next', { data: [], paging: { cursors: { after: 'm1' } } }, { kind: 'end' }],
    ['no paging', { data: [] }, { kind: 'end' }],
    ['paging that is null', { data: [], paging: null }, { kind: 'end' }],
    ['next that is null', more('m1', null), { kind: 'end' }],
    ['no body', undefined, { kind: 'end' }],
  ])('%s', (_name, body, expected) => {
    expect(graph.next(reply(200, body))).toEqual(expected);
  });

  it.each([
    ['no cursors', { data: [], paging: { next: 'https://x/' } }],
    ['a missing marker', more(undefined)],
    ['a marker that is null', more(null)],
    ['a marker that is a number', more(17)],
    ['an empty marker', more('')],
    ['a marker that no URL can carry', more('x'.repeat(5_000))],
    ['a lone surrogate in the marker', more('a\ud800')],
    ['an inherited marker', { paging: { next: 'x', cursors: Object.create({ after: 'm' }) as object } }],
  ])('%s after a next is broken', (_name, body) => {
    expect(graph.next(reply(200, body))).toMatchObject({
      kind: 'broken',
      reason: expect.stringMatching(/marker/) as string,
    });
  });
});

describe('the error table', () => {
  type Row = readonly [name: string, answer: UpstreamReply, hadMarker: boolean, code: string | undefined];
  const rateLimitUser = [17, 32, 613, 80001, 80002, 80003, 80004, 80005, 80006].flatMap((code): Row[] => [
    [`400 code ${code}`, reply(400, envelope(code)), false, 'rate-limit-user'],
    [`403 code ${code}`, reply(403, envelope(code)), true, 'rate-limit-user'],
  ]);
  const rateLimitUpstream = [4, 341].flatMap((code): Row[] => [
    [`400 code ${code}`, reply(400, envelope(code)), false, 'rate-limit-upstream'],
    [`403 code ${code}`, reply(403, envelope(code)), false, 'rate-limit-upstream'],
    [`429 code ${code}`, reply(429, envelope(code)), false, 'rate-limit-upstream'],
  ]);
  const rows: readonly Row[] = [
    ['200 with a page', reply(200, { data: [] }), false, undefined],
    ['200 with JSON that is not a page (the miner judges it)', reply(200, { data: null }), false, undefined],
    ['200 with HTML', reply(200, undefined, { 'content-type': 'text/html' }), false, 'page-shape'],
    ['204', reply(204), false, 'page-shape'],
    ['206', reply(206, { data: [] }), false, 'page-shape'],
    ...rateLimitUser,
    ...rateLimitUpstream,
    ['429 bare', reply(429), false, 'rate-limit-user'],
    ['429 with HTML', reply(429, undefined, { 'content-type': 'text/html' }), false, 'rate-limit-user'],
    ['429 code 17', reply(429, envelope(17)), false, 'rate-limit-user'],
    [
      '400 code 4 that says it is transient',
      reply(400, envelope(4, { is_transient: true })),
      false,
      'rate-limit-upstream',
    ],
    [
      '400 code 17.0 as served',
      reply(400, parseServed('{"error":{"message":"m","code":17.0}}')),
      false,
      'rate-limit-user',
    ],
    ['400 code 80007 (not in the table)', reply(400, envelope(80007)), false, 'refused'],
    ['401 bare', reply(401), false, 'token'],
    ['401 code 190', reply(401, envelope(190, { error_subcode: 463 })), false, 'token'],
    ['400 code 190', reply(400, envelope(190)), true, 'token'],
    ['400 code 102', reply(400, envelope(102)), false, 'token'],
    ['403 code 10', reply(403, envelope(10)), false, 'permission'],
    ['403 code 200', reply(403, envelope(200)), false, 'permission'],
    ['403 code 299', reply(403, envelope(299)), false, 'permission'],
    ['403 code 300', reply(403, envelope(300)), false, 'refused'],
    ['403 bare', reply(403), false, 'refused'],
    ['404 with the envelope', reply(404, envelope(100)), true, 'user-gone'],
    ['404 code 803', reply(404, envelope(803)), false, 'user-gone'],
    ['400 code 803', reply(400, envelope(803)), false, 'user-gone'],
    ['404 without the envelope', reply(404, undefined), false, 'wrong-address'],
    ['404 with another JSON', reply(404, { error: 'Not Found' }), false, 'wrong-address'],
    ['301', reply(301, undefined, { location: 'https://elsewhere.example/' }), false, 'wrong-address'],
    ['302 with an envelope', reply(302, envelope(190)), false, 'wrong-address'],
    ['304', reply(304), false, 'wrong-address'],
    ['400 code 100 with a marker', reply(400, envelope(100)), true, 'dead-marker'],
    ['400 code 100 without a marker', reply(400, envelope(100)), false, 'refused'],
    ['500', reply(500), false, 'transient'],
    ['502 with HTML', reply(502, undefined), true, 'transient'],
    ['503 with the envelope', reply(503, envelope(190)), false, 'transient'],
    ['400 code 1', reply(400, envelope(1)), false, 'transient'],
    ['400 code 2', reply(400, envelope(2)), true, 'transient'],
    ['400 with is_transient', reply(400, envelope(9999, { is_transient: true })), false, 'transient'],
    ['408', reply(408), false, 'transient'],
    ['400 bare', reply(400), true, 'refused'],
    ['400 with a code that is a text', reply(400, envelope('17')), false, 'refused'],
    ['405', reply(405), false, 'refused'],
    ['410 with the envelope', reply(410, envelope(1000)), false, 'refused'],
    ['418', reply(418), false, 'refused'],
  ];
  it.each(rows)('%s', (_name, answer, hadMarker, code) => {
    expect(graph.classify(answer, hadMarker, NOW_MS)?.code).toBe(code);
  });
});

describe('Retry-After', () => {
  it.each([
    ['seconds', '7', 7_000],
    ['zero', '0', 0],
    ['an IMF date', 'Tue, 03 Feb 2026 04:05:36 GMT', 30_000],
    ['an RFC 850 date', 'Tuesday, 03-Feb-26 04:05:36 GMT', 30_000],
    ['an asctime date', 'Tue Feb  3 04:05:36 2026', 30_000],
    ['a date that is over', 'Tue, 03 Feb 2026 04:00:00 GMT', 0],
    ['more than a day', '9999999999', 86_400_000],
    ['nothing', undefined, undefined],
    ['a negative number', '-5', undefined],
    ['a word', 'soon', undefined],
    ['a date without a year', 'Tue, 03 Feb', undefined],
    ['a broken date', 'Tue, 99 Foo 2026 04:05:36 GMT', undefined],
    ['two values', '5, 7', undefined],
  ])('%s', (_name, header, waitMs) => {
    const headers = header === undefined ? {} : { 'retry-after': header };
    for (const answer of [
      reply(429, undefined, headers),
      reply(503, undefined, headers),
      reply(400, envelope(17), headers),
    ]) {
      expect(graph.classify(answer, false, NOW_MS)?.retryAfterMs).toBe(waitMs);
    }
  });
});

describe('the reason', () => {
  const reasonOf = (message: string): string =>
    graph.classify(reply(400, envelope(100, { message })), false, NOW_MS)?.reason ?? '';

  it('names status, code, type and message', () => {
    expect(reasonOf('Unsupported get request')).toBe('status 400, code 100: OAuthException: Unsupported get request');
  });

  it('never carries a token, however the upstream echoes it', () => {
    const token = `EAAB${'x7Kq'.repeat(20)}`;
    for (const message of [
      `Malformed access token ${token}`,
      `access_token=${token}`,
      `"token": "${token}"`,
      'Bearer short1',
      'token: short1',
      'access_token=short1&x',
    ]) {
      expect(reasonOf(message)).not.toMatch(/x7Kq|short1/);
    }
  });

  it('is one line of at most 200 characters', () => {
    const reason = reasonOf(`a\r\nb\u2028c ${'word '.repeat(1_000_000)}`);
    expect(reason).toContain('a b c word');
    expect(reason.length).toBe(200);
  });
});

describe('usage headers', () => {
  const usage = (headers: Record<string, string>): readonly Usage[] => graph.usage(reply(200, { data: [] }, headers));
  const app = 'x-app-usage';
  const business = 'x-business-use-case-usage';

  it.each<readonly [string, Record<string, string>, readonly Usage[]]>([
    ['none', {}, []],
    [
      'the largest part counts',
      { [app]: '{"call_count":28,"total_time":91,"total_cputime":25}' },
      [{ scope: 'upstream', percent: 91 }],
    ],
    ['a part may be missing', { [app]: '{"call_count":130}' }, [{ scope: 'upstream', percent: 130 }]],
    [
      'business use case: the largest of all entries, minutes as ms',
      {
        [business]:
          '{"123":[{"type":"pages","call_count":96,"total_cputime":20,"total_time":1,"estimated_time_to_regain_access":0},{"call_count":5,"estimated_time_to_regain_access":3}],"456":[{"total_time":97}]}',
      },
      [{ scope: 'user', percent: 97, regainMs: 180_000 }],
    ],
    [
      'no time to regain',
      { [business]: '{"1":[{"call_count":10,"estimated_time_to_regain_access":0}]}' },
      [{ scope: 'user', percent: 10 }],
    ],
    [
      'both',
      { [app]: '{"call_count":1}', [business]: '{"1":[{"call_count":2}]}' },
      [
        { scope: 'upstream', percent: 1 },
        { scope: 'user', percent: 2 },
      ],
    ],
  ])('%s', (_name, headers, expected) => {
    expect(usage(headers)).toEqual(expected);
  });

  it.each([
    '',
    'x',
    '7',
    'null',
    '[]',
    '{}',
    '{"call_count":"28"}',
    '{"call_count":-1}',
    '{"call_count":null}',
    '{"call_count":1e999}',
  ])('a malformed X-App-Usage is ignored: %s', (header) => {
    expect(usage({ [app]: header })).toEqual([]);
  });

  it.each(['', '{', 'null', '3', '[]', '{"1":{}}', '{"1":[]}', '{"1":[null,3,"x"]}', '{"1":[{"call_count":"9"}]}'])(
    'a malformed X-Business-Use-Case-Usage is ignored: %s',
    (header) => {
      expect(usage({ [business]: header })).toEqual([]);
    },
  );
});
