import { MARKER_MESSAGE_CONTENT_TYPE, markerMessageOf } from '../core/marker-message.ts';
import { routeOf } from '../core/route.ts';
import type { Run } from '../core/run.ts';
import type { Bus, OutgoingMessage, Random } from '../ports.ts';

/** What sending marker messages needs. */
export interface MarkerSenderDeps {
  readonly bus: Pick<Bus, 'send'>;
  readonly random: Random;
}

/** Sends the marker message of each run's current slice; a run that waits gets a scheduled one. Always a new message id. */
export async function sendMarkers(deps: MarkerSenderDeps, minerName: string, runs: readonly Run[]): Promise<void> {
  if (runs.length === 0) return;
  const encoder = new TextEncoder();
  const messages = runs.map((run): OutgoingMessage => ({
    messageId: deps.random.uuid(),
    body: encoder.encode(JSON.stringify(markerMessageOf(run))),
    contentType: MARKER_MESSAGE_CONTENT_TYPE,
    subject: minerName,
    properties: { minerName, runId: run.runId, slice: run.slice },
    ...(run.notBeforeMs > 0 ? { notBeforeMs: run.notBeforeMs } : {}),
  }));
  await deps.bus.send(routeOf({ name: minerName }).miningQueue, messages);
}
