import {
  BAR_MS,
  BARS,
  FAULT_SHARE_LIMIT,
  OPEN_MAX_TIMES,
  PROBE_POLL_MS,
  ROW_LIMIT,
  WINDOW_CALLS_MIN,
} from '../core/breaker.ts';
import { RESERVE_LIMIT_MS } from '../core/budget.ts';
import { BARE_USERS, BARE_WINDOW_MS, DOUBT_LIMIT_MS } from '../core/gate.ts';

// The scripts say in Lua what core/gate.ts, core/budget.ts and core/breaker.ts say; a test drives both with the same events.
//
// KEYS[1] holds the whole memory of one upstream in one sorted set, so that it is there wholly or gone wholly: an eviction cannot
// drop one budget and keep the rest. Members: d.. due times, s.. stops, q.. doubts, l.. leases of their probes, each with its end
// as the score and gone after it; `cold` with minus the time from which on everything is remembered, `born` with minus the time
// from which on there is this memory; `shares`.
// Scopes: u = the upstream, U<user>, P<proxy>.

/** The time of Redis unless a test gives one, so that the clocks of the processes do not matter. */
const NOW = `
local now = tonumber(ARGV[1])
if now == nil then
  local time = redis.call('TIME')
  now = time[1] * 1000 + time[2] / 1000
end
`;

/** Numbers as Redis stores them, without losing digits. */
const SCORES = `
local function scoreOf(member)
  local score = redis.call('ZSCORE', KEYS[1], member)
  return score and tonumber(score) or nil
end
local function setScore(member, score)
  redis.call('ZADD', KEYS[1], string.format('%.17g', score), member)
end
`;

/** State as in core/breaker.ts: m mode, u untilMs, o openings, r row, b bars {at, calls, faults}. */
const BREAKER = `
local openMs = 0
local function newBreaker()
  return { m = 'closed', u = 0, o = 0, r = 0, b = {} }
end
local function readBreaker()
  local text = redis.call('GET', KEYS[2])
  return text and cjson.decode(text) or newBreaker()
end
local function writeBreaker(breaker)
  if breaker.m == 'closed' and breaker.r == 0 and #breaker.b == 0 then
    redis.call('DEL', KEYS[2])
  else
    redis.call('SET', KEYS[2], cjson.encode(breaker), 'PX', ${DOUBT_LIMIT_MS})
  end
end
local function openBreaker(breaker)
  local times = math.min(${OPEN_MAX_TIMES}, 2 ^ math.min(breaker.o, 30))
  return { m = 'open', u = math.floor(now) + openMs * times, o = breaker.o + 1, r = 0, b = {} }
end
local function countCalls(breaker, calls, faults)
  local at = math.floor(now / ${BAR_MS})
  local bars, allCalls, allFaults = {}, calls, faults
  for _, bar in ipairs(breaker.b) do
    if bar[1] > at - ${BARS} and bar[1] <= at then
      bars[#bars + 1] = bar
      allCalls, allFaults = allCalls + bar[2], allFaults + bar[3]
    end
  end
  local last = bars[#bars]
  if last and last[1] == at then
    last[2], last[3] = last[2] + calls, last[3] + faults
  else
    bars[#bars + 1] = { at, calls, faults }
  end
  breaker.b = bars
  breaker.r = faults > 0 and breaker.r + 1 or 0
  local isTooMuch = breaker.r >= ${ROW_LIMIT}
    or (allCalls >= ${WINDOW_CALLS_MIN} and allFaults >= allCalls * ${FAULT_SHARE_LIMIT})
  return faults > 0 and isTooMuch and openBreaker(breaker) or breaker
end
local function endBreakerProbe(breaker, result)
  if result == 'answered' then return newBreaker() end
  if result == 'fault' then return openBreaker(breaker) end
  breaker.u = math.floor(now)
  return breaker
end
local function tellBreaker(breaker, result, probe)
  if breaker.m == 'closed' then
    if result == 'abandoned' then return breaker end
    return countCalls(breaker, 1, result == 'fault' and 1 or 0)
  end
  if breaker.m == 'half-open' and probe == breaker.u then return endBreakerProbe(breaker, result) end
  return breaker
end
`;

