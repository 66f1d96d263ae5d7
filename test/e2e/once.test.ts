import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adit, emptyFolder, lastJson } from './adit.ts';

const FIELDS = [
  'fetched',
  'new',
  'seen',
  'rejected',
  'sent',
  'settled',
  'recovered',
  'known',
  'discarded',
  'lake',
  'quarantined',
  'paused',
  'failed',
  'durationMs',
];

describe('npm start -- --once', () => {
  it('puts every item into the lake once, and sends nothing when nothing has changed', async () => {
    const state = join(await emptyFolder(), 'state');
    const args = ['--once', '--json', '--users', '20', '--seed', '7', '--state', state];

    const first = await adit('start', args);
    expect(first.code, first.stderr).toBe(0);
    const counts = lastJson(first);
    for (const field of FIELDS) expect(counts[field], field).toBeTypeOf('number');
    expect(counts).toMatchObject({
      lost: 0,
      duplicate: 0,
      rejected: 0,
      recovered: 0,
      quarantined: 0,
      paused: 0,
      failed: 0,
    });
    expect(counts['new']).toBeGreaterThan(1000);
    expect(counts['lake']).toBe(counts['new']);

    const again = await adit('start', args);
    expect(again.code, again.stderr).toBe(0);
    expect(lastJson(again)).toMatchObject({ new: 0, sent: 0, lake: 0, lost: 0, duplicate: 0 });
    expect(lastJson(again)['seen']).toBe(counts['fetched']);

    const edited = await adit('start', [...args, '--scenario', 'edits']);
    expect(edited.code, edited.stderr).toBe(0);
    const edits = lastJson(edited);
    expect(edits).toMatchObject({ lost: 0, duplicate: 0 });
    expect(edits['new']).toBeGreaterThan(0);
    expect(Number(edits['new'])).toBeLessThan(Number(counts['new']) / 10);
  });

  it('exports the lake as NDJSON, by miner and by user, versions numbered', async () => {
    const state = join(await emptyFolder(), 'state');
    const args = ['--once', '--json', '--users', '5', '--seed', '3', '--state', state];
    const counts = lastJson(await adit('start', args));
    await adit('start', [...args, '--scenario', 'edits']);

    const all = exported((await adit('adit', ['export', '--state', state])).stdout);
    expect(all.length).toBeGreaterThan(Number(counts['lake']));
    expect(Object.keys(all[0] ?? {})).toEqual([
      'miner',
      'userId',
      'id',
      'version',
      'seq',
      'late',
      'observedAt',
      'data',
    ]);
    const edited = all.filter((row) => row.seq === 2);
    expect(edited.length).toBeGreaterThan(0);
    for (const row of edited) {
      const versions = all.filter(
        (other) => other.id === row.id && other.userId === row.userId && other.miner === row.miner,
      );
      expect(versions.map((version) => version.seq)).toEqual([1, 2]);
      expect(versions[0]?.version).not.toBe(versions[1]?.version);
    }

    const part = exported(
      (await adit('adit', ['export', '--state', state, '--miner', 'chats', '--user', 'u2'])).stdout,
    );
    expect(part).toEqual(all.filter((row) => row.miner === 'chats' && row.userId === 'u2'));
  });

  it.each(['overlap', 'empty-pages', 'deletes', 'growth', 'bursts', 'rate-limits', 'slow'])(
    'loses and doubles nothing when the upstream is %s',
    async (scenario) => {
      const state = join(await emptyFolder(), 'state');
      const ended = await adit('start', [
        ...['--once', '--json', '--users', '8', '--seed', '5', '--scenario', scenario, '--state', state],
        ...['--set', 'rateLimitWaitMs=50', '--max-wait', '2m'],
      ]);
      expect(ended.code, ended.stderr).toBe(0);
      expect(lastJson(ended)).toMatchObject({ lost: 0, duplicate: 0 });
    },
  );

  it('sets users with refused tokens aside, visibly, and goes on; --strict makes that exit 1', async () => {
    const dir = await emptyFolder();
    const args = ['--once', '--json', '--users', '20', '--seed', '5', '--scenario', 'expired-tokens'];
    const ended = await adit('start', [...args, '--state', join(dir, 'a')]);
    expect(ended.code, ended.stderr).toBe(0);
    expect(lastJson(ended)['paused']).toBeGreaterThan(0);
    expect(ended.stderr).toMatch(/token/);
    const strict = await adit('start', [...args, '--state', join(dir, 'b'), '--strict']);
    expect(strict.code).toBe(1);
  });

  it('quarantines users whose lists go in circles and keeps what was served', async () => {
    for (const scenario of ['stuck', 'cycle']) {
      const state = join(await emptyFolder(), 'state');
      const ended = await adit('start', [
        '--once',
        '--json',
        '--users',
        '20',
        '--seed',
        '5',
        '--scenario',
        scenario,
        '--state',
        state,
      ]);
      expect(ended.code, ended.stderr).toBe(0);
      expect(lastJson(ended)).toMatchObject({ lost: 0, duplicate: 0 });
      expect(lastJson(ended)['quarantined'], scenario).toBeGreaterThan(0);
    }
  });

  it('ends with 3 and says who waits when --max-wait passes', async () => {
    const state = join(await emptyFolder(), 'state');
    const ended = await adit('start', [
      ...['--once', '--json', '--users', '5', '--state', state],
      ...['--set', 'userCallsPerSecond=0.01', '--max-wait', '3s'],
    ]);
    expect(ended.code, ended.stderr).toBe(3);
    expect(lastJson(ended)['waiting']).not.toHaveLength(0);
    expect(ended.stderr).toMatch(/u\d+ \S+: waits/);
  });

  it('works without any Redis and says so', async () => {
    const dir = await emptyFolder();
    const args = ['--once', '--json', '--users', '3', '--state', join(dir, 'state')];
    const ended = await adit('start', args, { env: { PATH: dir, REDIS_URL: '' } });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).toMatch(/no Redis/);
    expect(lastJson(ended)).toMatchObject({ lost: 0, duplicate: 0 });
  });

  it('works with a Redis that is not there, from the ledger alone', async () => {
    const state = join(await emptyFolder(), 'state');
    const args = ['--once', '--json', '--users', '3', '--state', state];
    const ended = await adit('start', args, { env: { REDIS_URL: 'redis://127.0.0.1:1' } });
    expect(ended.code, ended.stderr).toBe(0);
    expect(lastJson(ended)).toMatchObject({ lost: 0, duplicate: 0 });
  });
});

