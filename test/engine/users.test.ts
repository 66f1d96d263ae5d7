import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openAesSealing } from '../../runtime/adapters/aes-sealing.ts';
import { sha256Digest, systemClock } from '../../runtime/adapters/system.ts';
import type { User } from '../../runtime/core/miner.ts';
import { type UnreadableUsers, type UserEntry, userKeyOf, Users } from '../../runtime/engine/users.ts';
import type { RowWrite, Sealing, StoredRow } from '../../runtime/ports.ts';
import { userNamed } from '../fakes/engine-rig.ts';
import { MemoryRows } from '../fakes/memory-rows.ts';
import { keyNamed, testSealing } from '../fakes/test-sealing.ts';

const digest = sha256Digest;

function rig(sealing: Sealing = testSealing, rows = new MemoryRows()) {
  const told: UnreadableUsers[] = [];
  const users = new Users({ rows, digest, sealing, onUnreadable: (found) => told.push(found) });
  const stored = async (userId: string): Promise<StoredRow> => {
    const [row] = await rows.read([userKeyOf(userId, digest)]);
    if (row === undefined) throw new Error(`no row of ${userId}`);
    return row;
  };
  const put = (userId: string, value: string): Promise<unknown> =>
    rows.write([{ ...userKeyOf(userId, digest), value, ifMatch: 'any' }]);
  const all = async (): Promise<readonly User[]> => {
    const found: User[] = [];
    for await (const user of users.list()) found.push(user);
    return found.toSorted((a, b) => (a.userId < b.userId ? -1 : 1));
  };
  return { rows, users, told, stored, put, all };
}

describe('a user id with a lone surrogate', () => {
  it('is refused, because it would take the row of another user', async () => {
    const one = rig();
    const other = userNamed('\ufffd');
    await one.users.import([other]);
    const odd = [userNamed('fine'), userNamed('\udfff')];
    await expect(one.users.import(odd)).rejects.toThrow('userId must be valid Unicode, got "\\udfff"');
    expect(await one.all()).toEqual([other]);
  });
});

describe('the permission to go direct', () => {
  it('is kept, sealed, and absent where it was not given', async () => {
    const one = rig();
    const allowed = userNamed('yes', { proxyUrl: 'http://p:1', allowDirect: true });
    const refused = userNamed('no', { proxyUrl: 'http://p:1', allowDirect: false });
    await one.users.import([allowed, refused]);
    expect(await one.users.read('yes')).toEqual(allowed);
    expect((await one.users.read('no'))?.allowDirect ?? false).toBe(false);
    expect((await one.stored('yes')).value).not.toContain('allowDirect');
    await one.users.setStatus('yes', 'inactive');
    expect(await one.users.read('yes')).toEqual({ ...allowed, status: 'inactive' });
  });

  it('is not there in a record of an earlier release, sealed or not', async () => {
    const one = rig();
    const sealed = await testSealing.seal(JSON.stringify({ accessToken: 't', proxyUrl: 'http://p:1' }), 'old');
    await one.put('old', JSON.stringify({ userId: 'old', status: 'active', sealed }));
    const older = { userId: 'older', accessToken: 't', proxyUrl: null, status: 'active' };
    await one.put('older', JSON.stringify(older));
    expect((await one.users.read('old'))?.allowDirect ?? false).toBe(false);
    expect(await one.users.read('older')).toEqual(older);
  });
});

/** A table that somebody else writes to just before a write arrives. */
class BusyRows extends MemoryRows {
  before: (writes: readonly RowWrite[]) => Promise<void> = async () => undefined;

  override async write(writes: readonly RowWrite[]): ReturnType<MemoryRows['write']> {
    const { before } = this;
    this.before = async () => undefined;
    await before(writes);
    return super.write(writes);
  }
}

