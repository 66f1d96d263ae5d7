import type { PageFaultCode } from './faults.ts';
import type { Lane, Miner } from './miner.ts';

/** Every lane there is. */
export const LANES: readonly Lane[] = ['realtime', 'money', 'bulk'];

/** What a brake stops: all miners of a lane, or one miner. */
export type BrakeTarget =
  | { readonly kind: 'lane'; readonly name: Lane }
  | { readonly kind: 'miner'; readonly name: string };

/** A fault that engaged a brake by itself, and what has to be given back for it. */
export interface BrakeFault {
  readonly code: PageFaultCode;
  /** Upstream whose users were counted. */
  readonly upstream: string;
  /** The count that was passed. */
  readonly countId: string;
  /** Whether everyone who was set aside during that count is back. */
  readonly isGivenBack: boolean;
}

/** One brake as it is stored: who, why and when of the last time it was engaged, and of its release. Times: epoch in ms. */
export interface Brake {
  readonly target: BrakeTarget;
  readonly isEngaged: boolean;
  readonly engagedAtMs: number;
  readonly engagedBy: string;
  readonly reason: string;
  readonly fault?: BrakeFault;
  readonly releasedAtMs?: number;
  readonly releasedBy?: string;
  readonly releaseReason?: string;
}

/** Longest reason that is kept, in characters. */
export const BRAKE_REASON_LIMIT = 1000;

/** Partition of the brakes in the control table. */
export const BRAKE_PARTITION = 'brake';

/** Row of a brake in its partition. */
export function brakeRow({ kind, name }: BrakeTarget): string {
  return `${kind}.${name}`;
}

/** A target in words: `lane money`. */
export function targetText({ kind, name }: BrakeTarget): string {
  return `${kind} ${name}`;
}

/** The brake that stops a miner, its lane's before its own. */
export function brakeOn(brakes: Iterable<Brake>, miner: Pick<Miner, 'name' | 'lane'>): Brake | undefined {
  let own: Brake | undefined;
  for (const brake of brakes) {
    if (!brake.isEngaged) continue;
    const { kind, name } = brake.target;
    if (kind === 'lane' && name === miner.lane) return brake;
    if (kind === 'miner' && name === miner.name) own = brake;
  }
  return own;
}

/** When a miner was last released by any brake that is on it, epoch in ms; 0 for never. */
export function releasedAtMs(brakes: Iterable<Brake>, miner: Pick<Miner, 'name' | 'lane'>): number {
  let newest = 0;
  for (const { target, releasedAtMs: atMs = 0 } of brakes) {
    const isItsOwn = target.name === (target.kind === 'lane' ? miner.lane : miner.name);
    if (isItsOwn) newest = Math.max(newest, atMs);
  }
  return newest;
}

/** A message waits this many times longer at most, the longer the brake is engaged: waiting messages are billed operations. */
const LOOK_GROWTH_LIMIT = 6;

/** Share of the wait that is added by chance, so that a million messages do not come back together. */
const LOOK_JITTER = 0.2;

/**
 * How long a message that meets a brake waits before it looks again, in ms: as long as the brake has been engaged, from
 * `lookMs` to six times that.
 */
export function brakeWaitMs(
  brake: Brake,
  lookMs: number,
  now: { readonly nowMs: number; readonly random: number },
): number {
  const ageMs = now.nowMs - brake.engagedAtMs;
  const waitMs = Math.min(Math.max(ageMs, lookMs), lookMs * LOOK_GROWTH_LIMIT);
  return Math.round(waitMs * (1 + LOOK_JITTER * now.random));
}

/** Longest time until a message notices a release, in ms. */
export function brakeNoticeMs(lookMs: number): number {
  return lookMs * LOOK_GROWTH_LIMIT * (1 + LOOK_JITTER);
}

/** The brake that a person, or a fault, engages. What was engaged before by somebody else is kept: the first reason counts. */
export function engageBrake(before: Brake | undefined, next: Omit<Brake, 'isEngaged'>): Brake {
  if (before?.isEngaged === true) {
    // What a fault has to give back is remembered even where a person was faster.
    return before.fault === undefined && next.fault !== undefined ? { ...before, fault: next.fault } : before;
  }
  return { ...next, reason: next.reason.slice(0, BRAKE_REASON_LIMIT), isEngaged: true };
}

/** The same brake, released. */
export function releaseBrake(before: Brake, by: string, reason: string, nowMs: number): Brake {
  const releaseReason = reason.slice(0, BRAKE_REASON_LIMIT);
  return { ...before, isEngaged: false, releasedAtMs: nowMs, releasedBy: by, releaseReason };
}
