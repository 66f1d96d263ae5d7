import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BadInput } from '../../runtime/host/bad-input.ts';
import { readUsersFile } from '../../runtime/host/users-file.ts';
import { emptyFolder } from '../e2e/adit.ts';

async function fileOf(...lines: readonly object[]): Promise<string> {
  const file = join(await emptyFolder(), 'users.ndjson');
  await writeFile(file, lines.map((line) => JSON.stringify(line)).join('\n'));
  return file;
}

describe('a users file', () => {
  it('says who may go direct; whoever is not named may not', async () => {
    const user = { accessToken: 'hush-token', proxyUrl: 'http://proxy:3128' };
    const file = await fileOf({ ...user, userId: 'no' }, { ...user, userId: 'yes', allowDirect: true });
    expect(await readUsersFile(file)).toEqual([
      { ...user, userId: 'no', allowDirect: false, status: 'active' },
      { ...user, userId: 'yes', allowDirect: true, status: 'active' },
    ]);
  });

  it.each(['true', 1, null])(
    'with %j for allowDirect is refused by line and name, without the token',
    async (allowDirect) => {
      const reading = readUsersFile(await fileOf({ userId: 'u', accessToken: 'hush-token', allowDirect }));
      await expect(reading).rejects.toThrow(BadInput);
      await expect(reading).rejects.toThrow(/line 1: allowDirect: .*expected boolean/);
      await expect(reading).rejects.not.toThrow(/hush/);
    },
  );
});
