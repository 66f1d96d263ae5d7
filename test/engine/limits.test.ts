import { describe, expect, it } from 'vitest';
import { Fault } from '../../runtime/core/faults.ts';
import type { GatedCall } from '../../runtime/core/gate.ts';
import type { ReplyFault, Usage } from '../../runtime/core/upstream.ts';
import { type Entry, Limits, type LimitsOptions, type Permit } from '../../runtime/engine/limits.ts';
import { type BudgetOptions, LocalBudgets } from '../../runtime/engine/local-budgets.ts';
import { AutoClock } from '../fakes/auto-clock.ts';
import { NEVER_LOST } from '../fakes/engine-rig.ts';
import { seededRandom } from '../fakes/seeded-random.ts';

const INLINE_MS = 30_000;

class Rig {
  readonly clock = new AutoClock();
  readonly limits: Limits;

  constructor(options: Partial<LimitsOptions & BudgetOptions> = {}) {
    const all = {
      ...{ userCallsPerSecond: 1, upstreamCallsPerSecond: 1000, proxyCallsPerSecond: 10, instances: 1 },
      ...{ concurrency: 100, rateLimitWaitMs: 300_000, callTimeoutMs: 30_000, breakerOpenMs: 15_000 },
      ...options,
    };
    const { clock } = this;
    const budgets = new LocalBudgets({ clock, seat: 0 }, all);
    this.limits = new Limits({ clock, random: seededRandom(1), budgets }, all);
  }

  enter(userId: string, options: { upstream?: string; proxyUrl?: string; maxWaitMs?: number } = {}): Promise<Entry> {
    const call: GatedCall = { upstream: options.upstream ?? 'graph', userId, proxyUrl: options.proxyUrl ?? null };
    return this.limits.enter(call, options.maxWaitMs ?? 0, NEVER_LOST);
  }

  async permit(userId: string, options: Parameters<Rig['enter']>[1] = {}): Promise<Permit> {
    const entry = await this.enter(userId, { maxWaitMs: INLINE_MS, ...options });
    if (entry.kind === 'later') throw new Error(`no permit for ${userId} but a wait of ${entry.waitMs} ms`);
    return entry.permit;
  }

  /** One call that is answered in this way. */
  async answer(userId: string, usages: readonly Usage[], fault?: ReplyFault, proxyUrl?: string): Promise<void> {
    const permit = await this.permit(userId, proxyUrl === undefined ? {} : { proxyUrl });
    await permit.run(() => Promise.resolve());
    await permit.note(usages, fault);
  }

  /** One call that fails on its way. */
  async fail(userId: string, error: unknown, proxyUrl?: string): Promise<void> {
    const permit = await this.permit(userId, proxyUrl === undefined ? {} : { proxyUrl });
    await expect(permit.run(() => Promise.reject(error))).rejects.toBe(error);
  }

  /** 0 when a call may go now; else the wait. */
  async waitMs(userId: string, options: Parameters<Rig['enter']>[1] = {}): Promise<number> {
    const entry = await this.enter(userId, options);
    if (entry.kind === 'later') return entry.waitMs;
    await entry.permit.run(() => Promise.resolve());
    return 0;
  }
}

const BARE: ReplyFault = { code: 'rate-limit-user', reason: 'status 429', retryAfterMs: 20_000, isBare: true };

