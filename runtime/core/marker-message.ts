import type { Run } from './run.ts';

/** Version of the marker message that this code writes. It reads this one and the one before. */
export const MARKER_MESSAGE_SCHEMA_VERSION = 1;

/** Content type of marker messages. */
export const MARKER_MESSAGE_CONTENT_TYPE = 'application/vnd.adit.marker+json';

/** Asks for one slice of a run. The run row is the authority; marker and pages are here for people who peek. */
export interface MarkerMessage {
  readonly schemaVersion: number;
  readonly minerName: string;
  readonly userId: string;
  readonly runId: string;
  readonly slice: number;
  readonly marker: string | null;
  readonly pages: number;
  readonly repeats: number;
}

/** The marker message of a run's current slice. */
export function markerMessageOf(run: Run): MarkerMessage {
  return {
    schemaVersion: MARKER_MESSAGE_SCHEMA_VERSION,
    minerName: run.minerName,
    userId: run.userId,
    runId: run.runId,
    slice: run.slice,
    marker: run.marker,
    pages: run.pages,
    repeats: run.guard.repeats,
  };
}

/** A marker message, or why a body is none. */
export type DecodedMarkerMessage =
  | { readonly kind: 'message'; readonly message: MarkerMessage }
  | { readonly kind: 'newer'; readonly schemaVersion: number }
  | { readonly kind: 'malformed'; readonly reason: string };

/** Reads a marker message; never throws. */
export function decodeMarkerMessage(text: string): DecodedMarkerMessage {
  let body: Partial<MarkerMessage> | null;
  try {
    body = JSON.parse(text) as Partial<MarkerMessage> | null;
  } catch {
    return { kind: 'malformed', reason: 'not JSON' };
  }
  const version = body?.schemaVersion;
  if (body === null || typeof version !== 'number') return { kind: 'malformed', reason: 'no schemaVersion' };
  if (version > MARKER_MESSAGE_SCHEMA_VERSION) return { kind: 'newer', schemaVersion: version };
  const { minerName, userId, runId, slice } = body;
  const isWhole =
    typeof minerName === 'string' && typeof userId === 'string' && typeof runId === 'string' && Number.isInteger(slice);
  if (!isWhole) return { kind: 'malformed', reason: 'minerName, userId, runId and slice are needed' };
  return { kind: 'message', message: body as MarkerMessage };
}
