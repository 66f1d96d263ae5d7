import { createHash, randomBytes } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { INGESTION_QUEUE } from '../../runtime/core/route.ts';
import { type Azurite, startAzurite } from '../azurite/start.ts';
import { isAzuriteHere } from '../fakes/servers.ts';
import { adit, emptyFolder, lastJson } from './adit.ts';
import { exportRows, lakeLines, mineArgs } from './lake-rows.ts';
import { page, plainItems, startUpstream } from './scripted-upstream.ts';
import { envelopeOf, itemNamed, onBroker } from './state-broker.ts';

vi.setConfig({ testTimeout: 180_000 });

/** Hexadecimal digits of chance: 10 MB that stay 5 MB when they are compressed, far over what a message may hold. */
const BIG = `{"id":"big","text":"${randomBytes(5_000_000).toString('hex')}"}`;

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

async function mineBig(env: Readonly<Record<string, string>>): Promise<string> {
  const upstream = await startUpstream(() => page([...plainItems('i', 3), BIG, ...plainItems('j', 3)]));
  const state = join(await emptyFolder(), 'state');
  const args = await mineArgs({ upstream, state, users: ['u1'] });
  const first = await adit('start', args, { env });
  expect(first.code, first.stderr).toBe(0);
  expect(lastJson(first)).toMatchObject({ fetched: 7, new: 7, sent: 7, settled: 7, lake: 7, known: 0 });
  const rows = await exportRows(state, env);
  expect(rows).toHaveLength(7);
  const text = rows.find(({ id }) => id === 'big')?.dataText ?? '';
  expect([text.length, sha(text)]).toEqual([BIG.length, sha(BIG)]);
  const again = await adit('start', args, { env });
  expect(lastJson(again)).toMatchObject({ fetched: 7, new: 0, seen: 7 });
  return state;
}

describe('an item of 10 MB', () => {
  it('waits in the lake as a file, and is written whole', async () => {
    const state = await mineBig({});
    const [object, ...others] = await lakeLines(state, 'oversize');
    expect([sha(object ?? ''), others]).toEqual([sha(BIG), []]);
  });

  describe.runIf(isAzuriteHere())('on Azure Blobs', () => {
    let azurite: Azurite | undefined;
    beforeAll(async () => {
      azurite = await startAzurite();
    });
    afterAll(async () => azurite?.stop());

    it('waits there, and is written whole', async () => {
      await mineBig({ ADIT_STORAGE_CONNECTION_STRING: azurite?.connectionString ?? '' });
    });
  });
});

describe('a claim check', () => {
  const { dataText: _, ...meta } = itemNamed('big');
  const dataRef = 'oversize/chats/big-1.ndjson.gz';

  /** A state folder whose broker holds an envelope with a pointer and a whole item. */
  async function pointingState(): Promise<{ state: string; args: readonly string[]; object: string }> {
    const upstream = await startUpstream(() => page([]));
    const state = join(await emptyFolder(), 'state');
    const args = await mineArgs({ upstream, state, users: ['u1'] });
    expect((await adit('start', args)).code).toBe(0);
    const message = await envelopeOf([{ ...meta, dataRef }, itemNamed('small')]);
    await onBroker(state, (bus) => bus.send(INGESTION_QUEUE, [message]));
    return { state, args, object: join(state, 'lake', dataRef) };
  }

  it('whose object is gone is a fault of its item alone, and its row says so', async () => {
    const { state, args } = await pointingState();
    const ended = await adit('start', args);
    expect(ended.code, ended.stderr).toBe(0);
    expect(lastJson(ended)).toMatchObject({ settled: 2, recovered: 2, lake: 2 });
    const rows = (await lakeLines(state, 'lake')).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(rows.find(({ id }) => id === 'big')).toMatchObject({ fault: 'oversize-gone', data: null });
    expect(rows.find(({ id }) => id === 'small')).toMatchObject({ data: { id: 'small' } });
  });

  it('whose object cannot be read for a while is no fault: the envelope waits, and is whole afterwards', async () => {
    const { state, args, object } = await pointingState();
    // A folder where the object belongs cannot be read as a file, whoever asks.
    await mkdir(object, { recursive: true });
    const waited = await adit('start', [...args, '--max-wait', '4s']);
    expect(waited.code, waited.stderr).not.toBe(0);
    expect(await lakeLines(state, 'lake')).toEqual([]);
    await rm(object, { recursive: true });
    await mkdir(dirname(object), { recursive: true });
    await writeFile(`${object}.tmp`, gzipSync('{"id":"big","n":1.0}\n'));
    await rename(`${object}.tmp`, object);
    const ended = await adit('start', args);
    expect(ended.code, ended.stderr).toBe(0);
    const rows = await exportRows(state);
    expect(rows.map(({ id, dataText }) => [id, dataText])).toEqual([
      ['big', '{"id":"big","n":1.0}'],
      ['small', '{"id":"small"}'],
    ]);
  });
});