describe('limits', () => {
  it('give each user a budget of his own, and keep upstreams apart', async () => {
    const rig = new Rig();
    expect([await rig.waitMs('u1'), await rig.waitMs('u1'), await rig.waitMs('u2')]).toEqual([0, 1001, 0]);
    expect(await rig.waitMs('u1', { upstream: 'other' })).toBe(0);
    rig.clock.skip(1001);
    expect(await rig.waitMs('u1')).toBe(0);
  });

  it('give each proxy a budget of its own', async () => {
    const rig = new Rig({ proxyCallsPerSecond: 1 });
    expect(await rig.waitMs('u1', { proxyUrl: 'http://one' })).toBe(0);
    expect(await rig.waitMs('u2', { proxyUrl: 'http://one' })).toBe(1001);
    expect(await rig.waitMs('u3', { proxyUrl: 'http://two' })).toBe(0);
    expect(await rig.waitMs('u4')).toBe(0);
  });

  it('share the budget of an upstream: whoever comes too early is given a place, and nobody asks twice', async () => {
    const rig = new Rig({ upstreamCallsPerSecond: 10 });
    const startMs = rig.clock.now();
    const times = await Promise.all(
      Array.from({ length: 8 }, async (_, at) => {
        await rig.permit(`u${at}`);
        return rig.clock.now() - startMs;
      }),
    );
    expect(times.toSorted((a, b) => a - b)).toEqual([0, 83, 185, 287, 389, 491, 593, 695]);
  });

  it('say later when the wait is longer than the caller may wait in a process', async () => {
    const rig = new Rig({ userCallsPerSecond: 0.02 });
    await rig.permit('u1');
    expect(await rig.enter('u1', { maxWaitMs: INLINE_MS })).toMatchObject({ kind: 'later', waitMs: 50_001 });
  });

  it('never let one caller wait longer than that, however often others are faster', async () => {
    const rig = new Rig({ userCallsPerSecond: 1 });
    const startMs = rig.clock.now();
    const entries = await Promise.all(Array.from({ length: 60 }, () => rig.enter('u1', { maxWaitMs: INLINE_MS })));
    expect(rig.clock.now() - startMs).toBeLessThanOrEqual(INLINE_MS);
    expect(entries.filter(({ kind }) => kind === 'permit').length).toBeGreaterThanOrEqual(28);
    expect(entries.filter(({ kind }) => kind === 'later').length).toBeGreaterThan(20);
  });

  it('say later to callers behind slow calls, who wait in no process then', async () => {
    const rig = new Rig({ concurrency: 2, userCallsPerSecond: 1000 });
    const held = [await rig.permit('a'), await rig.permit('b')];
    const startMs = rig.clock.now();
    const entries = await Promise.all(
      Array.from({ length: 500 }, (_, at) => rig.enter(`u${at}`, { maxWaitMs: INLINE_MS })),
    );
    expect(entries.every((entry) => entry.kind === 'later' && entry.waitMs >= 1000)).toBe(true);
    expect(rig.clock.now() - startMs).toBe(INLINE_MS);
    for (const permit of held) await permit.run(() => Promise.resolve());
    expect(await rig.waitMs('u1')).toBe(0);
  });

  it('give the slot back when the call throws at once, and when the caller is aborted while waiting for his place', async () => {
    const rig = new Rig({ concurrency: 1, upstreamCallsPerSecond: 1 });
    const permit = await rig.permit('u1');
    await expect(
      permit.run(() => {
        throw new TypeError('at once');
      }),
    ).rejects.toThrow('at once');
    const lost = new AbortController();
    const waiting = rig.limits.enter({ upstream: 'graph', userId: 'u2', proxyUrl: null }, INLINE_MS, lost.signal);
    await Promise.resolve();
    lost.abort(new Error('the lock is lost'));
    await expect(waiting).rejects.toThrow('the lock is lost');
    rig.clock.skip(3000);
    expect(await rig.waitMs('u3')).toBe(0);
  });
});

