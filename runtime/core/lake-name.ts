/** Names of lake objects. `dt` folders are what query engines prune by. */

/** Object of one envelope: the same name and bytes whichever worker writes it. */
export function envelopeObject(minerName: string, composedAtMs: number, envelopeId: string): string {
  return `lake/${minerName}/dt=${dayOf(composedAtMs)}/${envelopeId}.ndjson.gz`;
}

/** Folder of all objects of a miner, or of every miner. */
export function lakePrefix(minerName?: string): string {
  return minerName === undefined ? 'lake/' : `lake/${minerName}/`;
}

/** Items of one page that could not be taken, with their reasons; named by content, so that a day's firings write them once. */
export function rejectedObject(minerName: string, observedAtMs: number, contentHash: string): string {
  return `rejected/${minerName}/dt=${dayOf(observedAtMs)}/${contentHash}.ndjson.gz`;
}

/** An item too large for a message (claim check), named by item and version. */
export function oversizeObject(minerName: string, rowKey: string, version: string): string {
  return `oversize/${minerName}/${rowKey}-${version}.ndjson.gz`;
}

function dayOf(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 10);
}

const NAME_LIMIT = 512;
const NAME_PATTERN = /^[A-Za-z0-9=._-]+(?:\/[A-Za-z0-9=._-]+)*$/;

/** Segments that start with a dot are refused: `..` leaves the lake, URLs drop it, and `.tmp` is where files are made. */
const HIDDEN_SEGMENT = /(?:^|\/)\./;

/** Checks the name of an object. @throws RangeError */
export function assertObjectName(name: string): void {
  if (name.length <= NAME_LIMIT && NAME_PATTERN.test(name) && !HIDDEN_SEGMENT.test(name)) return;
  throw new RangeError(
    `the name of an object must be 1..${NAME_LIMIT} characters of ${NAME_PATTERN.source} without a segment that starts with a dot, got ${name}`,
  );
}
