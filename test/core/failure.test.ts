import { describe, expect, it } from 'vitest';
import {
  decideFailure,
  failureKindOf,
  POISON_DELIVERIES,
  SERVICE_DELIVERIES,
  ServiceError,
} from '../../runtime/core/failure.ts';

const coded = (code: string): Error => Object.assign(new Error('x'), { code });
const answered = (statusCode: number): Error => Object.assign(new Error('x'), { statusCode });

describe('whose fault it is that a handler threw', () => {
  it.each<[string, unknown, boolean, string]>([
    ['a mistake of our code', new TypeError('x is undefined'), false, 'message'],
    ['a row that is no JSON', new SyntaxError('Unexpected token'), false, 'message'],
    ['an error of a miner', new Error('bug'), false, 'message'],
    ['a text that was thrown', 'oops', false, 'message'],
    ['nothing at all', undefined, false, 'message'],
    ['a TypeError of a client whose connection broke', new TypeError('x of null'), true, 'service'],
    ['a connection that is refused', coded('ECONNREFUSED'), true, 'service'],
    ['a lost connection to the bus', coded('CONNECTION_LOST'), true, 'service'],
    ['a ledger that is throttled', answered(503), true, 'service'],
    ['a role that is missing', answered(403), true, 'service'],
    ['a table that is not there', answered(404), true, 'service'],
    ['keys that are not there', coded('KEY_UNKNOWN'), true, 'service'],
    ['claims that others keep winning', new ServiceError('claims'), false, 'service'],
    ['a message that is too large to be sent', coded('MESSAGE_TOO_LARGE'), true, 'message'],
    ['a request that a service calls invalid', answered(400), true, 'message'],
    ['a request that a service calls too large', answered(413), true, 'message'],
    ['a user whose record was changed', coded('SEAL_BROKEN'), true, 'message'],
    ['a key that an adapter refuses', new RangeError('row must be'), true, 'message'],
  ])('%s', (_, error, isFromPort, kind) => {
    expect(failureKindOf(error, isFromPort)).toBe(kind);
  });
});

describe('what becomes of the message', () => {
  const decide = (kind: 'service' | 'message', deliveries: number, postponed = 0) =>
    decideFailure({ kind, deliveries, postponed }, 0.5);

  it('that fails by itself: five deliveries, then a dead letter', () => {
    const kinds = Array.from({ length: 7 }, (_, at) => decide('message', at + 1).kind);
    expect(kinds).toEqual(['again', 'again', 'again', 'again', 'poison', 'poison', 'poison']);
    expect(POISON_DELIVERIES).toBe(5);
  });

  it('that needs a service which is away: two short tries, then it waits in the queue, however often', () => {
    expect(decide('service', SERVICE_DELIVERIES - 1).kind).toBe('again');
    for (const deliveries of [SERVICE_DELIVERIES, 50, 1000]) {
      for (const postponed of [0, 1, 500]) expect(decide('service', deliveries, postponed).kind).toBe('postpone');
    }
  });

  it('never waits long on paid time, and never longer than two minutes in the queue', () => {
    for (let at = 1; at < 40; at += 1) {
      for (const kind of ['service', 'message'] as const) {
        const verdict = decide(kind, at, at);
        if (verdict.kind === 'again') expect(verdict.waitMs).toBeLessThanOrEqual(1000);
        if (verdict.kind === 'postpone') expect(verdict.waitMs).toBeLessThanOrEqual(120_000);
      }
    }
    const waits = [0, 1, 2, 9].map((postponed) => decide('service', 3, postponed));
    expect(waits).toEqual([4500, 9000, 18_000, 108_000].map((waitMs) => ({ kind: 'postpone', waitMs })));
  });
});
