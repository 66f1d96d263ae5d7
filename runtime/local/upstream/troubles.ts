import { gzipSync } from 'node:zlib';

import { choose, unit } from './chance.ts';
import { envelope, html, plain } from './replies.ts';
import type { Answer, Override, Plan, Trouble, Visit } from './visit.ts';

/** Bytes behind a decompression bomb: over any sensible page limit, 64 KB on the wire. */
const BOMB_BYTES = 64 * 1024 * 1024;

/** Items of the page before that an overlapping page begins with. */
const OVERLAP_ITEMS = 3;

/** Longest latency, in means. */
const DELAY_MEANS_MAX = 10;

const expiredTokens: Trouble = (visit) => {
  const { renewals, userMemory } = visit.facts;
  if (renewals > 0 || !visit.isPickedUser(visit.scenario.expiredUserShare, 'expired')) return undefined;
  if ((userMemory['calls'] ?? 0) <= visit.scenario.expireAfterCalls) return undefined;
  return {
    answer: envelope(401, 190, 'Error validating access token: the session has expired', { error_subcode: 463 }),
  };
};

const goneUsers: Trouble = (visit) => {
  if (!visit.isPickedUser(visit.scenario.goneUserShare, 'gone')) return undefined;
  return { answer: envelope(404, 803, 'Some of the aliases you requested do not exist') };
};

const forbiddenMiners: Trouble = (visit) => {
  const { minerIndex, miners } = visit.facts;
  if (minerIndex * 2 < miners || !visit.isPickedUser(visit.scenario.forbiddenUserShare, 'forbidden')) return undefined;
  return { answer: envelope(403, choose([10, 200, 299], minerIndex), 'Permission denied') };
};

/** A bucket of tokens for each user. A refused call costs a token as well, down to an empty bucket twice over. */
const rateLimits: Trouble = (visit) => {
  const { ratePerSecond, rateBurst } = visit.scenario;
  if (ratePerSecond === 0) return undefined;
  const { userMemory: memory, nowMs } = visit.facts;
  const gained = ((nowMs - (memory['bucketAtMs'] ?? nowMs)) / 1000) * ratePerSecond;
  const tokens = Math.min(rateBurst, (memory['tokens'] ?? rateBurst) + gained) - 1;
  memory['bucketAtMs'] = nowMs;
  memory['tokens'] = Math.max(-rateBurst, tokens);
  return tokens >= 0 ? undefined : { answer: rateLimited(visit, (-tokens / ratePerSecond) * 1000) };
};

function rateLimited(visit: Visit, waitMs: number): Answer {
  const seconds = Math.ceil(waitMs / 1000);
  const untilDate = new Date(visit.facts.nowMs + seconds * 1000 + 999).toUTCString();
  const message = 'Calls to this api have exceeded the rate limit';
  return choose<() => Answer>(
    [
      () => ({ ...plain(429, 'Too Many Requests\n'), headers: { 'retry-after': String(seconds) } }),
      () => ({ ...plain(429, 'Too Many Requests\n'), headers: { 'retry-after': untilDate } }),
      () => plain(429, ''),
      () => envelope(400, 17, message),
      () => envelope(403, 32, message, { is_transient: true }),
      () => envelope(400, 613, message),
      // Scoped to the upstream, so that it stays rare: every user waits for it.
      () =>
        visit.draw('app limit') % 8 === 0
          ? envelope(403, 4, message, { is_transient: true })
          : envelope(400, 17, message),
    ],
    visit.draw('limit form'),
  )();
}

/** Calls in a window of time, for each user and for all of them, told in the usage headers of every reply. */
const allowance: Trouble = (visit) => {
  const { allowanceCalls, allowanceWindowMs } = visit.scenario;
  if (allowanceCalls === 0) return undefined;
  const { userMemory, memory, users, nowMs, userNumber } = visit.facts;
  const mine = percentUsed(userMemory, allowanceCalls, allowanceWindowMs, nowMs);
  const all = percentUsed(memory, allowanceCalls * users, allowanceWindowMs, nowMs);
  const minutesLeft = mine < 100 ? 0 : Math.ceil((allowanceWindowMs - (nowMs % allowanceWindowMs)) / 60_000);
  const business = {
    type: 'pages',
    call_count: mine,
    total_cputime: mine >> 1,
    total_time: mine >> 2,
    estimated_time_to_regain_access: minutesLeft,
  };
  const headers = {
    'x-app-usage': JSON.stringify({ call_count: all, total_time: all >> 1, total_cputime: all >> 2 }),
    'x-business-use-case-usage': JSON.stringify({ [String(userNumber)]: [business] }),
  };
  if (all > 100)
    return { headers, answer: envelope(403, 4, 'Application request limit reached', { is_transient: true }) };
  return mine > 100 ? { headers, answer: envelope(400, 17, 'User request limit reached') } : { headers };
};

