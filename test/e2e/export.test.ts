import { spawn } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { adit, emptyFolder, REPOSITORY } from './adit.ts';
import { mineOnce } from './lake-rows.ts';
import { listOf, plainItems, startUpstream } from './scripted-upstream.ts';

describe('adit export', () => {
  it('leaves no copy of the lake behind when its reader has seen enough, and none when it is interrupted', async () => {
    const upstream = await startUpstream(listOf(plainItems('i', 3000), 1000));
    const dir = await emptyFolder();
    const [state, temporary] = [join(dir, 'state'), join(dir, 'tmp')];
    await mkdir(temporary);
    const mined = await mineOnce({ upstream, state, users: ['u1', 'u2'] });
    expect(mined.code, mined.stderr).toBe(0);
    for (const stop of ['head', 'SIGINT'] as const) {
      const launch = join(REPOSITORY, 'runtime/host/launch.mjs');
      const child = spawn(process.execPath, [launch, 'adit', 'export', '--state', state], {
        cwd: REPOSITORY,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, TMPDIR: temporary },
      });
      let stderr = '';
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
      for await (const line of createInterface({ input: child.stdout })) {
        expect(line).toMatch(/^\{"miner":"chats","userId":"u1",/);
        break;
      }
      if (stop === 'head') child.stdout.destroy();
      else child.kill('SIGINT');
      const code = await ended;
      if (stop === 'head') expect(code, stderr).toBe(0);
      expect(stderr).toBe('');
      expect(await readdir(temporary)).toEqual([]);
    }
  });

  it('says which object of the lake is broken', async () => {
    const upstream = await startUpstream(listOf(plainItems('i', 30), 10));
    const state = join(await emptyFolder(), 'state');
    await mineOnce({ upstream, state, users: ['u1'] });
    const folder = join(state, 'lake', 'lake', 'chats');
    const [day = ''] = await readdir(folder);
    await writeFile(join(folder, day, 'broken.ndjson.gz'), 'no gzip');
    const ended = await adit('adit', ['export', '--state', state]);
    expect(ended.stderr).toMatch(/^the lake object lake\/chats\/.*\/broken\.ndjson\.gz cannot be read \([^\n]*\n$/);
    expect(ended.code).toBe(2);
  });
});
