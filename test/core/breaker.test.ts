import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BreakerEvent,
  type BreakerState,
  type BreakerVerdict,
  CLOSED_BREAKER,
  decideBreaker,
} from '../../runtime/core/breaker.ts';
import { FAULTS, type FaultCode } from '../../runtime/core/faults.ts';
import { outcomeOfFault } from '../../runtime/core/gate.ts';

const START_MS = 1_700_000_000_000;
const OPEN_MS = 15_000;
const LEASE_MS = 35_000;

/** A breaker in the hands of a test. */
class Bench {
  state: BreakerState = CLOSED_BREAKER;
  nowMs = START_MS;

  tell(event: BreakerEvent, times = 1): BreakerVerdict {
    let verdict: BreakerVerdict = { kind: 'go' };
    for (let at = 0; at < times; at += 1) {
      const decision = decideBreaker(this.state, event, { nowMs: this.nowMs, openMs: OPEN_MS });
      this.state = decision.state;
      verdict = decision.verdict;
    }
    return verdict;
  }

  ask(): BreakerVerdict {
    return this.tell({ kind: 'ask', leaseMs: LEASE_MS });
  }

  probe(): number {
    const verdict = this.ask();
    if (verdict.kind !== 'probe') throw new Error(`no probe but ${verdict.kind}`);
    return verdict.probe;
  }
}

const ANSWERED: BreakerEvent = { kind: 'answered', calls: 1 };
const FAULT: BreakerEvent = { kind: 'fault' };

describe('a breaker', () => {
  it('opens at the fifth fault in a row, not at the fourth, and an answer starts the row anew', () => {
    const bench = new Bench();
    bench.tell(FAULT, 4);
    bench.tell(ANSWERED);
    bench.tell(FAULT, 4);
    expect(bench.ask()).toEqual({ kind: 'go' });
    bench.tell(FAULT);
    expect(bench.ask()).toEqual({ kind: 'wait', waitMs: OPEN_MS });
  });

  it('opens when half of at least twenty calls in 30 s are faults', () => {
    const bench = new Bench();
    for (let pair = 0; pair < 9; pair += 1) {
      bench.tell(ANSWERED);
      bench.tell(FAULT);
    }
    bench.tell(ANSWERED);
    expect(bench.state.mode).toBe('closed');
    bench.tell(FAULT);
    expect(bench.state.mode).toBe('open');
  });

  it('forgets what is older than 30 s', () => {
    const bench = new Bench();
    for (let pair = 0; pair < 9; pair += 1) {
      bench.tell(ANSWERED);
      bench.tell(FAULT);
    }
    bench.nowMs += 30_000;
    bench.tell(ANSWERED);
    bench.tell(FAULT);
    expect(bench.state.mode).toBe('closed');
  });

  it('stays closed at fewer faults than half, however many', () => {
    const bench = new Bench();
    for (let round = 0; round < 500; round += 1) {
      bench.tell({ kind: 'answered', calls: 2 });
      bench.tell(FAULT);
      bench.nowMs += 40;
    }
    expect(bench.state.mode).toBe('closed');
  });

  it('lets one probe through after its time, doubles up to 15 minutes while probes fail, and starts anew when one is answered', () => {
    const bench = new Bench();
    bench.tell(FAULT, 5);
    for (const seconds of [15, 30, 60, 120, 240, 480, 900, 900]) {
      expect(bench.ask()).toEqual({ kind: 'wait', waitMs: seconds * 1000 });
      bench.nowMs += seconds * 1000;
      const probe = bench.probe();
      expect(bench.ask()).toEqual({ kind: 'wait', waitMs: 1000 });
      bench.tell({ kind: 'fault', probe });
    }
    bench.nowMs += 900_000;
    bench.tell({ kind: 'answered', calls: 1, probe: bench.probe() });
    expect(bench.state).toEqual(CLOSED_BREAKER);
    bench.tell(FAULT, 5);
    expect(bench.ask()).toEqual({ kind: 'wait', waitMs: OPEN_MS });
  });

  it('gives the probe of a prober that died to the next one when its lease is over', () => {
    const bench = new Bench();
    bench.tell(FAULT, 5);
    bench.nowMs += OPEN_MS;
    const first = bench.probe();
    bench.nowMs += LEASE_MS - 1;
    expect(bench.ask().kind).toBe('wait');
    bench.nowMs += 1;
    const second = bench.probe();
    expect(second).not.toBe(first);
    bench.tell({ kind: 'answered', calls: 1, probe: first });
    expect(bench.state.mode).toBe('half-open');
  });

  it('gives a probe that was given up to the next one at once', () => {
    const bench = new Bench();
    bench.tell(FAULT, 5);
    bench.nowMs += OPEN_MS;
    bench.tell({ kind: 'abandoned', probe: bench.probe() });
    expect(bench.ask().kind).toBe('probe');
  });

  it('hears nothing while it is open from calls that began before', () => {
    const bench = new Bench();
    bench.tell(FAULT, 5);
    const opened = bench.state;
    bench.tell(ANSWERED, 3);
    bench.tell(FAULT, 3);
    expect(bench.state).toEqual(opened);
  });

  it('never has two probes out, never lets a call through while open, and is bounded, whatever happens', () => {
    const event = fc.oneof(
      fc.constant<'ask' | 'answered' | 'fault' | 'answer probe' | 'fail probe' | 'abandon probe'>('ask'),
      fc.constantFrom('ask', 'answered', 'fault', 'answer probe', 'fail probe', 'abandon probe'),
    );
    const step = fc.tuple(event, fc.nat(20_000));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const bench = new Bench();
        let probe: { readonly number: number; readonly untilMs: number } | undefined;
        for (const [kind, passedMs] of steps) {
          bench.nowMs += passedMs;
          if (kind === 'ask') {
            const verdict = bench.ask();
            if (verdict.kind === 'probe') {
              expect(probe === undefined || bench.nowMs >= probe.untilMs).toBe(true);
              probe = { number: verdict.probe, untilMs: verdict.probe };
            }
            if (verdict.kind === 'go') expect(bench.state.mode).toBe('closed');
            if (verdict.kind === 'wait') expect(verdict.waitMs).toBeGreaterThan(0);
          } else if (kind === 'answered') bench.tell(ANSWERED);
          else if (kind === 'fault') bench.tell(FAULT);
          else if (probe !== undefined) {
            const result = kind === 'answer probe' ? 'answered' : kind === 'fail probe' ? 'fault' : 'abandoned';
            bench.tell({ kind: result, calls: 1, probe: probe.number });
            probe = undefined;
          }
          expect(bench.state.bars.length).toBeLessThanOrEqual(10);
        }
      }),
      { numRuns: 1000, seed: 7 },
    );
  });

  it('is fed by faults of the upstream alone: never by a limit of a user, a token or a permission', () => {
    const feeding = (Object.keys(FAULTS) as FaultCode[]).filter((code) => outcomeOfFault(code).result === 'fault');
    expect(feeding).toContain('transient');
    expect(feeding).toContain('rate-limit-upstream');
    for (const code of ['rate-limit-user', 'token', 'permission', 'user-gone', 'page-shape'] as const)
      expect(feeding).not.toContain(code);
  });
});