describe('npm run adit -- users', () => {
  it('imports, lists without tokens, and removes; doing it again changes nothing', async () => {
    const dir = await emptyFolder();
    const file = join(dir, 'users.ndjson');
    const state = join(dir, 'state');
    await writeFile(
      file,
      '{"userId":"b","accessToken":"hush-b"}\n{"userId":"a","accessToken":"hush-a","status":"inactive"}\n',
    );
    for (let round = 0; round < 2; round += 1) {
      expect((await adit('adit', ['users', 'import', file, '--state', state])).code).toBe(0);
    }
    const listed = await adit('adit', ['users', 'list', '--state', state]);
    expect(listed.stdout).toBe('{"userId":"a","status":"inactive"}\n{"userId":"b","status":"active"}\n');
    expect((await adit('adit', ['users', 'remove', 'a', '--state', state])).code).toBe(0);
    expect((await adit('adit', ['users', 'remove', 'a', '--state', state])).code).toBe(0);
    expect((await adit('adit', ['users', 'list', '--state', state])).stdout).toBe('{"userId":"b","status":"active"}\n');
  });
});

interface ExportedRow {
  readonly miner: string;
  readonly userId: string;
  readonly id: string;
  readonly version: string;
  readonly seq: number;
}

function exported(text: string): readonly ExportedRow[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ExportedRow);
}
