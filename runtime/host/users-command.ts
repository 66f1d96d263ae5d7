import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openSqliteLedger } from '../adapters/sqlite-ledger.ts';
import { sha256Digest, systemClock, systemRandom } from '../adapters/system.ts';
import type { User } from '../core/miner.ts';
import { type UserEntry, Users } from '../engine/users.ts';
import { openStateFolder } from '../local/state-folder.ts';
import type { Ledger, Sealing } from '../ports.ts';
import { openAzureStorage } from './azure-storage.ts';
import { BadInput } from './bad-input.ts';
import { releaseAll, type Release } from './release.ts';
import { rotateKey, type Rotation, type RotationOptions } from './rotate-key.ts';
import { cloudKeys, homeKeys, type KeySource, openSealing } from './sealing-keys.ts';
import { openStackStorage, type Whereabouts } from './stack-storage.ts';
import { storageRefusal } from './storage-refusal.ts';
import { readUsersFile } from './users-file.ts';

/** Tells how many users are done, of how many. */
export type UsersProgress = (done: number, total: number) => void;

/** Adds or replaces the users of a file. All bad lines are named, and then nothing is imported. How many they are. */
export async function importUsers(place: Whereabouts, file: string, onProgress: UsersProgress): Promise<number> {
  const users = await readUsersFile(file);
  await withUsers(place, ({ table }) => table.import(users, (done) => onProgress(done, users.length)));
  return users.length;
}

/** Users without their secrets, in the order of their ids. */
export async function listUsers(place: Whereabouts): Promise<readonly Pick<User, 'userId' | 'status'>[]> {
  if (isNowhere(place)) return [];
  const users: Pick<UserEntry, 'userId' | 'status'>[] = [];
  await withUsers(place, async ({ table }) => {
    for await (const { userId, status } of table.entries()) users.push({ userId, status });
  });
  return users.toSorted((left, right) => (left.userId < right.userId ? -1 : 1));
}

/** Removes one user, or all users of a file. What was mined stays. How many there were. */
export async function removeUsers(place: Whereabouts, fileOrUser: string, onProgress: UsersProgress): Promise<number> {
  const userIds = existsSync(fileOrUser) ? (await readUsersFile(fileOrUser)).map((user) => user.userId) : [fileOrUser];
  return withUsers(place, ({ table }) => table.removeAll(userIds, (done) => onProgress(done, userIds.length)));
}

/** Seals every user with a new key. @throws BadInput */
export async function rotateUsersKey(place: Whereabouts, options: RotationOptions): Promise<Rotation> {
  if (isNowhere(place))
    throw new BadInput(`there are no users in ${place.state}. Next: npm run adit -- users import FILE`);
  return withUsers(place, ({ ledger, keys }) =>
    rotateKey(
      {
        ...{ users: ledger.users, control: ledger.control, keys: keys() },
        ...{ digest: sha256Digest, clock: systemClock, random: systemRandom },
      },
      options,
    ),
  );
}

/** An opened users table. `keys` are looked for when they are needed: a list needs none. */
interface OpenedUsers {
  readonly ledger: Ledger;
  readonly table: Users;
  readonly keys: () => KeySource;
}

/** Nobody has been here yet, and looking must not make a folder. */
function isNowhere({ stack, environment, state }: Whereabouts): boolean {
  return stack === undefined && environment.storage === undefined && !existsSync(join(state, 'ledger.db'));
}

async function withUsers<T>(place: Whereabouts, work: (users: OpenedUsers) => Promise<T>): Promise<T> {
  const releases: Release[] = [];
  try {
    const { stack } = place;
    const { ledger, keys } = await (stack === undefined ? openHome(place, releases) : openStack(stack));
    releases.push(() => ledger.close());
    const table = new Users({ rows: ledger.users, digest: sha256Digest, sealing: sealingWhenNeeded(keys) });
    return await work({ ledger, table, keys });
  } catch (error) {
    throw storageRefusal(error, 'the users table') ?? error;
  } finally {
    await releaseAll(releases);
  }
}

type Opened = Pick<OpenedUsers, 'ledger' | 'keys'>;

async function openHome({ state, environment }: Whereabouts, releases: Release[]): Promise<Opened> {
  const folder = await openStateFolder(state, { isShared: environment.bus !== undefined });
  releases.push(() => folder.close());
  const { dir } = folder;
  const { storage } = environment;
  const ledger =
    storage === undefined
      ? openSqliteLedger({ file: join(dir, 'ledger.db') })
      : (await openAzureStorage(storage)).ledger;
  return { ledger, keys: () => homeKeys(dir, environment) };
}

async function openStack(stack: string): Promise<Opened> {
  const { ledger, environment, credential } = await openStackStorage(stack);
  return { ledger, keys: () => cloudKeys({ ...environment, credential }) };
}

/** A command is short, but a large import is not: the keys are confirmed again while it runs. */
function sealingWhenNeeded(keys: () => KeySource): Sealing {
  let opened: Promise<Sealing> | undefined;
  const sealing = (): Promise<Sealing> => (opened ??= openSealing(keys()));
  return {
    seal: async (...parts) => (await sealing()).seal(...parts),
    open: async (...parts) => (await sealing()).open(...parts),
  };
}
