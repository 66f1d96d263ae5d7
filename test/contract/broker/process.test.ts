import { DatabaseSync } from 'node:sqlite';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ServiceBusClient } from '@azure/service-bus';
import { RETRIES, depthOf, plainAdmin, queue, spawnBroker, spawnMain, tempFolder } from './stage.ts';

const ENTITIES = [queue('work')];
let stateDir: string;

beforeEach(async () => {
  stateDir = await tempFolder();
});

afterEach(async () => rm(stateDir, { recursive: true, force: true }));

async function refusal(options: unknown): Promise<{ line: unknown; exit: unknown }> {
  const child = spawnMain();
  child.write(options);
  const line = await child.read();
  return { line, exit: await child.exited };
}

test('the process ends when its stdin ends', async () => {
  const broker = await spawnBroker(stateDir, ENTITIES);
  broker.process.child.stdin?.end();
  expect(await broker.process.exited).toEqual([0, null]);
});

test('SIGTERM ends it cleanly, SIGINT does not, and what was sent is there after it', async () => {
  const broker = await spawnBroker(stateDir, ENTITIES);
  const client = new ServiceBusClient(broker.connectionString, { retryOptions: RETRIES });
  broker.process.child.kill('SIGINT');
  await client.createSender('work').sendMessages([{ body: 1 }, { body: 2 }]);
  await client.close();
  expect(await broker.process.kill('SIGTERM')).toEqual([0, null]);
  const again = await spawnBroker(stateDir, ENTITIES);
  expect((await depthOf(plainAdmin(again.connectionString), 'work')).active).toBe(2);
  await again.process.kill('SIGTERM');
});

test('a port in use is named, with exit code 2', async () => {
  const broker = await spawnBroker(stateDir, ENTITIES);
  const otherDir = await tempFolder();
  const { line, exit } = await refusal({ stateDir: otherDir, port: broker.port, entities: ENTITIES });
  expect(line).toMatchObject({ error: { code: 'EADDRINUSE' } });
  expect(exit).toEqual([2, null]);
  await broker.process.kill('SIGTERM');
  await rm(otherDir, { recursive: true, force: true });
});

test('a journal of a newer version is not touched', async () => {
  const db = new DatabaseSync(join(stateDir, 'broker.db'));
  db.exec('PRAGMA user_version = 999');
  db.close();
  const { line, exit } = await refusal({ stateDir, port: 0, entities: ENTITIES });
  expect(line).toMatchObject({ error: { code: 'STATE_NEWER' } });
  expect(exit).toEqual([2, null]);
});

test('a folder belongs to one broker at a time', async () => {
  const broker = await spawnBroker(stateDir, ENTITIES);
  const { line } = await refusal({ stateDir, port: 0, entities: ENTITIES });
  expect(line).toMatchObject({ error: { code: 'STATE_LOCKED' } });
  await broker.process.kill('SIGTERM');
});

test('options that are not JSON are refused', async () => {
  const child = spawnMain();
  child.child.stdin?.write('nonsense\n');
  expect(await child.read()).toMatchObject({ error: { code: 'OPTIONS' } });
  expect(await child.exited).toEqual([2, null]);
});
