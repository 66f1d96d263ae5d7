import rhea from 'rhea';
import { SESSION_LOCK_LOST } from './conditions.ts';
import { numberField, textField } from './request.ts';
import type { Answer, ManagementRequest } from './request.ts';
import type { SessionSlot } from './consumer.ts';

/** The session of a request, when the asking connection holds it. */
function heldSession(request: ManagementRequest): SessionSlot | undefined {
  const slot = request.box.sessions?.find(textField(request.body, 'session-id'));
  return slot?.holder?.owner === request.owner ? slot : undefined;
}

/** Extends the lock of a session that the asking connection holds. */
export function renewSession(request: ManagementRequest, answer: Answer): void {
  const slot = heldSession(request);
  if (slot === undefined) return answer({ status: 410, fault: SESSION_LOCK_LOST });
  const untilMs = request.box.renewSession(slot);
  answer({ status: 200, body: { expiration: rhea.types.wrap_timestamp(untilMs) } });
}

/** The stored state of a held session, null when there is none. */
export function getSessionState(request: ManagementRequest, answer: Answer): void {
  const { space, box } = request;
  const slot = heldSession(request);
  if (slot === undefined) return answer({ status: 410, fault: SESSION_LOCK_LOST });
  answer({ status: 200, body: { 'session-state': space.store.sessionState(box.id, slot.id) } });
}

/** Stores the state of a held session; null removes it. It outlives receivers and restarts. */
export function setSessionState(request: ManagementRequest, answer: Answer): void {
  const { space, box, body } = request;
  const slot = heldSession(request);
  if (slot === undefined) return answer({ status: 410, fault: SESSION_LOCK_LOST });
  const value = body['session-state'];
  const state = Buffer.isBuffer(value) ? Buffer.from(value) : null;
  space.journal.commit(
    (store) => store.setSessionState(box.id, slot.id, state),
    () => answer({ status: 200 }),
  );
}

/** Names of the sessions that have messages or a receiver, paged by `skip` and `top`. */
export function listSessions(request: ManagementRequest, answer: Answer): void {
  const { box, body } = request;
  const skip = numberField(body, 'skip', 0);
  const ids = (box.sessions?.ids() ?? []).slice(skip, skip + numberField(body, 'top', 100));
  if (ids.length === 0) return answer({ status: 204 });
  answer({ status: 200, body: { skip: rhea.types.wrap_int(skip + ids.length), 'sessions-ids': [...ids] } });
}
