import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { request } from 'undici';
import { versionText } from '../core/envelope.ts';
import { parseServed } from '../core/served-json.ts';
import { VERSION_DIGITS } from '../engine/take-page.ts';
import type { Digest, Lake } from '../ports.ts';
import { lakeRows } from './lake-rows.ts';

/** What is missing from the lake, and what is in it twice. */
export interface TruthResult {
  readonly lost: number;
  readonly duplicate: number;
}

/** Compares the lake, read back from its objects, with everything that the simulator served in whole answers. */
export async function compareWithTruth(simulatorUrl: string, lake: Lake, digest: Digest): Promise<TruthResult> {
  const { versions, duplicate } = await readLake(lake, digest);
  let lost = 0;
  for await (const line of truthLines(simulatorUrl)) {
    const served = parseServed(line) as { miner: string; userId: string; id: string; data: unknown };
    const version = contentHash(digest, served.data);
    if (!versions.has(JSON.stringify([served.miner, served.userId, served.id, version]))) lost += 1;
  }
  return { lost, duplicate };
}

function contentHash(digest: Digest, data: unknown): string {
  return digest.sha256(versionText(data), VERSION_DIGITS);
}

async function* truthLines(simulatorUrl: string): AsyncIterable<string> {
  const { body, statusCode } = await request(`${simulatorUrl}/_sim/truth`);
  if (statusCode !== 200) throw new Error(`the simulator answered ${statusCode} to /_sim/truth`);
  for await (const line of createInterface({ input: Readable.from(body) })) if (line !== '') yield line;
}

/**
 * Every version in the lake, and how many rows repeat the version before them. Versions are taken of the data that lies
 * there, never of what the row says of itself: a row whose data was spoilt on the way is a lost one.
 */
async function readLake(lake: Lake, digest: Digest): Promise<{ versions: Set<string>; duplicate: number }> {
  const versions = new Set<string>();
  const histories = new Map<string, { observedAt: string; version: string }[]>();
  for await (const { row } of lakeRows(lake)) {
    const { miner, userId, id, observedAt, data } = row;
    const version = contentHash(digest, data);
    versions.add(JSON.stringify([miner, userId, id, version]));
    const key = JSON.stringify([miner, userId, id]);
    const history = histories.get(key);
    if (history === undefined) histories.set(key, [{ observedAt, version }]);
    else history.push({ observedAt, version });
  }
  let duplicate = 0;
  for (const history of histories.values()) {
    if (history.length < 2) continue;
    history.sort((left, right) => (left.observedAt < right.observedAt ? -1 : 1));
    duplicate += history.filter((row, index) => index > 0 && history[index - 1]?.version === row.version).length;
  }
  return { versions, duplicate };
}
