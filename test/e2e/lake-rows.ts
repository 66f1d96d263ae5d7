import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { adit, type Ended, lastJson } from './adit.ts';
import type { ScriptedUpstream } from './scripted-upstream.ts';

export interface ExportedRow {
  readonly miner: string;
  readonly userId: string;
  readonly id: string;
  readonly version: string;
  readonly seq: number;
  readonly late: boolean;
  readonly observedAt: string;
  /** The data as the text that stands in the lake. */
  readonly dataText: string;
}

const DATA = ',"data":';

/** `adit export`, row by row. */
export async function exportRows(state: string, env: Readonly<Record<string, string>> = {}): Promise<ExportedRow[]> {
  const ended = await adit('adit', ['export', '--state', state], { env });
  if (ended.code !== 0) throw new Error(`export ended with ${ended.code}: ${ended.stderr}`);
  return ended.stdout.split('\n').filter(Boolean).map(readRow);
}

/** No text inside the line can hold `,"data":`, because its quotes would be escaped. */
function readRow(line: string): ExportedRow {
  const at = line.indexOf(DATA);
  const meta = JSON.parse(`${line.slice(0, at)}}`) as Omit<ExportedRow, 'dataText'>;
  return { ...meta, dataText: line.slice(at + DATA.length, -1) };
}

/** Lines of all objects of the lake folder below `prefix`, as a reader without Adit sees them. */
export async function lakeLines(state: string, prefix: 'lake' | 'rejected' | 'oversize'): Promise<string[]> {
  const dir = join(state, 'lake', prefix);
  if (!existsSync(dir)) return [];
  const names = (await readdir(dir, { recursive: true })).filter((name) => name.endsWith('.ndjson.gz'));
  const texts = await Promise.all(names.map(async (name) => gunzipSync(await readFile(join(dir, name))).toString()));
  return texts.flatMap((text) => text.split('\n').filter(Boolean));
}

export interface Mining {
  readonly upstream: Pick<ScriptedUpstream, 'url'>;
  readonly state: string;
  /** User ids, or whole users. */
  readonly users: readonly (string | Readonly<Record<string, unknown>>)[];
  readonly args?: readonly string[];
  /** Default: chats only. */
  readonly miners?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** `npm start -- --once --json` on an upstream of the test's own. */
export async function mineOnce(mining: Mining): Promise<Ended & { readonly counts: Record<string, number> }> {
  const ended = await adit('start', await mineArgs(mining), { env: mining.env ?? {} });
  const hasCounts = ended.code === 0 || ended.code === 1 || ended.code === 3;
  return { ...ended, counts: hasCounts ? (lastJson(ended) as Record<string, number>) : {} };
}

/** The arguments of `mineOnce`, with the users file written beside the state folder. */
export async function mineArgs({ upstream, state, users, args = [], miners = ['chats'] }: Mining): Promise<string[]> {
  const file = `${state}-users.ndjson`;
  const lines = users.map((user) =>
    JSON.stringify(typeof user === 'string' ? { userId: user, accessToken: `hush-${user.length}` } : user),
  );
  await writeFile(file, `${lines.join('\n')}\n`);
  return [
    ...['--once', '--json', '--max-wait', '60s', '--upstream', upstream.url, '--users-file', file, '--state', state],
    ...miners.flatMap((miner) => ['--miner', miner]),
    ...args,
  ];
}
