/** Share of the limit by which a collection may outgrow it before it is cut back. */
const SLACK_SHARE = 0.1;

/**
 * Cuts a map or set back to `limit` entries, oldest insertions first, once it has outgrown it by a tenth. In one sweep, because
 * deleting the first entry again and again makes every look at "the first entry" walk over the holes.
 */
export function trimOldest(held: Map<string, unknown> | Set<string>, limit: number): void {
  if (held.size <= limit * (1 + SLACK_SHARE)) return;
  for (const key of held.keys()) {
    if (held.size <= limit) return;
    held.delete(key);
  }
}