describe('stops', () => {
  it.each([
    [74, undefined, 0],
    [75, undefined, 0],
    [85, undefined, 1000],
    [95, undefined, 60_000],
    [95, 120_000, 120_000],
    [100, 5000, 5000],
    [250, undefined, 60_000],
  ])('at a use of %d per cent that lasts %s ms wait %d ms, this user only', async (percent, regainMs, waitMs) => {
    const rig = new Rig({ userCallsPerSecond: 1000 });
    await rig.answer('u1', [{ scope: 'user', percent, ...(regainMs !== undefined && { regainMs }) }]);
    expect([await rig.waitMs('u1'), await rig.waitMs('u2')]).toEqual([waitMs, 0]);
  });

  it('by a use of 95 per cent end with one probe, whose answer lets the others go or stops them again', async () => {
    const rig = new Rig({ userCallsPerSecond: 1000 });
    await rig.answer('u1', [{ scope: 'upstream', percent: 96 }]);
    expect(await rig.waitMs('u2')).toBe(60_000);
    rig.clock.skip(60_000);
    const probe = await rig.permit('u2');
    expect([await rig.waitMs('u3'), await rig.waitMs('u4')]).toEqual([1000, 1000]);
    await probe.run(() => Promise.resolve());
    await probe.note([{ scope: 'upstream', percent: 99 }], undefined);
    expect(await rig.waitMs('u3')).toBe(60_000);
    rig.clock.skip(60_000);
    await rig.answer('u3', [{ scope: 'upstream', percent: 20 }]);
    expect([await rig.waitMs('u4'), await rig.waitMs('u5')]).toEqual([0, 0]);
  });

  it('last as long as the upstream says, or as the setting when it does not say', async () => {
    const rig = new Rig();
    await rig.answer('u1', [], { code: 'rate-limit-user', reason: '', retryAfterMs: 7000 });
    await rig.answer('u2', [], { code: 'rate-limit-user', reason: '' });
    expect([await rig.waitMs('u1'), await rig.waitMs('u2'), await rig.waitMs('u3')]).toEqual([7000, 300_000, 0]);
    await rig.answer('u4', [], { code: 'rate-limit-upstream', reason: '', retryAfterMs: 9000 });
    expect([await rig.waitMs('u3'), await rig.waitMs('u5')]).toEqual([9000, 9000]);
  });

  it('reach a call that already has its place', async () => {
    const rig = new Rig({ upstreamCallsPerSecond: 2 });
    const first = await rig.permit('u1');
    const placed = rig.enter('u2', { maxWaitMs: 1000 });
    await first.run(() => Promise.resolve());
    await first.note([], { code: 'rate-limit-upstream', reason: '', retryAfterMs: 9000 });
    expect(await placed).toMatchObject({ kind: 'later', waitMs: 8509 });
  });

  it('by a bare limit are the user’s, until three users meet one within ten seconds', async () => {
    const rig = new Rig({ userCallsPerSecond: 1000, upstreamCallsPerSecond: 100_000 });
    const permits = await Promise.all(['u1', 'u2', 'u2', 'u2', 'u3'].map((userId) => rig.permit(userId)));
    const last = permits.pop();
    for (const permit of permits) await permit.note([], BARE);
    expect([await rig.waitMs('u2'), await rig.waitMs('u4')]).toEqual([20_000, 0]);
    rig.clock.skip(9000);
    await last?.note([], BARE);
    expect(await rig.waitMs('u4')).toBe(20_000);
  });

  it('by bare limits of three users further apart stay each one’s own', async () => {
    const rig = new Rig({ userCallsPerSecond: 1000 });
    for (const userId of ['u1', 'u2', 'u3']) {
      await rig.answer(userId, [], BARE);
      rig.clock.skip(5000);
    }
    expect(await rig.waitMs('u4')).toBe(0);
  });
});

describe('the breaker of a way', () => {
  const away = new Fault('transient', 'reset');

  it('opens at five faults in a row, and leaves the other ways open', async () => {
    const rig = new Rig();
    for (let at = 0; at < 5; at += 1) await rig.fail(`u${at}`, away, 'http://one');
    expect(await rig.enter('u9', { proxyUrl: 'http://one' })).toMatchObject({
      kind: 'later',
      waitMs: 15_000,
      isBreakerOpen: true,
    });
    expect([await rig.waitMs('u9'), await rig.waitMs('u8', { proxyUrl: 'http://two' })]).toEqual([0, 0]);
  });

  it('is opened by no limit of a user, no token, no permission and no call that was given up', async () => {
    const rig = new Rig({ upstreamCallsPerSecond: 100_000 });
    for (let at = 0; at < 30; at += 1) {
      const code = (['rate-limit-user', 'token', 'permission', 'user-gone'] as const)[at % 4]!;
      await rig.answer(`u${at}`, [], { code, reason: '', retryAfterMs: 1 });
      await rig.fail(`v${at}`, new Error('aborted'));
      await rig.fail(`w${at}`, new Fault('page-too-large', 'too large'));
    }
    expect(await rig.waitMs('u99')).toBe(0);
  });

  it('is half-open for one call, and closed by its answer, even one that has no page', async () => {
    const rig = new Rig();
    for (let at = 0; at < 5; at += 1) await rig.answer(`u${at}`, [], { code: 'transient', reason: 'status 503' });
    rig.clock.skip(15_000);
    const probe = await rig.permit('u6');
    expect(await rig.waitMs('u7')).toBe(1000);
    await probe.run(() => Promise.resolve());
    await probe.note([], { code: 'token', reason: '' });
    expect(await rig.waitMs('u7')).toBe(0);
  });
});
