import type { Miner } from './miner.ts';
import { entitiesOf } from './route.ts';

/** A place where dead letters lie, and the queue that they are sent to again. */
export interface DeadLetterSource {
  /** As people name it: a queue, or `topic/Subscriptions/name`; transfer dead letters say so. */
  readonly name: string;
  /** Path of the dead letters for the bus. */
  readonly path: string;
  readonly sendTo: string;
}

const DEAD_LETTERS = '$DeadLetterQueue';

/**
 * Every place with dead letters. What a subscription could not forward is sent straight to where it forwards to: through the
 * topic every other subscriber would get it twice.
 */
export function deadLetterSourcesOf(miners: readonly Miner[]): readonly DeadLetterSource[] {
  return entitiesOf(miners).flatMap((entity): readonly DeadLetterSource[] => {
    if (entity.kind === 'topic') return [];
    const name = entity.kind === 'queue' ? entity.name : `${entity.topic}/Subscriptions/${entity.name}`;
    const sendTo = entity.forwardTo ?? (entity.kind === 'queue' ? entity.name : entity.topic);
    const own = { name, path: `${name}/${DEAD_LETTERS}`, sendTo };
    if (entity.forwardTo === undefined) return [own];
    return [own, { name: `${name} (transfer)`, path: `${name}/$Transfer/${DEAD_LETTERS}`, sendTo }];
  });
}

/** What is known of a dead letter without opening it. */
export interface DeadLetterFacts {
  readonly properties: Readonly<Record<string, unknown>>;
  readonly subject: string | undefined;
  /** Epoch in ms. */
  readonly enqueuedAtMs: number;
}

/** Properties that say why a message is a dead letter: ours on a copy that was sent to its end, then the broker's. */
const REASONS = ['deadLetterReason', 'DeadLetterReason'] as const;
const DESCRIPTIONS = ['deadLetterDescription', 'DeadLetterErrorDescription'] as const;

/** What a message must not keep from an earlier life. */
const SHED: ReadonlySet<string> = new Set([...REASONS, ...DESCRIPTIONS, 'postponed', 'postponedFor']);

/** Property of a message that was sent again: how often so far. */
export const REDRIVES = 'redrives';

/** Reason of the broker for a message whose every delivery failed or crashed. */
export const DELIVERIES_EXCEEDED = 'MaxDeliveryCountExceeded';

/** Why a message is a dead letter, as a code; `unknown` when nobody said. */
export function deadLetterReason({ properties }: Pick<DeadLetterFacts, 'properties'>): string {
  return textIn(properties, REASONS) ?? 'unknown';
}

/** The details, for people. */
export function deadLetterDescription({ properties }: Pick<DeadLetterFacts, 'properties'>): string {
  return textIn(properties, DESCRIPTIONS) ?? '';
}

function textIn(properties: Readonly<Record<string, unknown>>, names: readonly string[]): string | undefined {
  return names.map((name) => properties[name]).find((value) => typeof value === 'string' && value !== '') as
    | string
    | undefined;
}

/** Properties of a dead letter when it is sent again. */
export function redrivenProperties(
  properties: Readonly<Record<string, string | number | boolean>>,
): Readonly<Record<string, string | number | boolean>> {
  const kept = Object.entries(properties).filter(([name]) => !SHED.has(name));
  return { ...Object.fromEntries(kept), [REDRIVES]: timesRedriven({ properties }) + 1 };
}

/** How often a message was sent again. */
export function timesRedriven({ properties }: Pick<DeadLetterFacts, 'properties'>): number {
  const times = properties[REDRIVES];
  return typeof times === 'number' ? times : 0;
}

/** Which dead letters a person means. Times in ms. */
export interface RedriveFilter {
  readonly reason?: string;
  readonly minerName?: string;
  readonly olderThanMs?: number;
  readonly newerThanMs?: number;
  /** Also what is known to come back. */
  readonly isForced: boolean;
}

/** An envelope whose id is in the lake with another body comes back as often as it is sent. */
const NEVER_UNFORCED = 'envelope-conflict';

/** What a filter says about one dead letter. `forced-only`: it is meant, and would come back. */
export function selectLetter(
  filter: RedriveFilter,
  letter: DeadLetterFacts,
  nowMs: number,
): 'selected' | 'forced-only' | 'other' {
  const reason = deadLetterReason(letter);
  const ageMs = nowMs - letter.enqueuedAtMs;
  const isMeant =
    (filter.reason === undefined || filter.reason === reason) &&
    (filter.minerName === undefined || filter.minerName === minerNameOf(letter)) &&
    (filter.olderThanMs === undefined || ageMs >= filter.olderThanMs) &&
    (filter.newerThanMs === undefined || ageMs < filter.newerThanMs);
  if (!isMeant) return 'other';
  return reason === NEVER_UNFORCED && !filter.isForced ? 'forced-only' : 'selected';
}

/** The miner that a message belongs to. */
export function minerNameOf({
  properties,
  subject,
}: Pick<DeadLetterFacts, 'properties' | 'subject'>): string | undefined {
  const name = properties['minerName'];
  return typeof name === 'string' ? name : subject;
}

/** Waits of a message that is sent again by itself, in ms, one for each time; then it is left for a person. */
const SELF_REDRIVE_WAITS_MS = [30_000, 120_000, 480_000] as const;

/** Wait of a dead letter that is sent again by itself, in ms; undefined: it is left for a person. */
export function selfRedriveWaitMs(letter: DeadLetterFacts): number | undefined {
  if (deadLetterReason(letter) !== DELIVERIES_EXCEEDED) return undefined;
  return SELF_REDRIVE_WAITS_MS[timesRedriven(letter)];
}
