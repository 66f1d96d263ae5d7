import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openSqliteLedger } from '../adapters/sqlite-ledger.ts';
import { sha256Digest } from '../adapters/system.ts';
import type { User } from '../core/miner.ts';
import { Users } from '../engine/users.ts';
import { openStateFolder } from '../local/state-folder.ts';
import type { Ledger } from '../ports.ts';
import { openAzureStorage } from './azure-storage.ts';
import type { Environment } from './config.ts';
import { readUsersFile } from './users-file.ts';

/** Adds or replaces the users of a file. All bad lines are named, and then nothing is imported. */
export async function importUsers(state: string, file: string, environment: Environment): Promise<number> {
  const users = await readUsersFile(file);
  await withUsers(state, environment, (table) => table.import(users));
  return users.length;
}

/** Users without their secrets. */
export async function listUsers(
  state: string,
  environment: Environment,
): Promise<readonly Pick<User, 'userId' | 'status'>[]> {
  if (environment.storage === undefined && !existsSync(join(state, 'ledger.db'))) return [];
  const users: Pick<User, 'userId' | 'status'>[] = [];
  await withUsers(state, environment, async (table) => {
    for await (const { userId, status } of table.list()) users.push({ userId, status });
  });
  return users.toSorted((left, right) => (left.userId < right.userId ? -1 : 1));
}

/** Removes one user, or all users of a file. What was mined stays. How many there were. */
export async function removeUsers(state: string, fileOrUser: string, environment: Environment): Promise<number> {
  const userIds = existsSync(fileOrUser) ? (await readUsersFile(fileOrUser)).map((user) => user.userId) : [fileOrUser];
  let removed = 0;
  await withUsers(state, environment, async (table) => {
    for (const userId of userIds) removed += (await table.remove(userId)) ? 1 : 0;
  });
  return removed;
}

async function withUsers(
  state: string,
  environment: Environment,
  work: (users: Users) => Promise<void>,
): Promise<void> {
  const folder = await openStateFolder(state);
  try {
    const ledger = await openLedger(folder.dir, environment);
    try {
      await work(new Users({ rows: ledger.users, digest: sha256Digest }));
    } finally {
      await ledger.close();
    }
  } finally {
    await folder.close();
  }
}

async function openLedger(dir: string, environment: Environment): Promise<Ledger> {
  if (environment.storage === undefined) return openSqliteLedger({ file: join(dir, 'ledger.db') });
  return (await openAzureStorage(environment.storage)).ledger;
}
