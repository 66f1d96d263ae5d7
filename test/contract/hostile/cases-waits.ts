import { always, type HostileCase, type HostileReply, page, pageText, PLAIN, refusal } from './hostile-case.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What is not understood: the setting `rateLimitWaitMs` of a laptop. */
const UNSAID_MS = SECOND;

interface Asks {
  readonly waitMs: number;
  readonly askedMs: readonly [min: number, max: number] | null;
}

const UNSAID: Asks = { waitMs: UNSAID_MS, askedMs: null };

const exactly = (ms: number): Asks => ({ waitMs: ms, askedMs: [ms, ms] });

/** Dates have whole seconds, and time passes until they are read. */
const about = (ms: number): Asks => ({ waitMs: ms - 2 * SECOND, askedMs: [ms - 2 * SECOND, ms] });

const limited = (name: string, header: string, asks: Asks): HostileCase => ({
  name: `Retry-After: ${name}`,
  answer: ({ index }) => (index === 0 ? { status: 429, headers: { 'retry-after': header } } : page()),
  outcome: { state: 'done', fault: 'rate-limit-user', ...asks },
});

/** A date in a form of HTTP, some time from now, by the clock of the engine as the call comes. */
const dated = (name: string, format: (date: Date) => string, inMs: number, asks: Asks): HostileCase => ({
  name: `Retry-After: ${name}`,
  answer: ({ index, nowMs }) =>
    index === 0 ? { status: 429, headers: { 'retry-after': format(new Date(nowMs + inMs)) } } : page(),
  outcome: { state: 'done', fault: 'rate-limit-user', ...asks },
});

const imf = (date: Date): string => date.toUTCString();

/** `Sunday, 06-Nov-94 08:49:37 GMT` (RFC 9110, section 5.6.7). */
function rfc850(date: Date): string {
  const day = new Intl.DateTimeFormat('en-US', { weekday: 'long', timeZone: 'UTC' }).format(date);
  const [, ofMonth, month, year, time] = date.toUTCString().split(' ');
  return `${day}, ${ofMonth}-${month}-${year?.slice(2)} ${time} GMT`;
}

/** `Sun Nov  6 08:49:37 1994`, in UTC. */
function asctime(date: Date): string {
  const [day, ofMonth, month, year, time] = date.toUTCString().split(' ');
  return `${day?.slice(0, 3)} ${month} ${String(Number(ofMonth)).padStart(2, ' ')} ${time} ${year}`;
}

const RETRY_AFTER: readonly HostileCase[] = [
  limited('1', '1', exactly(SECOND)),
  limited('3600', '3600', exactly(HOUR)),
  limited('0', '0', exactly(0)),
  limited('1.5', '1.5', exactly(1.5 * SECOND)),
  limited('a day and more', '172800', exactly(DAY)),
  limited('30 digits', '9'.repeat(30), exactly(DAY)),
  limited('500 digits', '9'.repeat(500), exactly(DAY)),
  limited('in blanks', '  7200  ', exactly(2 * HOUR)),
  ...['-5', '+5', '1e3', '0x10', 'NaN', 'Infinity', 'soon', '', '5, 7', '5;7', '1 000', '١٢', 'null', 'P1D', '5s'].map(
    (text) => limited(`${JSON.stringify(text)}, which is none`, Buffer.from(text).toString('latin1'), UNSAID),
  ),
  dated('a date that is over', imf, -HOUR, exactly(0)),
  dated('a date in a hundred years', imf, 100 * 365 * DAY, exactly(DAY)),
  limited('a date that is none', 'Tue, 99 Foo 2026 04:05:36 GMT', UNSAID),
  limited('a date without a year', 'Tue, 03 Feb', UNSAID),
];

/** By themselves: between a call and the reading of its answer nobody else may move the clock. */
export const DATE_CASES: readonly HostileCase[] = [
  dated('an IMF date', imf, HOUR, about(HOUR)),
  dated('an RFC 850 date', rfc850, HOUR, about(HOUR)),
  dated('an asctime date', asctime, HOUR, about(HOUR)),
];

const headed = (
  name: string,
  headers: Readonly<Record<string, string>>,
  asks: Asks = { waitMs: 0, askedMs: null },
): HostileCase => ({
  name: `usage: ${name}`,
  answer: ({ after }) => ({
    headers,
    body: after === null ? pageText([PLAIN[0] ?? ''], 'm1') : pageText([PLAIN[1] ?? '']),
  }),
  outcome: { state: 'done', ...asks },
});

const business = (entry: unknown): Readonly<Record<string, string>> => ({
  'x-business-use-case-usage': JSON.stringify({ 1: [entry] }),
});

const NONSENSE = [
  '',
  '{',
  'null',
  '[]',
  '"95"',
  '99',
  '{"call_count":"99"}',
  '{"call_count":null}',
  '{"call_count":-99}',
  '{"call_count":{}}',
  '{"__proto__":{"call_count":99}}',
  '{"call_count":NaN}',
  '{"a":{"b":{"c":[]}}}',
  `{"x":"${'y'.repeat(10_000)}"}`,
];

const USAGE: readonly HostileCase[] = [
  ...NONSENSE.map((text) => headed(`X-App-Usage ${text.slice(0, 40)}`, { 'x-app-usage': text })),
  ...NONSENSE.map((text) =>
    headed(`X-Business-Use-Case-Usage ${text.slice(0, 40)}`, { 'x-business-use-case-usage': text }),
  ),
  headed('an entry that is null', business(null)),
  headed('an entry that is a text', business('99')),
  headed('1e308 minutes to go', business({ call_count: 99, estimated_time_to_regain_access: 1e308 }), exactly(DAY)),
  headed('a negative time to go', business({ call_count: 99, estimated_time_to_regain_access: -5 }), exactly(MINUTE)),
  headed(
    'a time to go that is a text',
    business({ call_count: 99, estimated_time_to_regain_access: '5' }),
    exactly(MINUTE),
  ),
  headed('5 minutes to go', business({ call_count: 99, estimated_time_to_regain_access: 5 }), exactly(5 * MINUTE)),
  headed('94 per cent', business({ call_count: 94 })),
  headed('1e308 per cent', business({ call_count: 1e308 }), exactly(MINUTE)),
];

/** Headers that ask for a wait, well formed and not, for one user only. */
export const WAIT_CASES: readonly HostileCase[] = [...RETRY_AFTER, ...USAGE];

const shared = (name: string, reply: HostileReply): HostileCase => ({
  name: `everybody waits: ${name}`,
  answer: ({ index }) => (index === 0 ? reply : page()),
  outcome: { state: 'done', fault: 'rate-limit-upstream', waitMs: SECOND },
});

/** Limits of the whole upstream: everybody waits, and nobody loses anything. */
export const SHARED_WAIT_CASES: readonly HostileCase[] = [
  shared('code 4', refusal(403, { code: 4 }, { 'retry-after': '30' })),
  shared('code 341', refusal(400, { code: 341 })),
  {
    name: 'everybody waits: 96 per cent of the allowance of the app',
    answer: always({ headers: { 'x-app-usage': '{"call_count":96}' }, body: pageText(PLAIN) }),
    outcome: { state: 'done' },
  },
];