/**
 * ARGV: 1 now or '', 2 user, 3 proxy or '', 4 reserveMs, 5 leaseMs, 6 answered, 7 1 when returning, 2 when Redis may have forgotten something as well, 8 returnMs, 9 coldReserveMs,
 * 10 ttlMs, then for each scope intervalMs, toleranceMs, furthestMs.
 * Answers kind, waitMs, why or the breaker's probe, scope or doubted scopes, now, sharesUntilMs, bornAtMs.
 */
export const TAKE_SCRIPT = `${NOW}${SCORES}${BREAKER}
local reserveMs, leaseMs, answered = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local returnMs, coldReserveMs = tonumber(ARGV[8]), tonumber(ARGV[9])
local isReturning = ARGV[7] ~= '0'

-- Writes first: a script that has written is not refused for want of memory half-way (redis.io, "Lua scripting", 2026-11).
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, string.format('%.17g', now))
local cold = scoreOf('cold')
if not cold or ARGV[7] == '2' or -cold > now + ${RESERVE_LIMIT_MS} then
  -- Nothing is remembered, or not the last of it, or the clock has gone back: whoever called before may have used up everything.
  if not cold then
    isReturning = true
    setScore('born', -now)
  end
  cold = -(now + coldReserveMs)
  setScore('cold', cold)
end
local shares = math.min(scoreOf('shares') or 0, now + returnMs)
if isReturning then
  shares = now + returnMs
  setScore('shares', shares)
end
redis.call('PEXPIRE', KEYS[1], ARGV[10])

local breaker = readBreaker()
if answered > 0 and breaker.m == 'closed' then
  breaker = countCalls(breaker, answered, 0)
  writeBreaker(breaker)
end
local function reply(kind, waitMs, third, fourth)
  local times = { string.format('%.3f', now), string.format('%.3f', shares), string.format('%.3f', -(scoreOf('born') or cold)) }
  return { kind, string.format('%.3f', waitMs), third, tostring(fourth), unpack(times) }
end

local scopes = { { name = 'u' }, { name = 'U' .. ARGV[2] } }
if ARGV[3] ~= '' then scopes[3] = { name = 'P' .. ARGV[3] } end
local longest, longestOf = 0, 0
for at, scope in ipairs(scopes) do
  scope.doubt = scoreOf('q' .. scope.name) or 0
  local lease = scope.doubt > now and math.min((scoreOf('l' .. scope.name) or 0) - now, ${PROBE_POLL_MS}) or 0
  local waitMs = math.max((scoreOf('s' .. scope.name) or 0) - now, lease)
  if waitMs > longest then longest, longestOf = waitMs, at end
end
if longest > 0 then return reply('wait', longest, 'stop', longestOf) end

if breaker.m ~= 'closed' and now < breaker.u then
  local leftMs = breaker.u - now
  return reply('wait', breaker.m == 'open' and leftMs or math.min(leftMs, ${PROBE_POLL_MS}), 'breaker', 3)
end

for at, scope in ipairs(scopes) do
  scope.interval = tonumber(ARGV[8 + 3 * at])
  local due = math.max(scoreOf('d' .. scope.name) or 0, scope.interval - cold)
  scope.due = math.min(due, now + tonumber(ARGV[10 + 3 * at]))
  scope.free = scope.due - tonumber(ARGV[9 + 3 * at])
end
local slot = math.max(now, scopes[1].free)
for at = 2, #scopes do
  if scopes[at].free > slot then return reply('wait', scopes[at].free - now, 'budget', at) end
end
if slot - now > reserveMs then return reply('wait', slot - now, 'budget', 1) end

local doubted = ''
for at, scope in ipairs(scopes) do
  setScore('d' .. scope.name, math.max(scope.due, slot) + scope.interval)
  if scope.doubt > now then
    setScore('l' .. scope.name, now + leaseMs)
    doubted = doubted .. at
  end
end
local probe = ''
if breaker.m ~= 'closed' then
  breaker.m, breaker.u = 'half-open', math.floor(now) + leaseMs
  probe = string.format('%.0f', breaker.u)
  writeBreaker(breaker)
end
return reply('go', slot - now, probe, doubted)
`;

