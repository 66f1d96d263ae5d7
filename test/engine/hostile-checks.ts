import { expect } from 'vitest';
import { parseServed, stringifyServed } from '../../runtime/core/served-json.ts';
import { ITEM_ID_LIMIT, PAGE_VERSIONS_LIMIT } from '../../runtime/engine/take-page.ts';
import { MINER } from '../fakes/engine-rig.ts';
import { hostilePage } from './hostile-grammar.ts';
import { type Reading, readHostile } from './hostile-reading.ts';
import { type Reference, referenceItems, referenceOf, referencePage, rowText, sameText } from './hostile-reference.ts';

/** Key of every id that was met, and the other way round. */
const keyOfId = new Map<string, string>();
const idOfKey = new Map<string, string>();

/** What was met so far, so that a run that reaches nothing rare is seen. */
export interface HostileSums {
  /** Pages by `page` or the code of their fault. */
  readonly outcomes: Map<string, number>;
  items: number;
  rejected: number;
  rows: number;
  /** Pages whose reference would run out of stack: only counted. */
  tooDeep: number;
  characters: number;
}

/**
 * Lets the engine read the page of a seed and compares what it made of it with the reference.
 * @throws when anything but a page or a known fault came out, or a page that is not what was served.
 */
export async function checkPage(seed: number, sums: HostileSums): Promise<void> {
  const page = hostilePage(seed);
  sums.characters += page.answer.text.length;
  const reading = await readHostile(page);
  const outcome = reading.kind === 'page' ? 'page' : reading.code;
  sums.outcomes.set(outcome, (sums.outcomes.get(outcome) ?? 0) + 1);
  const reference = referenceOf(page.answer.text);
  if (reading.kind === 'page') checkTaken(reference, reading, sums);
  // What a page holds has been compared by then.
  else checkJson(page.answer.text, reference);
}

/** Accepted, refused and printed as the language's own parser has it, whether or not it is a page. */
function checkJson(text: string, reference: Reference): void {
  let printed: string | undefined;
  try {
    printed = stringifyServed(parseServed(text));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if ((printed === undefined) !== (reference === undefined)) expect.fail('JSON for one parser only');
  if (printed === undefined || typeof reference !== 'object') return;
  const again = referenceOf(printed);
  if (typeof again !== 'object' || sameText(again.value) !== sameText(reference.value)) {
    expect.fail('what was parsed does not print back');
  }
}

const DATA = ',"data":';

/** The lines of all objects below a prefix, each with what stands before its data and the reference of that. */
function linesOf(
  lake: ReadonlyMap<string, string>,
  prefix: string,
): readonly { meta: Record<string, unknown>; content: string }[] {
  const lines = [...lake]
    .filter(([name]) => name.startsWith(prefix))
    .flatMap(([, text]) => text.trimEnd().split('\n'))
    .map((line) => [line.slice(0, line.indexOf(DATA)), line.slice(line.indexOf(DATA) + DATA.length, -1)] as const);
  // As one text, because the reference costs most where it begins.
  const reference = referenceOf(`[${lines.map(([, data]) => data).join()}]`);
  const contents = typeof reference === 'object' ? (reference.value as readonly unknown[]).map(sameText) : [];
  return lines.map(([meta], at) => ({
    meta: JSON.parse(`${meta}}`) as Record<string, unknown>,
    content: contents[at] ?? 'too-deep',
  }));
}

/** Whatever was taken is in the lake, once, as it was served; whatever was not is set aside, as it was served. */
function checkTaken(reference: Reference, reading: Extract<Reading, { kind: 'page' }>, sums: HostileSums): void {
  const { page, taken, found } = reading;
  const rowLines = linesOf(found.lake.objects, 'lake/');
  const rejectedLines = linesOf(found.lake.objects, 'rejected/');
  checkSame('rows and lines', [rowLines.length, rejectedLines.length], [taken.fresh, taken.rejected]);
  checkSame('items', [taken.fresh + taken.seen + taken.rejected], [page.items.length]);
  for (const id of taken.ids) checkKey(id, found.checkpoints.keyOf(MINER.name, 'u1', id));
  sums.items += page.items.length;
  sums.rows += rowLines.length;
  sums.rejected += rejectedLines.length;
  if (reference === 'too-deep') {
    sums.tooDeep += 1;
    return;
  }
  const wanted = referencePage(referenceItems(reference), PAGE_VERSIONS_LIMIT);
  checkSame('rows', rowLines.map(({ meta, content }) => rowText(String(meta['id']), content)).sort(), wanted.rows);
  checkSame('set aside', rejectedLines.map(({ content }) => content).sort(), wanted.rejected);
}

/** Different ids that were met. */
export function idsMet(): number {
  return keyOfId.size;
}

/** Cheaper than an assertion that holds, of which there would be a million. */
function checkSame<T extends string | number>(what: string, got: readonly T[], wanted: readonly T[]): void {
  if (got.length !== wanted.length || got.some((one, at) => one !== wanted[at])) expect(got, what).toEqual(wanted);
}

function checkKey(id: string, { partition, row }: { readonly partition: string; readonly row: string }): void {
  const key = `${partition}/${row}`;
  if (id.length > ITEM_ID_LIMIT || !/^[a-z0-9.-]{1,80}\/[0-9a-f]{52}$/.test(key)) expect.fail(`key ${key}`);
  const [knownKey, knownId] = [keyOfId.get(id), idOfKey.get(key)];
  if (knownKey !== undefined && knownKey !== key) expect.fail(`two keys of id ${JSON.stringify(id)}`);
  if (knownId !== undefined && knownId !== id) expect.fail(`one key of ${JSON.stringify([id, knownId])}`);
  keyOfId.set(id, key);
  idOfKey.set(key, id);
}