function percentUsed(memory: Record<string, number>, calls: number, windowMs: number, nowMs: number): number {
  const window = Math.floor(nowMs / windowMs);
  memory['windowCalls'] = memory['window'] === window ? (memory['windowCalls'] ?? 0) + 1 : 1;
  memory['window'] = window;
  return Math.ceil((100 * memory['windowCalls']) / calls);
}

/** Failures come in bursts: a list that has begun to fail goes on for a while. */
const bursts: Trouble = (visit) => {
  const { burstEnterShare, burstLeaveShare } = visit.scenario;
  const memory = visit.facts.listMemory;
  const wasFailing = memory['isFailing'] === 1;
  const isFailing = wasFailing
    ? !visit.happens(burstLeaveShare, 'burst ends')
    : visit.happens(burstEnterShare, 'burst begins');
  memory['isFailing'] = isFailing ? 1 : 0;
  return isFailing ? choose(FAILURES, visit.draw('failure')) : undefined;
};

const FAILURES: readonly [Override, ...Override[]] = [
  { answer: envelope(500, 2, 'Service temporarily unavailable', { is_transient: true }) },
  { answer: html(502, 'Bad Gateway') },
  { answer: html(503, 'Service Unavailable', { 'retry-after': '1' }) },
  { answer: html(504, 'Gateway Timeout') },
  { answer: envelope(400, 1, 'An unknown error occurred') },
  { answer: envelope(400, 2, 'Service temporarily unavailable') },
  { answer: envelope(400, 9_999, 'Please retry your request later', { is_transient: true }) },
  { cut: 'before' },
  { cut: 'inside' },
  { cut: 'after' },
];

const latency: Trouble = (visit) => {
  const { delayMs: meanMs, slowCallShare, slowCallMs } = visit.scenario;
  const slowMs = visit.happens(slowCallShare, 'slow call') ? slowCallMs : 0;
  if (meanMs === 0 && slowMs === 0) return undefined;
  const means = Math.min(DELAY_MEANS_MAX, -Math.log(1 - unit(visit.draw('latency'))));
  return { delayMs: meanMs * means + slowMs };
};

const deadMarkers: Trouble = (visit) => {
  const { position, listMemory } = visit.facts;
  if (!position.hasMarker || !visit.isPickedList(visit.scenario.deadMarkerListShare, 'dead marker')) return undefined;
  if (listMemory['hasDied'] === 1) return undefined;
  listMemory['hasDied'] = 1;
  return { answer: deadMarker() };
};

/** The reply to a marker whose item is gone, or that never was one. */
export function deadMarker(): Answer {
  return envelope(400, 100, 'Invalid parameter: after');
}

const brokenPages: Trouble = (visit) => {
  if (!visit.isPickedUser(visit.scenario.brokenUserShare, 'broken')) return undefined;
  const { position, list, limit, userNumber } = visit.facts;
  if (!position.hasMarker && list().alive.length > limit) return undefined;
  return choose(BROKEN, userNumber)(visit);
};

const json = 'application/json';
let bomb: Buffer | undefined;

const BROKEN: readonly [Trouble, ...Trouble[]] = [
  () => ({ answer: html(200, 'Maintenance') }),
  () => ({ answer: plain(200, '{"data":[{"id":"1","te', json) }),
  () => ({ answer: plain(200, '{"paging":{}}', json) }),
  () => ({ answer: plain(200, '{"data":null}', json) }),
  () => ({ answer: plain(200, '{"data":{"id":"1"}}', json) }),
  () => ({ answer: plain(200, '{"data":[],"paging":{"next":"https://graph.invalid/"}}', json) }),
  () => ({ answer: plain(200, '{"data":[],"paging":{"cursors":{"after":17},"next":"https://graph.invalid/"}}', json) }),
  () => {
    bomb ??= gzipSync(Buffer.alloc(BOMB_BYTES, ' '));
    return { answer: { status: 200, headers: { 'content-type': json, 'content-encoding': 'gzip' }, body: bomb } };
  },
  () => ({
    answer: { status: 200, headers: { 'content-type': json, 'content-encoding': 'gzip' }, body: '{"data":[]}' },
  }),
  () => ({ answer: { status: 302, headers: { location: 'https://elsewhere.invalid/' }, body: '' } }),
  () => ({ answer: html(404, 'Not Found') }),
  () => ({ answer: envelope(405, 3, 'Unknown method') }),
  () => ({ cut: 'hang' }),
  () => ({ cut: 'drip' }),
];

