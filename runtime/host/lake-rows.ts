import { lakePrefix } from '../core/lake-name.ts';
import { parseServed } from '../core/served-json.ts';
import type { Lake } from '../ports.ts';

/** One row of the lake as ingest writes it. */
export interface LakeRow {
  readonly miner: string;
  readonly userId: string;
  readonly id: string;
  readonly version: string;
  readonly late: boolean;
  readonly observedAt: string;
  readonly data: unknown;
}

/** Every row of a miner, or of all of them, with its text, object by object. @throws the lake's error */
export async function* lakeRows(
  lake: Pick<Lake, 'list' | 'read'>,
  minerName?: string,
): AsyncIterable<{ readonly row: LakeRow; readonly text: string }> {
  for await (const name of lake.list(lakePrefix(minerName))) {
    for (const text of ((await lake.read(name)) ?? '').split('\n')) {
      if (text !== '') yield { row: parseServed(text) as LakeRow, text };
    }
  }
}
