import { describe, expect, it } from 'vitest';
import { miners } from '../../runtime/catalog.ts';
import {
  deadLetterDescription,
  deadLetterReason,
  deadLetterSourcesOf,
  redrivenProperties,
  selectLetter,
  selfRedriveWaitMs,
} from '../../runtime/core/redrive.ts';
import { entitiesOf, INGESTION_QUEUE } from '../../runtime/core/route.ts';

const letter = (properties: Readonly<Record<string, unknown>>, enqueuedAtMs = 0, subject?: string) => ({
  properties,
  enqueuedAtMs,
  subject,
});

describe('the places with dead letters', () => {
  const sources = deadLetterSourcesOf(miners);

  it('are every queue and every subscription, and what a subscription could not forward', () => {
    const entities = entitiesOf(miners);
    const queues = entities.filter(({ kind }) => kind === 'queue').length;
    const subscriptions = entities.filter(({ kind }) => kind === 'subscription').length;
    expect(sources).toHaveLength(queues + 2 * subscriptions);
    expect(sources[0]).toEqual({
      ...{ name: INGESTION_QUEUE, path: `${INGESTION_QUEUE}/$DeadLetterQueue`, sendTo: INGESTION_QUEUE },
    });
  });

  it('send what a subscription could not forward straight to the ingestion queue: other subscribers have it already', () => {
    const ofTopics = sources.filter(({ name }) => name.includes('/'));
    expect(new Set(ofTopics.map(({ sendTo }) => sendTo))).toEqual(new Set([INGESTION_QUEUE]));
    expect(ofTopics.map(({ path }) => path)).toContain(
      'transactions-data-topic/Subscriptions/lake/$Transfer/$DeadLetterQueue',
    );
  });
});

describe('the reason of a dead letter', () => {
  it("is ours on a copy that expired, before the broker's", () => {
    const copy = { deadLetterReason: 'envelope-unreadable', DeadLetterReason: 'TTLExpiredException' };
    expect(deadLetterReason(letter(copy))).toBe('envelope-unreadable');
    expect(deadLetterReason(letter({ DeadLetterReason: 'MaxDeliveryCountExceeded' }))).toBe('MaxDeliveryCountExceeded');
    expect(deadLetterReason(letter({}))).toBe('unknown');
    expect(deadLetterDescription(letter({ DeadLetterErrorDescription: 'why' }))).toBe('why');
  });
});

describe('a filter', () => {
  const at = { properties: { DeadLetterReason: 'a', minerName: 'chats' }, subject: 'chats', enqueuedAtMs: 1000 };
  const select = (filter: object) => selectLetter({ isForced: false, ...filter }, at, 11_000);

  it.each<[object, string]>([
    [{}, 'selected'],
    [{ reason: 'a' }, 'selected'],
    [{ reason: 'b' }, 'other'],
    [{ minerName: 'chats' }, 'selected'],
    [{ minerName: 'fans' }, 'other'],
    [{ olderThanMs: 10_000 }, 'selected'],
    [{ olderThanMs: 10_001 }, 'other'],
    [{ newerThanMs: 10_001 }, 'selected'],
    [{ newerThanMs: 10_000 }, 'other'],
    [{ reason: 'a', minerName: 'chats', olderThanMs: 1, newerThanMs: 20_000 }, 'selected'],
  ])('%j: %s', (filter, verdict) => {
    expect(select(filter)).toBe(verdict);
  });

  it('never selects an envelope that would come back, unless it is forced', () => {
    const conflict = letter({ deadLetterReason: 'envelope-conflict' });
    expect(selectLetter({ isForced: false }, conflict, 1)).toBe('forced-only');
    expect(selectLetter({ isForced: true }, conflict, 1)).toBe('selected');
    expect(selectLetter({ isForced: false, minerName: 'fans' }, conflict, 1)).toBe('other');
  });
});

describe('a dead letter that is sent again', () => {
  it('sheds what made it a dead letter, or it would be one again unread, and is counted', () => {
    const properties = {
      ...{ minerName: 'chats', items: 3, redrives: 1, postponed: 7, postponedFor: 'service-away' },
      ...{ deadLetterReason: 'x', deadLetterDescription: 'x', DeadLetterReason: 'x', DeadLetterErrorDescription: 'x' },
    };
    expect(redrivenProperties(properties)).toEqual({ minerName: 'chats', items: 3, redrives: 2 });
  });

  it('by itself only when its deliveries crashed, three times, with longer and longer waits', () => {
    const crashed = (redrives?: number) =>
      letter({ DeadLetterReason: 'MaxDeliveryCountExceeded', ...(redrives === undefined ? {} : { redrives }) });
    expect([undefined, 1, 2, 3, 4].map((times) => selfRedriveWaitMs(crashed(times)))).toEqual([
      ...[30_000, 120_000, 480_000, undefined, undefined],
    ]);
    expect(selfRedriveWaitMs(letter({ DeadLetterReason: 'envelope-unreadable' }))).toBeUndefined();
  });
});
