import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { openSqliteLedger } from '../../runtime/adapters/sqlite-ledger.ts';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import type { User } from '../../runtime/core/miner.ts';
import { Users } from '../../runtime/engine/users.ts';
import { openHomeSealing } from '../../runtime/host/sealing-keys.ts';
import { adit, emptyFolder, lastJson, REPOSITORY, startAdit, until } from './adit.ts';
import { startProxy } from './connect-proxy.ts';
import { page, plainItems, startUpstream } from './scripted-upstream.ts';

const CANARY = 'canary-7d1e';

const usersOf = (count: number, proxy = `http://${CANARY}:${CANARY}@127.0.0.1:1`): readonly User[] =>
  Array.from({ length: count }, (_, at) => ({
    userId: `user-${at}`,
    accessToken: `${CANARY}-token-${at}`,
    proxyUrl: at % 10 === 0 ? proxy : null,
    status: 'active',
  }));

async function usersFile(dir: string, users: readonly User[]): Promise<string> {
  const file = join(dir, 'users.ndjson');
  await writeFile(file, users.map((user) => `${JSON.stringify(user)}\n`).join(''));
  return file;
}

/** Opens the table beside whoever else works on it, as any process does that has the keys. */
async function tableOf(state: string): Promise<{ users: Users; close: () => Promise<void> }> {
  const ledger = openSqliteLedger({ file: join(state, 'ledger.db') });
  const sealing = await openHomeSealing(state);
  return { users: new Users({ rows: ledger.users, digest: sha256Digest, sealing }), close: () => ledger.close() };
}

/** What a table says. A record that does not open is missing here, or an error when none opens. */
async function stored(state: string): Promise<{ users: readonly User[]; keys: Readonly<Record<string, number>> }> {
  const { users, close } = await tableOf(state);
  try {
    const found: User[] = [];
    const keys: Record<string, number> = {};
    for await (const user of users.list()) found.push(user);
    for await (const { keyId } of users.entries()) keys[String(keyId)] = (keys[String(keyId)] ?? 0) + 1;
    return { users: found.toSorted(byNumber), keys };
  } finally {
    await close();
  }
}

const byNumber = (a: User, b: User): number => Number(a.userId.slice(5)) - Number(b.userId.slice(5));

/** Files below a folder that hold a text, byte for byte, compressed or not. */
async function filesWith(dir: string, text: string): Promise<readonly string[]> {
  const names = await readdir(dir, { recursive: true });
  const found: string[] = [];
  for (const name of names) {
    const file = join(dir, name);
    if (!(await stat(file)).isFile()) continue;
    const bytes = await readFile(file);
    if ((name.endsWith('.gz') ? gunzipSync(bytes) : bytes).includes(text)) found.push(name);
  }
  return found;
}

describe('tokens at rest', () => {
  it('no file of the state folder has one, after an import, a run and a rotation', async () => {
    const dir = await emptyFolder();
    const state = join(dir, 'state');
    const proxy = await startProxy();
    const upstream = await startUpstream(({ after }) => page(plainItems('i', 3), after === null ? 'm' : undefined));
    const users = usersOf(20, `http://${CANARY}:${CANARY}@127.0.0.1:${proxy.port}`);
    const imported = await adit('adit', ['users', 'import', await usersFile(dir, users), '--state', state]);
    expect(imported.code, imported.stderr).toBe(0);
    expect(await filesWith(state, CANARY)).toEqual([]);
    const run = await adit('start', ['--once', '--json', '--strict', '--upstream', upstream.url, '--state', state]);
    expect(run.code, run.stderr).toBe(0);
    expect(new Set(upstream.calls.map(({ token }) => token))).toEqual(
      new Set(users.map(({ accessToken }) => accessToken)),
    );
    expect(proxy.tunnels.length).toBeGreaterThan(0);
    expect(await filesWith(state, CANARY)).toEqual([]);
    const rotated = await adit('adit', ['users', 'rotate-key', '--state', state, '--drop-old']);
    expect(rotated.code, rotated.stderr).toBe(0);
    expect(await filesWith(state, CANARY)).toEqual([]);
    for (const ended of [imported, run, rotated]) expect(ended.stdout + ended.stderr).not.toContain(CANARY);
    expect((await stored(state)).users).toEqual(users);
    expect((await stat(join(state, 'sealing-keys'))).mode & 0o777).toBe(0o600);
  });

  it('simulated users are sealed too', async () => {
    const state = join(await emptyFolder(), 'state');
    const run = await adit('start', ['--once', '--json', '--users', '3', '--state', state]);
    expect(run.code, run.stderr).toBe(0);
    const { users, keys } = await stored(state);
    expect(Object.keys(keys)).toEqual([expect.stringMatching(/^k1-/)]);
    // The simulator is the outside world: its own list of its users is the one file that has their tokens.
    for (const { accessToken } of users) {
      expect(await filesWith(state, accessToken)).toEqual(['simulated-users.ndjson']);
    }
  });

  it('a state folder from before there were keys goes on, and is sealed by the next import', async () => {
    const dir = await emptyFolder();
    const state = join(dir, 'state');
    const users = usersOf(3);
    const file = await usersFile(dir, users);
    expect((await adit('adit', ['users', 'import', file, '--state', state])).code).toBe(0);
    const db = new DatabaseSync(join(state, 'ledger.db'));
    for (const user of users) {
      db.prepare("UPDATE users SET value = ? WHERE value LIKE '%' || ? || '%'").run(
        JSON.stringify(user),
        `"${user.userId}"`,
      );
    }
    db.close();
    expect((await stored(state)).keys).toEqual({ null: 3 });
    expect((await stored(state)).users).toEqual(users);
    const listed = await adit('adit', ['users', 'list', '--state', state]);
    expect(listed.stdout.trim().split('\n')).toHaveLength(3);
    expect((await adit('adit', ['users', 'import', file, '--state', state])).code).toBe(0);
    const { users: kept, keys } = await stored(state);
    expect(Object.keys(keys)).toEqual([expect.stringMatching(/^k1-/)]);
    expect(kept).toEqual(users);
  });

  it('without the keys nothing is mined and nothing is lost: it says which key is missing', async () => {
    const dir = await emptyFolder();
    const state = join(dir, 'state');
    const users = usersOf(3);
    const keys = join(state, 'sealing-keys');
    await adit('adit', ['users', 'import', await usersFile(dir, users), '--state', state]);
    const text = await readFile(keys, 'utf8');
    for (const [broken, says] of [
      ['k9:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n', /sealed with the key k1-[^]*not among[^]*k9[^]*Next: /],
      ['torn', /sealing-keys holds no sealing keys[^]*entry 1[^]*Next: /],
    ] as const) {
      await writeFile(keys, broken);
      const ended = await adit('start', ['--once', '--upstream', 'http://127.0.0.1:1', '--state', state]);
      expect(ended.stderr).toMatch(says);
      expect(ended.stderr).not.toMatch(/\n +at /);
      expect(ended.code).toBe(2);
    }
    await writeFile(keys, text);
    expect((await stored(state)).users).toEqual(users);
  });
});

