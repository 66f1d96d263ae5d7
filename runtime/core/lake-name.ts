/** Names of lake objects. `dt` folders are what query engines prune by. */

/** Object of one envelope: the same name and bytes whichever worker writes it. */
export function envelopeObject(minerName: string, composedAtMs: number, envelopeId: string): string {
  return `lake/${minerName}/dt=${dayOf(composedAtMs)}/${envelopeId}.ndjson.gz`;
}

/** Folder of all objects of a miner, or of every miner. */
export function lakePrefix(minerName?: string): string {
  return minerName === undefined ? 'lake/' : `lake/${minerName}/`;
}

/** Items of one page that could not be taken, with their reasons. */
export function rejectedObject(minerName: string, observedAtMs: number, runId: string, page: number): string {
  return `rejected/${minerName}/dt=${dayOf(observedAtMs)}/${runId}-${page}.ndjson.gz`;
}

/** An item too large for a message (claim check), named by item and version. */
export function oversizeObject(minerName: string, rowKey: string, version: string): string {
  return `oversize/${minerName}/${rowKey}-${version}.ndjson.gz`;
}

function dayOf(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 10);
}
