import { openServiceBusDeadLetters } from '../adapters/service-bus-dead-letters.ts';
import { openServiceBus } from '../adapters/service-bus.ts';
import { systemClock, systemRandom } from '../adapters/system.ts';
import { miners } from '../catalog.ts';
import { nearestOf } from '../core/nearest.ts';
import {
  deadLetterDescription,
  deadLetterReason,
  type DeadLetterSource,
  deadLetterSourcesOf,
  minerNameOf,
  type RedriveFilter,
  selectLetter,
} from '../core/redrive.ts';
import { Redriver, type Sweep } from '../engine/redrive.ts';
import type { DeadLetters, IncomingMessage } from '../ports.ts';
import { BadInput } from './bad-input.ts';
import { connectBus } from './bus-place.ts';
import { releaseAll, type Release } from './release.ts';
import type { Whereabouts } from './stack-storage.ts';

/** Which dead letters a person wants to send again. */
export interface RedriveWish {
  /** A queue, or `topic/Subscriptions/name`; undefined: every place with dead letters. */
  readonly queue: string | undefined;
  readonly filter: RedriveFilter;
  /** At most so many, over all places. */
  readonly limit: number;
  /** Look and change nothing. */
  readonly isDry: boolean;
  /** Of those that the filter means, only those of which this is true. Default: all. */
  readonly isNamed?: (letter: IncomingMessage) => Promise<boolean>;
  /** What becomes of each. Default: it is sent again. */
  readonly treat?: Sweep['treat'];
  /** Name of the command that a refusal tells to try. Default: `redrive`. */
  readonly command?: string;
}

/** Dead letters of one place with one reason and one miner. Times: epoch in ms. */
export interface LetterGroup {
  readonly reason: string;
  readonly minerName: string;
  readonly verdict: 'selected' | 'forced-only' | 'other';
  count: number;
  oldestMs: number;
  newestMs: number;
  /** What the first of them says. */
  readonly description: string;
}

/** What was found in one place, and what was done. */
export interface RedriveReport {
  readonly name: string;
  readonly groups: readonly LetterGroup[];
  /** Dead letters that the filters mean, before the limit. */
  readonly selected: number;
  readonly sent: number;
  /** Why it ended early; undefined when it did not. */
  readonly error: string | undefined;
}

/** How a person follows and stops the work. */
export interface RedriveWatch {
  readonly onProgress: (sent: number, total: number) => void;
  readonly stop: AbortSignal;
}

/** Dead letters looked at in one place. */
export const PEEK_LIMIT = 20_000;

/** Messages held at once: those that are left lie before the others until the sweep ends. */
const CONCURRENCY = { min: 32, max: 500 } as const;

/**
 * Looks at the dead letters of a place, and sends those again that are meant. Doing it again finds only what is still there.
 * @throws BadInput
 */
export async function redrive(
  place: Whereabouts,
  wish: RedriveWish,
  watch: RedriveWatch,
): Promise<readonly RedriveReport[]> {
  const sources = sourcesOf(wish);
  const releases: Release[] = [];
  try {
    const connect = await connectBus(place, releases);
    const letters = openServiceBusDeadLetters({ connect });
    releases.push(() => letters.close());
    const bus = openServiceBus({ connect, clock: systemClock, random: systemRandom });
    releases.push(() => bus.close());
    const log = { info: () => undefined, warn: () => undefined };
    const redriver = new Redriver({ bus, clock: systemClock, random: systemRandom, log });
    const found: Found[] = [];
    for (const source of sources) found.push(await look(letters, source, wish));
    return await sendAll(redriver, found, wish, watch);
  } catch (error) {
    throw refusalOf(error) ?? error;
  } finally {
    await releaseAll(releases);
  }
}

interface Found {
  readonly source: DeadLetterSource;
  readonly groups: readonly LetterGroup[];
  readonly selected: number;
  /** Dead letters that lie before the last one that is meant, and are not. */
  readonly othersBefore: number;
  /** Ids of those that are named; undefined: nobody asked for names. */
  readonly named: ReadonlySet<string> | undefined;
}

async function look(letters: DeadLetters, source: DeadLetterSource, wish: RedriveWish): Promise<Found> {
  const { filter, isNamed } = wish;
  const named = new Set<string>();
  const groups = new Map<string, LetterGroup>();
  const counts = { selected: 0, others: 0, othersBefore: 0 };
  for await (const letter of letters.peek(source.path, PEEK_LIMIT)) {
    const meant = selectLetter(filter, letter, systemClock.now());
    const verdict = meant === 'selected' && (await isNamed?.(letter)) === false ? 'other' : meant;
    if (verdict === 'selected') {
      named.add(letter.messageId);
      counts.selected += 1;
      counts.othersBefore = counts.others;
    } else counts.others += 1;
    addTo(groups, letter, verdict);
  }
  const { selected, othersBefore } = counts;
  return {
    ...{ source, groups: [...groups.values()], selected, othersBefore },
    named: isNamed === undefined ? undefined : named,
  };
}

