import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceBusOptions } from '../adapters/service-bus.ts';
import { openSqliteLedger } from '../adapters/sqlite-ledger.ts';
import { sha256Digest, systemClock, systemRandom } from '../adapters/system.ts';
import { miners } from '../catalog.ts';
import { nearestOf } from '../core/nearest.ts';
import { routeOf } from '../core/route.ts';
import type { Run, RunState } from '../core/run.ts';
import type { Steer } from '../core/set-aside.ts';
import { Runs } from '../engine/runs.ts';
import { sendResumed, type SteerOutcome, steerRun } from '../engine/steer-run.ts';
import type { Bus, Ledger } from '../ports.ts';
import { openAzureStorage } from './azure-storage.ts';
import { BadInput } from './bad-input.ts';
import { readBroker } from './broker-address.ts';
import { releaseAll, type Release } from './release.ts';
import { openStackStorage, placeFlags, shellWord, type Whereabouts } from './stack-storage.ts';
import { storageRefusal } from './storage-refusal.ts';

/** Which runs; undefined = all. */
export interface RunFilter {
  readonly states: readonly RunState[] | undefined;
  readonly minerName: string | undefined;
  readonly userId: string | undefined;
}

/** Longest time that a command waits for the bus to take its message, in ms. */
const SEND_LIMIT_MS = 15_000;

/** The runs of a place, miner by miner. Reads only, so it may run beside the miners. @throws BadInput */
export async function* listRuns(place: Whereabouts, filter: RunFilter): AsyncIterable<Run> {
  if (filter.minerName !== undefined) checkMiner(filter.minerName, '--miner', '');
  const names = filter.minerName === undefined ? miners.map(({ name }) => name) : [filter.minerName];
  const releases: Release[] = [];
  try {
    const { runs } = await open(place, releases);
    for (const name of names) {
      const found = filter.userId === undefined ? runs.scan(name) : await runs.read(name, [filter.userId]);
      for await (const stored of found) {
        if (stored !== undefined && (filter.states?.includes(stored.run.state) ?? true)) yield stored.run;
      }
    }
  } catch (error) {
    throw storageRefusal(error, 'the ledger') ?? error;
  } finally {
    await releaseAll(releases);
  }
}

/** A command to resume or skip one run. */
export interface SteerCommand {
  readonly steer: Steer;
  readonly userId: string;
  readonly minerName: string;
  readonly isDryRun: boolean;
}

/** What the command did, or would do. */
export interface Steered {
  readonly before: Run;
  readonly run: Run;
  /** Queue that its message was sent to; undefined when the next firing sends it. */
  readonly sentTo: string | undefined;
  /** Why it could not be sent though there is a bus; for people. */
  readonly notSent: string | undefined;
}

/** Resumes or skips a run. @throws BadInput when there is no such run, or its state does not allow it. */
export async function steer(place: Whereabouts, command: SteerCommand): Promise<Steered> {
  const { userId, minerName } = command;
  checkMiner(minerName, 'the miner', `${command.steer} ${shellWord(userId)} `);
  const releases: Release[] = [];
  try {
    const opened = await open(place, releases);
    const deps = { runs: opened.runs, clock: systemClock, random: systemRandom };
    const outcome = await steerRun(deps, { minerName, userId }, command);
    if (outcome.kind !== 'written') throw refused(outcome, place, command);
    const { before, run, etag } = outcome;
    const connect = run.state === 'live' && !command.isDryRun ? await opened.connect() : undefined;
    if (connect === undefined) return { before, run, sentTo: undefined, notSent: undefined };
    const sentTo = routeOf({ name: minerName }).miningQueue;
    const notSent = await trySend(connect, releases, (bus) => sendResumed({ ...deps, bus }, { run, etag }));
    return { before, run, sentTo: notSent === undefined ? sentTo : undefined, notSent };
  } catch (error) {
    throw storageRefusal(error, 'the ledger') ?? error;
  } finally {
    await releaseAll(releases);
  }
}

type Connect = ServiceBusOptions['connect'];

interface Opened {
  readonly runs: Runs;
  /** How the bus is reached; undefined where nobody runs one. */
  readonly connect: () => Promise<Connect | undefined>;
}

async function open(place: Whereabouts, releases: Release[]): Promise<Opened> {
  const { stack, state, environment } = place;
  if (stack !== undefined) {
    const { ledger, bus, credential } = await openStackStorage(stack);
    const connect = async (): Promise<Connect> =>
      'namespace' in bus ? { fullyQualifiedNamespace: bus.namespace, credential: await credential() } : bus;
    return { runs: runsOf(ledger, releases), connect };
  }
  const named = environment.bus;
  const connect = async (): Promise<Connect | undefined> =>
    named === undefined ? readBroker(state) : { connectionString: named };
  if (environment.storage !== undefined) {
    return { runs: runsOf((await openAzureStorage(environment.storage)).ledger, releases), connect };
  }
  const file = join(state, 'ledger.db');
  // Looking must not make a folder.
  if (existsSync(file)) return { runs: runsOf(openSqliteLedger({ file }), releases), connect };
  throw new BadInput(
    `there are no runs in ${state}. Next: npm start -- --once --state ${shellWord(state)}, or name another folder with --state`,
  );
}

function runsOf(ledger: Ledger, releases: Release[]): Runs {
  releases.push(() => ledger.close());
  return new Runs({ rows: ledger.runs, digest: sha256Digest });
}

/** Why the message was not sent, or undefined. */
async function trySend(
  connect: Connect,
  releases: Release[],
  send: (bus: Pick<Bus, 'send'>) => Promise<void>,
): Promise<string | undefined> {
  // Only a resumed run needs the client, and it takes its time to load.
  const { openServiceBus } = await import('../adapters/service-bus.ts');
  const bus = openServiceBus({ connect, clock: systemClock, random: systemRandom, onEvent: () => undefined });
  releases.push(() => bus.close());
  const limit = AbortSignal.timeout(SEND_LIMIT_MS);
  try {
    await send({ send: (entity, messages) => bus.send(entity, messages, limit) });
    return undefined;
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
}

function checkMiner(name: string, what: string, command: string): void {
  const names = miners.map((miner) => miner.name);
  if (names.includes(name)) return;
  const nearest = nearestOf(name, names) ?? '';
  const next = command === '' ? `${what} ${nearest}` : `npm run adit -- ${command}${nearest}`;
  throw new BadInput(`${what} must be one of ${names.join(', ')}, got ${JSON.stringify(name)}. Next: ${next}`);
}

function refused(
  outcome: Exclude<SteerOutcome, { kind: 'written' }>,
  place: Whereabouts,
  command: SteerCommand,
): BadInput {
  const { steer: verb, userId, minerName } = command;
  const where = place.stack === undefined ? place.state : `the stack ${place.stack}`;
  const again = `npm run adit -- runs --user ${shellWord(userId)}`;
  const flags = placeFlags(place);
  switch (outcome.kind) {
    case 'no-run':
      return new BadInput(
        `there is no run of ${minerName} for the user ${JSON.stringify(userId)} in ${where}. Next: ${again}${flags}`,
      );
    case 'refused':
      return new BadInput(
        `cannot ${verb} the run of ${minerName} for ${userId}: ${outcome.why}. Next: ${again}${flags}, which shows where it is`,
      );
    case 'contended':
      return new BadInput(
        `the run of ${minerName} for ${userId} is moved by others all the time. Next: run this again`,
      );
  }
}
