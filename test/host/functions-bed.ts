import { functionsOf } from '../../runtime/core/functions.ts';
import { routeOf } from '../../runtime/core/route.ts';
import { FunctionsApp, type FunctionsGround } from '../../runtime/host/functions-app.ts';
import { registerFunctions } from '../../runtime/host/functions-register.ts';
import { CHATS, pipelineRig, type PipelineRig } from '../engine/pipeline-rig.ts';
import type { AutoClock } from '../fakes/auto-clock.ts';
import { serveLists } from '../fakes/scripted-upstream.ts';
import { TestClock } from '../fakes/test-clock.ts';
import { captureFunctions, type FunctionsCore, type RpcData } from './functions-core-stub.ts';
import { triggerMetadata } from './functions-host.ts';

/** Mining queue of the one miner of the bed. */
export const QUEUE = routeOf(CHATS).miningQueue;
export const DEAD_LETTERS = '/$DeadLetterQueue';
export const LISTS = serveLists({ u1: [[{ id: 'a' }], [{ id: 'b' }]], u2: [[{ id: 'c' }]] });
/** Not UTF-8: as text it would come back as replacement characters. */
export const BINARY = Buffer.from([0x8b, 0xff, 0xfe, 0x00, 0xc3, 0x28, 0xed, 0xa0, 0x80]);

export interface Bed {
  readonly rig: PipelineRig;
  readonly core: FunctionsCore;
  readonly app: FunctionsApp;
  readonly clock: TestClock | AutoClock;
  readonly opened: () => number;
  readonly closed: () => number;
}

/** The app over fakes, registered with a stub of the worker. */
export async function bed(changes: { clock?: TestClock | AutoClock; open?: () => Promise<void> } = {}): Promise<Bed> {
  const clock = changes.clock ?? new TestClock();
  const rig = pipelineRig({ clock, script: LISTS });
  let opened = 0;
  let closed = 0;
  const open = async (): Promise<FunctionsGround> => {
    opened += 1;
    await changes.open?.();
    const close = async (): Promise<void> => void (closed += 1);
    return { settings: rig.settings, ledger: rig.ledger, openPipeline: () => rig.open(), close };
  };
  const app = new FunctionsApp({ open, version: 'v1', hostId: 'host-1', clock, log: rig.log });
  const core = await captureFunctions(() => registerFunctions(functionsOf([CHATS]), app, 'v1'));
  return { rig, core, app, clock, opened: () => opened, closed: () => closed };
}

/** What the host says about a first delivery. */
export function metadata(changes: Readonly<Record<string, RpcData>> = {}): Readonly<Record<string, RpcData>> {
  const message = {
    messageId: 'm1',
    body: BINARY,
    contentType: 'application/x',
    subject: 'chats',
    sessionId: undefined,
  };
  return {
    ...triggerMetadata({ ...message, properties: { schemaVersion: 1 }, deliveryCount: 0, enqueuedAtMs: 0 }),
    ...changes,
  };
}

export async function marker(rig: PipelineRig): Promise<RpcData> {
  const [message] = rig.bus.messages(QUEUE);
  return { bytes: message?.body ?? new Uint8Array(0) };
}
