import { Cron } from 'croner';
import { describe, expect, it } from 'vitest';
import { planStack } from '../../infra/plan.ts';
import { type BreakerDecision, CLOSED_BREAKER, decideBreaker } from '../../runtime/core/breaker.ts';
import { FAULTS } from '../../runtime/core/faults.ts';
import { redactValue } from '../../runtime/core/redact-value.ts';
import { redactText } from '../../runtime/core/redact.ts';
import { BRAKE_CACHE_MS, Brakes } from '../../runtime/engine/brakes.ts';
import { graph } from '../../runtime/upstreams/graph.ts';
import { MINER } from '../fakes/engine-rig.ts';
import { memoryLedger } from '../fakes/memory-rows.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import { TestClock } from '../fakes/test-clock.ts';
import { sampleConfig } from '../infra/sample-config.ts';

const NOW_MS = Date.UTC(2026, 10, 28);

describe('the breaker never opens (article ch. 7)', () => {
  /** As printed: 3 exceptions whose text holds "429" open it. */
  class Printed {
    failures = 0;
    get isOpen(): boolean {
      return this.failures >= 3;
    }

    async execute(call: () => Promise<number>): Promise<void> {
      try {
        if ((await call()) === 429) throw new Error('Rate limited - triggering circuit breaker');
      } catch (error) {
        if ((error as Error).message.includes('429')) this.failures += 1;
      }
    }
  }

  it('as printed: its own exception has no 429 in its text, so a thousand refusals leave it closed', async () => {
    const breaker = new Printed();
    for (let call = 0; call < 1000; call += 1) await breaker.execute(async () => 429);
    expect(breaker.isOpen).toBe(false);
  });

  it('ours: a refusal is known by status and code, whatever its text says, and five in a row open the breaker', () => {
    let state = CLOSED_BREAKER;
    const time = { nowMs: NOW_MS, openMs: 15_000 };
    for (const message of ['Rate limited', '', 'no 429 here', '200 OK', 'busy']) {
      expect(state.mode).toBe('closed');
      const body = { error: { message, type: 'T', code: 4 } };
      const fault = graph.classify({ status: 403, headers: {}, body }, false, NOW_MS);
      expect(fault?.code).toBe('rate-limit-upstream');
      const { scope } = FAULTS[fault?.code ?? 'token'];
      if (scope === 'upstream') ({ state } = decideBreaker(state, { kind: 'fault' }, time));
    }
    expect(state.mode).toBe('open');
    const ask = (nowMs: number): BreakerDecision =>
      decideBreaker(state, { kind: 'ask', leaseMs: 1000 }, { ...time, nowMs });
    expect(ask(NOW_MS + 14_999).verdict.kind).toBe('wait');
    const probe = ask(NOW_MS + 15_000);
    expect(probe.verdict.kind).toBe('probe');
    ({ state } = probe);
    expect(ask(NOW_MS + 15_000).verdict.kind).toBe('wait');
  });
});

describe('the velocity alert "draining slowly" has the wrong sign (article ch. 4)', () => {
  /** As printed: messages a minute, positive when the queue grows. */
  const isDrainingSlowly = (velocity: number, depth: number): boolean => velocity < -50 && depth > 1000;

  it('as printed: it warns of the queue that empties fastest, and is silent about one that does not move', () => {
    expect(isDrainingSlowly(-5000, 2000)).toBe(true);
    expect(isDrainingSlowly(-1, 2000)).toBe(false);
    expect(isDrainingSlowly(0, 1_000_000)).toBe(false);
  });

  it('ours: depth that lasts wakes somebody, and a queue that empties before the window is over wakes nobody', () => {
    const alerts = planStack(sampleConfig('prod')).alerts.filter(({ name }) => name.startsWith('depth-'));
    expect(alerts.length).toBeGreaterThanOrEqual(4);
    for (const { operator, aggregation, threshold, windowMinutes } of alerts) {
      expect([operator, aggregation]).toEqual(['GreaterThan', 'Average']);
      /** Average depth over the window of a queue that begins at `depth` and changes by `perMinute`. */
      const average = (depth: number, perMinute: number): number => {
        const minutes = Array.from({ length: windowMinutes }, (_, at) => Math.max(0, depth + perMinute * at));
        return minutes.reduce((sum, one) => sum + one, 0) / windowMinutes;
      };
      const deep = 1.5 * threshold;
      expect(average(deep, 0)).toBeGreaterThan(threshold);
      expect(average(deep, -1)).toBeGreaterThan(threshold);
      expect(average(deep, -deep / 2)).toBeLessThan(threshold);
    }
  });
});

describe('redaction stops at the first dot of a JWT, and leaves the exception as it is (article ch. 7)', () => {
  const PRINTED = [/access_token=[\w-]+/gi, /authorization:\s*bearer\s+[\w-]+/gi];
  const JWT = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnktYm9keSJ9.canary-signature';

  it('as printed: two of three parts of the token stay, and the error is logged beside it', () => {
    const redact = (text: string): string =>
      PRINTED.reduce((rest, pattern) => rest.replace(pattern, '[REDACTED]'), text);
    const line = redact(`GET /me?access_token=${JWT}`);
    expect(line).toContain('canary-signature');
    const error = new Error(`GET /me?access_token=${JWT}`);
    expect(`${line} ${error.message}`).toContain('eyJzdWIiOiJjYW5hcnktYm9keSJ9');
  });

  it('ours: a token is masked whole, also in the exception object', () => {
    for (const message of [`bad access_token=${JWT}`, `Authorization: Bearer ${JWT} expired`]) {
      expect(redactText(message)).not.toMatch(/canary-signature|eyJzdWIi/);
      const error = new Error('the call failed', { cause: new Error(message) });
      expect(JSON.stringify(redactValue({ error }))).not.toMatch(/canary-signature|eyJzdWIi/);
    }
  });
});

describe('an invalid cron as a brake is a valid date (article ch. 5)', () => {
  it('as printed: everything starts again on the first of January, at midnight', () => {
    const next = new Cron('0 0 0 1 1 2', { timezone: 'UTC', domAndDow: true }).nextRun('2026-11-28T00:00:00Z');
    expect(next).not.toBeNull();
    const either = new Cron('0 0 0 1 1 2', { timezone: 'UTC' }).nextRun('2026-11-28T00:00:00Z');
    expect(either?.getUTCMonth()).toBe(0);
  });

  it('ours: a stored brake stops a lane on every day of the year, until it is released', async () => {
    const clock = new TestClock();
    const { control } = memoryLedger();
    const brakes = new Brakes({ control, clock, random: seededRandom(1), log: { warn: () => undefined } });
    const target = { kind: 'lane', name: MINER.lane } as const;
    await brakes.engage(target, { engagedBy: 'a person', reason: 'a drill' });
    for (let day = 0; day < 366; day += 1) {
      await clock.advance(24 * 3_600_000);
      expect(await brakes.on(MINER)).toMatchObject({ isEngaged: true, reason: 'a drill' });
    }
    await brakes.release(target, 'a person', 'over');
    await clock.advance(BRAKE_CACHE_MS);
    expect(await brakes.on(MINER)).toBeUndefined();
  });
});