/**
 * KEYS[3]: users with a bare rate limit. ARGV: 1 now or '', 2 user, 3 proxy or '', 4 ttlMs, 5 answered, 6 result, 7 the breaker's
 * probe or '', 8 scopes of the probe, 9 bareWaitMs or '', 10 the breaker's first openMs, then for each stop its scope, waitMs, 1 when it is doubted.
 */
export const NOTE_SCRIPT = `${NOW}${SCORES}${BREAKER}
local names = { 'u', 'U' .. ARGV[2], 'P' .. ARGV[3] }
local result, bareWaitMs = ARGV[6], tonumber(ARGV[9])
openMs = tonumber(ARGV[10])

redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, string.format('%.17g', now))
local function stop(name, waitMs, isDoubted)
  setScore('s' .. name, math.max(scoreOf('s' .. name) or 0, now + waitMs))
  if isDoubted then
    setScore('q' .. name, math.max(scoreOf('q' .. name) or 0, now + waitMs + ${DOUBT_LIMIT_MS}))
    redis.call('ZREM', KEYS[1], 'l' .. name)
  end
end

for digit in string.gmatch(ARGV[8], '%d') do
  local name = names[tonumber(digit)]
  redis.call('ZREM', KEYS[1], 'l' .. name)
  if result == 'answered' then redis.call('ZREM', KEYS[1], 'q' .. name) end
end
for at = 11, #ARGV, 3 do stop(names[tonumber(ARGV[at])], tonumber(ARGV[at + 1]), ARGV[at + 2] == '1') end
if bareWaitMs then
  stop(names[2], bareWaitMs, false)
  redis.call('ZREMRANGEBYSCORE', KEYS[3], 0, string.format('%.17g', now - ${BARE_WINDOW_MS}))
  redis.call('ZADD', KEYS[3], string.format('%.17g', now), ARGV[2])
  redis.call('PEXPIRE', KEYS[3], ${BARE_WINDOW_MS})
  if redis.call('ZCARD', KEYS[3]) >= ${BARE_USERS} then
    stop(names[1], bareWaitMs, false)
    result = 'fault'
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end

local breaker = readBreaker()
if tonumber(ARGV[5]) > 0 and breaker.m == 'closed' then breaker = countCalls(breaker, tonumber(ARGV[5]), 0) end
writeBreaker(tellBreaker(breaker, result, tonumber(ARGV[7])))
return 1
`;

/** KEYS[1]: seats. ARGV: 1 now or '', 2 process, 3 seats, 4 keptMs, 5 the seat held or -1. Answers the seat, or -1 when all are taken. */
export const SEAT_SCRIPT = `${NOW}
local seats, keptMs = tonumber(ARGV[3]), tonumber(ARGV[4])
local taken, own, wanted = {}, nil, tonumber(ARGV[5])
redis.call('PEXPIRE', KEYS[1], keptMs)
for _, seat in ipairs(redis.call('HKEYS', KEYS[1])) do
  local untilMs, process = string.match(redis.call('HGET', KEYS[1], seat), '^(%d+) (.*)$')
  if tonumber(untilMs) <= now or tonumber(seat) >= seats then
    redis.call('HDEL', KEYS[1], seat)
  elseif process == ARGV[2] then
    own = tonumber(seat)
  else
    taken[tonumber(seat)] = true
  end
end
if own == nil and wanted >= 0 and wanted < seats and not taken[wanted] then own = wanted end
for seat = 0, seats - 1 do
  if own == seat or (own == nil and not taken[seat]) then
    redis.call('HSET', KEYS[1], seat, string.format('%.0f %s', now + keptMs, ARGV[2]))
    redis.call('PEXPIRE', KEYS[1], keptMs)
    return seat
  end
end
return -1
`;