describe('npm run adit -- users', () => {
  it('a large import tells how far it is, in plain lines', async () => {
    const dir = await emptyFolder();
    const state = join(dir, 'state');
    const file = await usersFile(dir, usersOf(12_000));
    const imported = await adit('adit', ['users', 'import', file, '--state', state]);
    expect(imported.code, imported.stderr).toBe(0);
    expect(imported.stdout).toBe('12000 users are in the table.\n');
    const lines = imported.stderr.trim().split('\n');
    expect(lines[0]).toBe('500 of 12000 users are in the table');
    expect(lines.at(-1)).toBe('12000 of 12000 users are in the table');
    for (const line of lines) expect(line).toMatch(/^\d+ of 12000 users are in the table$/);
  });

  it('rotate-key that is killed loses nothing: every token is readable all the time, and the same command goes on', async () => {
    const dir = await emptyFolder();
    const state = join(dir, 'state');
    const users = usersOf(20_000);
    const imported = await adit('adit', ['users', 'import', await usersFile(dir, users), '--state', state]);
    expect(imported.code, imported.stderr).toBe(0);

    const rotating = startAdit('adit', ['users', 'rotate-key', '--state', state]);
    await until(() => rotating.stderr().includes('are sealed with the current key'), 30_000, 'the first batch');
    rotating.child.kill('SIGKILL');
    await rotating.ended;
    const torn = await stored(state);
    expect(torn.users).toEqual(users);
    expect(Object.keys(torn.keys), 'killed in the middle').toHaveLength(2);

    const goesOn = startAdit('adit', ['users', 'rotate-key', '--state', state, '--json']);
    const over = new AbortController();
    const ended = goesOn.ended.finally(() => over.abort());
    for (let at = 0; !over.signal.aborted; at = (at + 7919) % users.length) {
      const { users: table, close } = await tableOf(state);
      expect(await table.read(users[at]?.userId ?? '')).toEqual(users[at]);
      await close();
    }
    const rotation = lastJson(await ended);
    expect(rotation).toMatchObject({ isNewKey: false, users: 20_000, unreadable: 0, rowsWithoutKey: 0, dropped: [] });
    const whole = await stored(state);
    expect(whole.users).toEqual(users);
    expect(whole.keys).toEqual({ [String(rotation['keyId'])]: 20_000 });
    expect(await filesWith(state, CANARY)).toEqual([]);
  });

  it.each([
    [['users', 'rotate-key', '--state', 'x', '--stack', 'dev'], /--state and --stack name two places[^]*Next: /],
    [['users', 'rotate-key', '--state', 'no-such-folder'], /there are no users in no-such-folder[^]*Next: /],
    [['users', 'list', '--stack', 'no/../stack'], /name of a stack/],
    [['users', 'rotate'], /Next: npm run adit -- --help/],
  ])('%j is refused in one message', async (args, says) => {
    const ended = await adit('adit', args);
    expect(ended.stderr).toMatch(says);
    expect(ended.stderr).not.toMatch(/\n +at /);
    expect(ended.code).toBe(2);
    expect(await readdir(REPOSITORY)).not.toContain('no-such-folder');
  });
});