/** Marker after marker, and never an end. */
const endlessLists: Trouble = (visit) => {
  const { stuckUserShare, cycleUserShare, cycleLength, treadmillUserShare } = visit.scenario;
  const { position } = visit.facts;
  if (visit.isPickedUser(stuckUserShare, 'stuck')) return endless(visit, () => position.nonce);
  if (visit.isPickedUser(cycleUserShare, 'cycle'))
    return endless(visit, (isFirst) => (isFirst ? 1 : (position.nonce % cycleLength) + 1));
  if (visit.isPickedUser(treadmillUserShare, 'treadmill'))
    return endless(visit, (isFirst) => (isFirst ? 1 : position.nonce + 1));
  return undefined;
};

/** After the first page always the second one again, or the first where there is no second. */
function endless(visit: Visit, nonceOf: (isFirst: boolean) => number): Override | undefined {
  const start = visit.start();
  if (start === undefined) return undefined;
  const { position, limit } = visit.facts;
  const { ordinals } = visit.planFrom(start, limit);
  const isFirst = !position.hasMarker;
  const place = isFirst ? (ordinals.at(-1) ?? position.ordinal) : position.ordinal;
  return { plan: { ordinals, after: visit.marker(place, nonceOf(isFirst)) } };
}

/** An empty page with a next, in the middle or as the last one. Never two on one place. */
const emptyPages: Trouble = (visit) => {
  const { emptyPageShare } = visit.scenario;
  const { position, limit } = visit.facts;
  if (position.nonce === 0 && visit.happens(emptyPageShare, 'empty page')) {
    return { plan: { ordinals: [], after: visit.marker(position.ordinal, 1) } };
  }
  const start = visit.happens(emptyPageShare, 'empty last page') ? visit.start() : undefined;
  const plan: Plan | undefined = start === undefined ? undefined : visit.planFrom(start, limit);
  const last = plan?.ordinals.at(-1);
  if (plan === undefined || last === undefined || plan.after !== undefined) return undefined;
  return { plan: { ordinals: plan.ordinals, after: visit.marker(last, 0) } };
};

const overlaps: Trouble = (visit) => {
  const { list, limit } = visit.facts;
  const start = visit.happens(visit.scenario.overlapShare, 'overlap') ? visit.start() : undefined;
  if (start === undefined) return undefined;
  const again = Math.min(OVERLAP_ITEMS, limit >> 1, list().alive.length - start);
  return again === 0 || again === limit ? undefined : { plan: visit.planFrom(start + again, limit) };
};

const shortPages: Trouble = (visit) => {
  const start = visit.happens(visit.scenario.shortPageShare, 'short page') ? visit.start() : undefined;
  return start === undefined
    ? undefined
    : { plan: visit.planFrom(start, 1 + (visit.draw('length') % visit.facts.limit)) };
};

const badItems: Trouble = (visit) => {
  if (!visit.happens(visit.scenario.badItemPageShare, 'bad items')) return undefined;
  const bad = '{"name":"no id"},{"id":17,"name":"a number"},{"id":"","name":"empty"},{"id":null},"no object",null';
  return {
    edit: (text) =>
      text.replace(/^\{"data":\[(?=(\]?))/, (_start, end: string) => `{"data":[${bad}${end === '' ? ',' : ''}`),
  };
};

/** In this order: who may call, whether the call arrives, what the page holds. A further one needs only its line here. */
export const TROUBLES: readonly Trouble[] = [
  latency,
  allowance,
  rateLimits,
  goneUsers,
  expiredTokens,
  forbiddenMiners,
  bursts,
  deadMarkers,
  brokenPages,
  endlessLists,
  emptyPages,
  overlaps,
  shortPages,
  badItems,
];
