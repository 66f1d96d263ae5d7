import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { INGESTION_QUEUE } from '../../runtime/core/route.ts';
import { readBroker } from '../../runtime/host/broker-address.ts';
import type { OutgoingMessage } from '../../runtime/ports.ts';
import { adit, emptyFolder, type Ended, lastJson, startAdit, until } from './adit.ts';
import { exportRows, mineArgs } from './lake-rows.ts';
import { page, plainItems, startUpstream } from './scripted-upstream.ts';
import { envelopeOf, itemNamed, onBroker } from './state-broker.ts';

vi.setConfig({ testTimeout: 300_000 });

const redrive = (state: string, ...args: readonly string[]): Promise<Ended> =>
  adit('adit', ['redrive', ...args, '--state', state]);

const ignore = (): void => undefined;

const envelope = (id: string, minerName?: string): Promise<OutgoingMessage> => envelopeOf([itemNamed(id)], minerName);

/** Leaves messages as dead letters of the ingestion queue, each with a reason. */
async function bury(state: string, letters: readonly (readonly [OutgoingMessage, string])[]): Promise<void> {
  const reasons = new Map(letters.map(([{ messageId }, reason]) => [messageId, reason]));
  await onBroker(state, async (bus) => {
    let buried = 0;
    await bus.send(
      INGESTION_QUEUE,
      letters.map(([message]) => message),
    );
    const consumer = bus.consume(INGESTION_QUEUE, { concurrency: 10, onError: ignore }, async ({ messageId }) => ({
      settlement: { kind: 'dead-letter', reason: reasons.get(messageId) ?? '', description: 'for a test' },
      settled: () => (buried += 1),
    }));
    await until(() => buried === letters.length, 30_000, 'the dead letters');
    await consumer.stop(5000);
  });
}

/** A state folder with one mined user. */
async function minedState(): Promise<{ state: string; args: readonly string[] }> {
  const state = join(await emptyFolder(), 'state');
  const upstream = await startUpstream(() => page(plainItems('i', 2)));
  const args = await mineArgs({ upstream, state, users: ['u1'] });
  const ended = await adit('start', args);
  expect(ended.code, ended.stderr).toBe(0);
  return { state, args };
}

describe('adit redrive on a state folder that nobody runs on', () => {
  it('shows what it would do, does it, finds nothing more, and what was dead is in the lake', async () => {
    const { state, args } = await minedState();
    await bury(state, [
      [await envelope('crashed'), 'MaxDeliveryCountExceeded'],
      [await envelope('other', 'fans'), 'MaxDeliveryCountExceeded'],
      [await envelope('conflict'), 'envelope-conflict'],
    ]);
    const dry = await redrive(state, INGESTION_QUEUE, '--dry-run');
    expect([dry.code, dry.stderr]).toEqual([0, '']);
    expect(dry.stdout).toMatch(/^point-time-data-ingestion-queue:\n/);
    expect(dry.stdout).toMatch(/ 1 {2}MaxDeliveryCountExceeded {2}chats {2}oldest .* for a test/);
    expect(dry.stdout).toMatch(/ 1 {2}envelope-conflict \(left\) {2}chats/);
    expect(dry.stdout).toContain('2 of 3 would be sent again. Nothing was changed.');
    const one = await redrive(
      state,
      INGESTION_QUEUE,
      '--miner',
      'chats',
      '--reason',
      'MaxDeliveryCountExceeded',
      '--json',
    );
    expect(one.code, one.stderr).toBe(0);
    expect(lastJson(one)).toMatchObject({ dryRun: false, found: 3, selected: 1, sent: 1 });
    const rest = await redrive(state, '--all');
    expect(rest.stdout).toContain('1 of 2 were sent again.\nAn envelope-conflict comes back');
    const again = await redrive(state, '--all', '--json');
    expect(lastJson(again)).toMatchObject({ found: 1, selected: 0, sent: 0 });
    const started = await adit('start', args);
    expect(started.code, started.stderr).toBe(0);
    expect(lastJson(started)).toMatchObject({ settled: 2, recovered: 2 });
    const ids = (await exportRows(state)).map(({ id }) => id);
    expect(ids.toSorted()).toEqual(['crashed', 'i0', 'i1', 'other'].toSorted());
  });

  it('keeps to ages and limits', async () => {
    const { state } = await minedState();
    await bury(state, [
      [await envelope('a'), 'x'],
      [await envelope('b'), 'x'],
      [await envelope('c'), 'x'],
    ]);
    const selected = async (...args: readonly string[]): Promise<unknown> =>
      lastJson(await redrive(state, '--all', '--dry-run', '--json', ...args))['selected'];
    expect(await selected('--older-than', '1h')).toBe(0);
    expect(await selected('--newer-than', '1h')).toBe(3);
    expect(await selected('--reason', 'y')).toBe(0);
    expect(lastJson(await redrive(state, '--all', '--limit', '2', '--json'))).toMatchObject({ selected: 3, sent: 2 });
    expect((await redrive(state, '--all', '--dry-run')).stdout).toContain('1 of 1 would be sent again');
  });
});

describe('adit redrive beside a running npm start', () => {
  it('reaches its broker, whose address only its owner can read, and the envelope is in the lake', async () => {
    const { state, args } = await minedState();
    await bury(state, [[await envelope('dead'), 'envelope-unreadable']]);
    const running = startAdit(
      'start',
      args.filter((arg) => !['--once', '--json'].includes(arg)),
    );
    onTestFinished(() => void running.child.kill('SIGKILL'));
    await until(() => running.stderr().includes('Adit mines'), 60_000, `the start; it said ${running.stderr()}`);
    expect(((await stat(join(state, 'broker.json'))).mode & 0o777).toString(8)).toBe('600');
    const ended = await redrive(state, INGESTION_QUEUE, '--json');
    expect(ended.code, ended.stderr).toBe(0);
    expect(lastJson(ended)).toMatchObject({ found: 1, sent: 1 });
    const ids = async (): Promise<readonly string[]> => (await exportRows(state)).map(({ id }) => id);
    await until(async () => (await ids()).includes('dead'), 30_000, 'the envelope in the lake');
    running.child.kill('SIGINT');
    expect((await running.ended).code).toBe(0);
    expect(await readBroker(state)).toBeUndefined();
  });
});

describe('what a person may say to adit redrive', () => {
  it.each([
    [[], 'redrive needs a queue or --all'],
    [['--all', INGESTION_QUEUE], 'one of them'],
    [['ingestion-queue'], 'npm run adit -- redrive point-time-data-ingestion-queue --dry-run'],
    [['--all', '--older-than', '3 days'], '--older-than must be a time such as 30s'],
    [['--all', '--limit', '0'], '--limit must be a whole number 1..20000'],
    [['--all'], 'there is no state in'],
  ])('%j', async (args, message) => {
    const ended = await redrive(join(await emptyFolder(), 'state'), ...args);
    expect([ended.code, ended.stdout]).toEqual([2, '']);
    expect(ended.stderr).toContain(message);
  });
});