function addTo(groups: Map<string, LetterGroup>, letter: IncomingMessage, verdict: LetterGroup['verdict']): void {
  const reason = deadLetterReason(letter);
  const minerName = minerNameOf(letter) ?? '';
  const key = JSON.stringify([reason, minerName, verdict]);
  const atMs = letter.enqueuedAtMs;
  const fresh: LetterGroup = {
    ...{ reason, minerName, verdict, count: 0, oldestMs: atMs, newestMs: atMs },
    description: deadLetterDescription(letter),
  };
  const group = groups.get(key) ?? fresh;
  group.count += 1;
  group.oldestMs = Math.min(group.oldestMs, atMs);
  group.newestMs = Math.max(group.newestMs, atMs);
  groups.set(key, group);
}

async function sendAll(
  redriver: Redriver,
  found: readonly Found[],
  wish: RedriveWish,
  watch: RedriveWatch,
): Promise<readonly RedriveReport[]> {
  const total = Math.min(
    wish.limit,
    found.reduce((sum, { selected }) => sum + selected, 0),
  );
  const reports: RedriveReport[] = [];
  let sent = 0;
  for (const { source, groups, selected, othersBefore, named } of found) {
    const limit = Math.min(selected, wish.limit - sent);
    const isIdle = wish.isDry || limit <= 0 || watch.stop.aborted;
    const before = sent;
    const swept = isIdle
      ? { sent: 0, error: undefined }
      : await redriver.sweep(
          {
            ...{ path: source.path, sendTo: source.sendTo, limit, concurrency: concurrencyFor(source, othersBefore) },
            notBeforeMs: (letter) => (isMeant(wish.filter, named, letter) ? 0 : undefined),
            ...(wish.treat !== undefined && { treat: wish.treat }),
            onSent: (count) => watch.onProgress(before + count, total),
          },
          watch.stop,
        );
    sent += swept.sent;
    const error = swept.error === undefined ? undefined : textOf(swept.error);
    reports.push({ name: source.name, groups, selected, sent: swept.sent, error });
  }
  return reports;
}

function isMeant(filter: RedriveFilter, named: Found['named'], letter: IncomingMessage): boolean {
  return named?.has(letter.messageId) !== false && selectLetter(filter, letter, systemClock.now()) === 'selected';
}

function concurrencyFor(source: DeadLetterSource, othersBefore: number): number {
  const wanted = othersBefore + CONCURRENCY.min;
  if (wanted <= CONCURRENCY.max) return wanted;
  throw new BadInput(
    `${othersBefore} other dead letters lie before the last one that is meant in ${source.name}, and ${CONCURRENCY.max - CONCURRENCY.min} can be held back at most. Next: treat those before it first, or use fewer filters`,
  );
}

/** The places that a person means. @throws BadInput when there is none of that name. */
export function sourcesOf({
  queue,
  command = 'redrive',
}: Pick<RedriveWish, 'queue' | 'command'>): readonly DeadLetterSource[] {
  const sources = deadLetterSourcesOf(miners);
  if (queue === undefined) return sources;
  const isNamed = ({ name }: DeadLetterSource): boolean =>
    name.toLowerCase().replace(/ \(transfer\)$/, '') === queue.toLowerCase();
  const named = sources.filter(isNamed);
  if (named.length > 0) return named;
  const names = [...new Set(sources.map(({ name }) => name.replace(/ \(transfer\)$/, '')))];
  const near = nearestOf(queue, names);
  throw new BadInput(
    `there are no dead letters of ${JSON.stringify(queue)}: it is none of ${names.join(', ')}. Next: npm run adit -- ${command} ${near ?? ''} --dry-run`,
  );
}

/** What the bus answers to somebody who may not enter it, or who finds nobody there. */
function refusalOf(error: unknown): BadInput | undefined {
  const { code } = error as { code?: string };
  if (code === 'UnauthorizedAccess') {
    return new BadInput(
      'the Service Bus namespace is not open to this login. Next: have the role "Azure Service Bus Data Owner" on it, and az login',
      { cause: error },
    );
  }
  if (code === 'TIMED_OUT' || code === 'ECONNREFUSED' || code === 'ServiceCommunicationProblem') {
    return new BadInput(
      `the message bus does not answer (${code}). Next: check that it runs and the network, then try again`,
      {
        cause: error,
      },
    );
  }
  return undefined;
}

/** By name and code: the text of an error of the client may be long. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return 'failed';
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : `${error.name}: ${error.message}`;
}
