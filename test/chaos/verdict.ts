import { createHash } from 'node:crypto';
import { canonicalText } from '../../runtime/core/canonical-json.ts';
import { parseServed } from '../../runtime/core/served-json.ts';
import { aditLines } from './victim.ts';

export interface Verdict {
  /** Distinct (miner, user, id, content) that the upstream served whole. */
  readonly served: number;
  readonly rows: number;
  readonly lost: number;
  /** Rows of an item whose content equals the one before. */
  readonly duplicate: number;
  /** Rows that the upstream never served. */
  readonly invented: number;
}

interface ItemLine {
  readonly miner: string;
  readonly userId: string;
  readonly id: string;
  readonly data: unknown;
}

/** Compares what `adit export` prints with what the simulator says it served, by content and not by our own version hash. */
export async function judge(simulatorUrl: string, state: string): Promise<Verdict> {
  const inLake = new Set<string>();
  let rows = 0;
  let duplicate = 0;
  let before = '';
  for await (const line of aditLines(['export', '--state', state])) {
    const content = contentOf(parseServed(line) as ItemLine);
    rows += 1;
    if (content === before) duplicate += 1;
    before = content;
    inLake.add(content);
  }
  const served = new Set<string>();
  const answer = await fetch(`${simulatorUrl}/_sim/truth`);
  for (const line of (await answer.text()).split('\n')) {
    if (line !== '') served.add(contentOf(parseServed(line) as ItemLine));
  }
  const lost = [...served].filter((content) => !inLake.has(content)).length;
  const invented = [...inLake].filter((content) => !served.has(content)).length;
  return { served: served.size, rows, lost, duplicate, invented };
}

function contentOf(line: ItemLine): string {
  const text = JSON.stringify([line.miner, line.userId, line.id]) + canonicalText(line.data);
  return createHash('sha256').update(text).digest('base64');
}