describe('the users table', () => {
  it('gives back what was put in, and shows neither token nor proxy', async () => {
    const line = fc.record({
      userId: fc.string({ minLength: 1, maxLength: 256, unit: 'binary' }).map((text) => text.toWellFormed()),
      accessToken: fc.stringMatching(/^[\x20-\x7e]{6,200}$/),
      proxyUrl: fc.option(fc.stringMatching(/^http:\/\/[a-z]{6,20}:[a-z]{6,20}@h:1$/)),
      status: fc.constantFrom('active', 'inactive'),
    });
    const files = fc.uniqueArray(line, { minLength: 1, maxLength: 20, selector: ({ userId }) => userId });
    await fc.assert(
      fc.asyncProperty(files, async (users: readonly User[]) => {
        const one = rig();
        await one.users.import(users);
        await one.users.import(users);
        for (const user of users) {
          expect(await one.users.read(user.userId)).toEqual(user);
          const { value } = await one.stored(user.userId);
          expect(Object.keys(JSON.parse(value) as object)).toEqual(['userId', 'status', 'sealed']);
          if (!user.userId.includes(user.accessToken)) expect(value).not.toContain(user.accessToken);
          if (user.proxyUrl !== null) expect(value).not.toContain(user.proxyUrl);
        }
        expect(await one.all()).toEqual(users.toSorted((a, b) => (a.userId < b.userId ? -1 : 1)));
      }),
      { numRuns: 50 },
    );
  });

  it('reads rows from before there were keys, and seals them at the next write', async () => {
    const one = rig();
    const user = userNamed('u1', { proxyUrl: 'http://u:p@h:1' });
    await one.put('u1', JSON.stringify(user));
    expect(await one.users.read('u1')).toEqual(user);
    expect(await one.all()).toEqual([user]);
    await one.users.setStatus('u1', 'inactive');
    expect((await one.stored('u1')).value).not.toContain(user.accessToken);
    expect(await one.users.read('u1')).toEqual({ ...user, status: 'inactive' });
  });

  it('a record that was copied into the row of another user does not open', async () => {
    const one = rig();
    await one.users.import([userNamed('u1'), userNamed('u2')]);
    const { value } = await one.stored('u1');
    await one.put('u2', value);
    await expect(one.users.read('u2')).rejects.toMatchObject({ code: 'SEAL_BROKEN' });
    await one.put('u2', value.replace('"userId":"u1"', '"userId":"u2"'));
    await expect(one.users.read('u2')).rejects.toMatchObject({ code: 'SEAL_BROKEN' });
    expect(await one.users.read('u1')).toEqual(userNamed('u1'));
  });

  it('a record that does not open leaves that user out of a listing, and the others in', async () => {
    const one = rig();
    const users = Array.from({ length: 30 }, (_, at) => userNamed(`u${at + 10}`));
    await one.users.import(users);
    const { value } = await one.stored('u10');
    for (let at = 11; at < 36; at += 1) await one.put(`u${at}`, value);
    expect((await one.all()).map(({ userId }) => userId)).toEqual(['u10', 'u36', 'u37', 'u38', 'u39']);
    expect(one.told).toMatchObject([{ count: 25, first: { code: 'SEAL_BROKEN' } }]);
    expect(one.told[0]?.userIds).toHaveLength(20);
  });

  it('when no record opens, the keys are missing and not the users', async () => {
    const one = rig();
    await one.users.import([userNamed('u1'), userNamed('u2')]);
    const other = rig(openAesSealing({ ring: [keyNamed('k9')], clock: systemClock }), one.rows);
    await expect(other.all()).rejects.toMatchObject({ code: 'KEY_UNKNOWN' });
    expect(await rig().all()).toEqual([]);
  });

  it('lists who is there without any key', async () => {
    const shut: Sealing = {
      seal: (...parts) => testSealing.seal(...parts),
      open: () => Promise.reject(new Error('shut')),
    };
    const one = rig(shut);
    await one.users.import([userNamed('u1')]);
    await one.put('u2', JSON.stringify(userNamed('u2', { status: 'inactive' })));
    const found: UserEntry[] = [];
    for await (const entry of one.users.entries()) found.push(entry);
    expect(found.toSorted((a, b) => (a.userId < b.userId ? -1 : 1))).toEqual([
      { userId: 'u1', status: 'active', keyId: 'k1' },
      { userId: 'u2', status: 'inactive', keyId: null },
    ]);
  });

  it('setting a user inactive keeps a token that is imported at the same moment, and needs no key', async () => {
    const rows = new BusyRows();
    const one = rig(testSealing, rows);
    await one.users.import([userNamed('u1')]);
    const renewed = userNamed('u1', { accessToken: 'renewed' });
    rows.before = () => one.users.import([renewed]);
    await one.users.setStatus('u1', 'inactive');
    expect(await one.users.read('u1')).toEqual({ ...renewed, status: 'inactive' });

    const failing: Sealing = {
      seal: () => Promise.reject(new Error('shut')),
      open: () => Promise.reject(new Error('shut')),
    };
    await one.users.import([userNamed('u2')]);
    await rig(failing, rows).users.setStatus('u2', 'inactive');
    expect(await one.users.read('u2')).toEqual(userNamed('u2', { status: 'inactive' }));
    await rig(failing, rows).users.setStatus('nobody', 'inactive');
  });

  it('imports in batches of 500 and tells how far it is; removes as many at once', async () => {
    const one = rig();
    const users = Array.from({ length: 1201 }, (_, at) => userNamed(`u${at}`));
    const done: number[] = [];
    await one.users.import(users, (count) => done.push(count));
    expect(done).toEqual([500, 1000, 1201]);
    expect(await one.all()).toHaveLength(1201);
    const removed = await one.users.removeAll(['nobody', ...users.slice(1).map(({ userId }) => userId)], (count) =>
      done.push(count),
    );
    expect(removed).toBe(1200);
    expect(done.slice(3)).toEqual([500, 1000, 1201]);
    expect(await one.all()).toEqual([userNamed('u0')]);
    expect(await one.users.remove('u0')).toBe(true);
    expect(await one.users.remove('u0')).toBe(false);
  });
});
