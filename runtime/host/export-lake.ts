import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openFileLake } from '../adapters/file-lake.ts';
import { VersionSorter } from '../adapters/sqlite-sorter.ts';
import { miners } from '../catalog.ts';
import { parseServed, stringifyServed } from '../core/served-json.ts';
import type { Lake } from '../ports.ts';
import { openAzureStorage } from './azure-storage.ts';
import { BadInput } from './bad-input.ts';
import { type LakeRow, lakeRows } from './lake-rows.ts';
import { openStackStorage, type Whereabouts } from './stack-storage.ts';

/** Which rows; undefined = all. */
export interface ExportOptions {
  readonly minerName: string | undefined;
  readonly userId: string | undefined;
}

/**
 * The lake as NDJSON lines, every item's versions together and numbered from 1. Reads objects only, so it may run beside
 * the miners. @throws BadInput when there is no lake or no such miner, or an object is broken.
 */
export async function* exportLake(place: Whereabouts, options: ExportOptions): AsyncIterable<string> {
  const lake = await openLake(place, options);
  const sorter = new VersionSorter();
  try {
    const clear = { list: (prefix: string) => lake.list(prefix), read: (name: string) => readObject(lake, name) };
    for await (const { row, text } of lakeRows(clear, options.minerName)) {
      if (options.userId !== undefined && row.userId !== options.userId) continue;
      const item = JSON.stringify([row.miner, row.userId, row.id]);
      sorter.add({ item, observedAt: row.observedAt, text });
    }
    for (const { text, seq } of sorter.sorted()) yield exportLine(parseServed(text) as LakeRow, seq);
  } finally {
    sorter.close();
  }
}

async function openLake({ state, stack, environment }: Whereabouts, { minerName }: ExportOptions): Promise<Lake> {
  if (minerName !== undefined && !miners.some((miner) => miner.name === minerName)) {
    const names = miners.map((miner) => miner.name).join(', ');
    throw new BadInput(`--miner must be one of ${names}, got ${JSON.stringify(minerName)}`);
  }
  if (stack !== undefined) return (await openStackStorage(stack)).lake;
  if (environment.storage !== undefined) return (await openAzureStorage(environment.storage)).lake;
  const dir = join(state, 'lake');
  if (!existsSync(dir)) {
    throw new BadInput(
      `there is no lake in ${state}. Next: npm start -- --once --state ${state}, or name another folder with --state`,
    );
  }
  return openFileLake({ dir });
}

async function readObject(lake: Lake, name: string): Promise<string | undefined> {
  try {
    return await lake.read(name);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'unreadable';
    throw new BadInput(`the lake object ${name} cannot be read (${why}). Next: restore it from a copy`, { cause });
  }
}

function exportLine(row: LakeRow, seq: number): string {
  const { miner, userId, id, version, late, observedAt, data } = row;
  return stringifyServed({ miner, userId, id, version, seq, late, observedAt, data });
}
