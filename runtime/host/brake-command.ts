import { hostname, userInfo } from 'node:os';
import { sha256Digest, systemClock, systemRandom } from '../adapters/system.ts';
import { miners } from '../catalog.ts';
import { type Brake, brakeRow, type BrakeTarget, LANES, targetText } from '../core/brake.ts';
import { nearestOf } from '../core/nearest.ts';
import { Brakes } from '../engine/brakes.ts';
import { MassCount } from '../engine/mass-count.ts';
import type { Rows } from '../ports.ts';
import { BadInput } from './bad-input.ts';
import { withControl } from './control-ledger.ts';
import type { Whereabouts } from './stack-storage.ts';

/** What a person wants to stop or release. */
export interface BrakeWish {
  readonly lane?: string | undefined;
  readonly miner?: string | undefined;
  readonly reason?: string | undefined;
  /** Look and change nothing. */
  readonly isDry: boolean;
}

/** What became of it. `before`: how the brake was found; `brake`: how it is now, or would be. */
export interface BrakeAnswer {
  readonly target: BrakeTarget;
  readonly hasChanged: boolean;
  readonly brake: Brake | undefined;
}

/** Stops a lane or a miner. @throws BadInput */
export async function engageBrakeAt(place: Whereabouts, wish: BrakeWish): Promise<BrakeAnswer> {
  const target = targetOf(wish);
  const reason = reasonOf(wish);
  const answer = await withControl(place, async ({ control }): Promise<BrakeAnswer> => {
    const brakes = openBrakes(control);
    const before = await brakeAt(brakes, target);
    if (before?.isEngaged === true) return { target, hasChanged: false, brake: before };
    if (wish.isDry) return { target, hasChanged: true, brake: before };
    return { target, hasChanged: true, brake: await brakes.engage(target, { engagedBy: person(), reason }) };
  });
  return answer ?? nobodyThere(place);
}

/** Releases a lane or a miner; who fell to a mass fault is counted anew from then on. @throws BadInput */
export async function releaseBrakeAt(place: Whereabouts, wish: BrakeWish): Promise<BrakeAnswer> {
  const target = targetOf(wish);
  const reason = reasonOf(wish);
  const answer = await withControl(place, async ({ control }): Promise<BrakeAnswer> => {
    const brakes = openBrakes(control);
    const before = await brakeAt(brakes, target);
    if (before?.isEngaged !== true) return { target, hasChanged: false, brake: before };
    if (wish.isDry) return { target, hasChanged: true, brake: before };
    // The count first: messages of the lane may come back the moment that it is released.
    if (before.fault !== undefined) await openCount(control).renew(before.fault.upstream);
    return { target, hasChanged: true, brake: await brakes.release(target, person(), reason) };
  });
  return answer ?? { target, hasChanged: false, brake: undefined };
}

/** Every brake that was ever engaged in a place. @throws BadInput */
export async function listBrakes(place: Whereabouts): Promise<readonly Brake[]> {
  return (await withControl(place, ({ control }) => openBrakes(control).list())) ?? [];
}

/** A brake as one line for people: what, since when, by whom, why. */
export function brakeText(brake: Brake): string {
  const { target, isEngaged, engagedAtMs, engagedBy, reason, releasedAtMs = 0, releasedBy, releaseReason } = brake;
  const what = targetText(target).padEnd(20);
  const engaged = `${timeText(engagedAtMs)} by ${engagedBy}: ${reason}`;
  if (isEngaged) return `${what} stopped since ${engaged}`;
  return `${what} released ${timeText(releasedAtMs)} by ${releasedBy}: ${releaseReason} (was stopped ${engaged})`;
}

/** The command that releases a brake. `place`: the flags that name the place, or nothing. */
export function releaseCommand({ kind, name }: BrakeTarget, place = ''): string {
  return `npm run adit -- brake release --${kind} ${name} --reason TEXT${place}`;
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString();
}

async function brakeAt(brakes: Brakes, target: BrakeTarget): Promise<Brake | undefined> {
  return (await brakes.list()).find((brake) => brakeRow(brake.target) === brakeRow(target));
}

function openBrakes(control: Rows): Brakes {
  return new Brakes({ control, clock: systemClock, random: systemRandom, log: { warn: () => undefined } });
}

function openCount(control: Rows): MassCount {
  return new MassCount({ control, clock: systemClock, random: systemRandom, digest: sha256Digest });
}

/** Who is at the keyboard, as far as the machine knows. */
function person(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    // A user without an entry in the system's list of users.
    return `somebody@${hostname()}`;
  }
}

function targetOf({ lane, miner }: BrakeWish): BrakeTarget {
  if ((lane === undefined) === (miner === undefined)) {
    throw new BadInput(
      'a brake needs --lane or --miner, one of them. Example: npm run adit -- brake engage --lane bulk --reason "the bill"',
    );
  }
  if (miner !== undefined) {
    const names = miners.map(({ name }) => name);
    if (names.includes(miner)) return { kind: 'miner', name: miner };
    throw new BadInput(
      `--miner must be one of ${names.join(', ')}, got ${JSON.stringify(miner)}${meant(miner, names)}`,
    );
  }
  const found = LANES.find((name) => name === lane);
  if (found !== undefined) return { kind: 'lane', name: found };
  const text = lane ?? '';
  throw new BadInput(`--lane must be one of ${LANES.join(', ')}, got ${JSON.stringify(text)}${meant(text, LANES)}`);
}

function meant(text: string, names: readonly string[]): string {
  const near = nearestOf(text, names);
  return near === undefined ? '' : `; did you mean ${near}?`;
}

function reasonOf({ reason }: BrakeWish): string {
  const text = reason?.trim() ?? '';
  if (text !== '') return text;
  throw new BadInput('--reason is missing: whoever finds the brake must know why. Example: --reason "the bill grows"');
}

function nobodyThere({ state }: Whereabouts): never {
  throw new BadInput(`there is no state in ${state}, so there is nothing to stop. Next: npm start -- --state ${state}`);
}
