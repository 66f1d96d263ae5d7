import type { Command } from 'commander';
import { EXIT } from '../host/bad-input.ts';
import { print, printJson, STDERR, tell } from '../host/exits.ts';
import { ProgressLine } from '../host/progress-line.ts';
import type { Rotation } from '../host/rotate-key.ts';
import { importUsers, listUsers, removeUsers, rotateUsersKey } from '../host/users-command.ts';
import { addPlace, type PlaceFlags, placeOf } from './where.ts';

/** Files with fewer users are imported before anybody could read a line about it. */
const IMPORT_WORTH_TELLING = 5_000;

/** Fewer users are sealed before anybody could read a line about it. */
const SEALING_WORTH_TELLING = 1_000;

interface RotateFlags extends PlaceFlags {
  readonly dropOld: boolean;
  readonly json: boolean;
}

/** The commands about users. `exit` is told an exit code other than 0. */
export function addUsers(users: Command, exit: (code: number) => void): void {
  addPlace(users.command('import <file>').description('adds or replaces the users of an NDJSON file')).action(
    async (file: string, flags: PlaceFlags) => {
      const progress = new ProgressLine(STDERR, 'users are in the table', IMPORT_WORTH_TELLING);
      const count = await importUsers(placeOf(flags), file, (done, total) => progress.show(done, total)).finally(() =>
        progress.end(),
      );
      print(`${count} users are in the table.\n`);
    },
  );
  addPlace(users.command('list').description('prints the users as NDJSON, without their tokens')).action(
    async (flags: PlaceFlags) => {
      for (const user of await listUsers(placeOf(flags))) printJson(user);
    },
  );
  addPlace(
    users.command('remove <file|user>').description('removes a user, or the users of a file; what was mined stays'),
  ).action(async (fileOrUser: string, flags: PlaceFlags) => {
    const progress = new ProgressLine(STDERR, 'users were looked at', IMPORT_WORTH_TELLING);
    const count = await removeUsers(placeOf(flags), fileOrUser, (done, total) => progress.show(done, total)).finally(
      () => progress.end(),
    );
    print(count === 0 ? 'There was no such user.\n' : `${count} users removed.\n`);
  });
  addPlace(
    users
      .command('rotate-key')
      .description('seals the tokens of all users with a new key; after an interruption the same command goes on'),
  )
    .option('--drop-old', 'take the keys that no user needs any more out of the ring', false)
    .option('--json', 'last line on stdout is one JSON object', false)
    .action(async (flags: RotateFlags) => {
      const rotation = await rotate(flags);
      if (flags.json) printJson(jsonOf(rotation));
      else print(textOf(rotation));
      if (rotation.unreadable > 0 || rotation.rowsWithoutKey > 0) exit(EXIT.incomplete);
    });
}

async function rotate(flags: RotateFlags): Promise<Rotation> {
  const progress = new ProgressLine(STDERR, 'users are sealed with the current key', SEALING_WORTH_TELLING);
  try {
    return await rotateUsersKey(placeOf(flags), {
      dropOld: flags.dropOld,
      onLine: tell,
      onProgress: (done, total) => progress.show(done, total),
    });
  } finally {
    progress.end();
  }
}

function jsonOf({ dropFromMs, ...rotation }: Rotation): Readonly<Record<string, unknown>> {
  return { ...rotation, dropFrom: dropFromMs === undefined ? null : new Date(dropFromMs).toISOString() };
}

function textOf(rotation: Rotation): string {
  const { keyId, resealed, users, keys, dropped, dropFromMs } = rotation;
  const lines = [`${resealed} users were sealed with the key ${keyId}; the table has ${users}.`];
  for (const key of keys.slice(1)) lines.push(`The old key ${key.keyId} is kept; ${key.rows} users need it.`);
  if (dropped.length > 0) lines.push(`Dropped: ${dropped.join(', ')}.`);
  if (dropFromMs !== undefined) {
    lines.push(
      `A running process may still seal with an old key until ${new Date(dropFromMs).toISOString()}. Next: the same command after that.`,
    );
  } else if (keys.some((key, index) => index > 0 && key.rows === 0)) {
    lines.push('Next: npm run adit -- users rotate-key --drop-old');
  }
  for (const { userId, reason } of rotation.unreadableUsers) lines.push(`Not sealed: ${userId}: ${reason}`);
  const rest = rotation.unreadable - rotation.unreadableUsers.length;
  if (rest > 0) lines.push(`Not sealed: ${rest} more`);
  if (rotation.unreadable > 0)
    lines.push('No new key is made while there are such users. Next: import them again, or remove them.');
  return `${lines.join('\n')}\n`;
}
