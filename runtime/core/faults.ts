/**
 * What is done about a fault of a page.
 * `wait` ask again later, the user's or the upstream's budget says when · `retry` transient, with jitter ·
 * `pause` this user's run waits for a person or a new token · `skip` this miner is left out for this user ·
 * `deactivate` the user is set inactive · `restart` once more from the head of the list ·
 * `quarantine` the run is set aside, resumable · `shrink` the page is asked again with a smaller limit ·
 * `stop` the lane stops until a person releases it.
 */
export type Treatment =
  | 'wait'
  | 'retry'
  | 'pause'
  | 'skip'
  | 'deactivate'
  | 'restart'
  | 'quarantine'
  | 'shrink'
  | 'stop';

/**
 * What is done about a fault of a message: `bury` nobody can handle it, a person looks at it · `postpone` it comes again later ·
 * `mark` the row of the lake says what is missing.
 */
export type MessageTreatment = 'bury' | 'postpone' | 'mark';

/** Whose fault it is: only `upstream` faults may feed the shared budget and the breaker. */
export type FaultScope = 'user' | 'upstream' | 'run' | 'message';

/**
 * What becomes of the message that met the fault. `schedule`: a copy that is delivered later is sent first, then the message is
 * completed, so that no wait uses up deliveries.
 */
export type FaultSettlement = 'complete' | 'schedule' | 'dead-letter';

type FaultRow = {
  readonly settlement: FaultSettlement;
  /** Title of its section in runtime/ops/PLAYBOOK.md. */
  readonly playbook: string;
} & (
  | { readonly scope: Exclude<FaultScope, 'message'>; readonly treatment: Treatment }
  | { readonly scope: 'message'; readonly treatment: MessageTreatment }
);

/**
 * The one table fault -> treatment and settlement. Article ch. 7; departs: by status and code, never by the text of an
 * exception.
 */
export const FAULTS = {
  'rate-limit-user': { treatment: 'wait', scope: 'user', settlement: 'schedule', playbook: 'rate-limited' },
  'rate-limit-upstream': { treatment: 'wait', scope: 'upstream', settlement: 'schedule', playbook: 'rate-limited' },
  token: { treatment: 'pause', scope: 'user', settlement: 'complete', playbook: 'token' },
  permission: { treatment: 'skip', scope: 'user', settlement: 'complete', playbook: 'permission' },
  'user-gone': { treatment: 'deactivate', scope: 'user', settlement: 'complete', playbook: 'user-gone' },
  'mass-gone': { treatment: 'stop', scope: 'upstream', settlement: 'schedule', playbook: 'mass-fault' },
  'mass-token': { treatment: 'stop', scope: 'upstream', settlement: 'schedule', playbook: 'mass-fault' },
  'wrong-address': { treatment: 'quarantine', scope: 'run', settlement: 'complete', playbook: 'changed-upstream' },
  'dead-marker': { treatment: 'restart', scope: 'run', settlement: 'complete', playbook: 'marker-trouble' },
  transient: { treatment: 'retry', scope: 'upstream', settlement: 'schedule', playbook: 'transient' },
  // Counts for the breaker of (upstream, proxy), never for that of the upstream without a proxy.
  proxy: { treatment: 'retry', scope: 'upstream', settlement: 'schedule', playbook: 'transient' },
  refused: { treatment: 'quarantine', scope: 'run', settlement: 'complete', playbook: 'changed-upstream' },
  'page-shape': { treatment: 'quarantine', scope: 'run', settlement: 'complete', playbook: 'changed-upstream' },
  'page-too-large': { treatment: 'shrink', scope: 'run', settlement: 'complete', playbook: 'changed-upstream' },
  'marker-stuck': { treatment: 'quarantine', scope: 'run', settlement: 'complete', playbook: 'marker-trouble' },
  'marker-missing': { treatment: 'quarantine', scope: 'run', settlement: 'complete', playbook: 'marker-trouble' },
  'no-progress': { treatment: 'quarantine', scope: 'run', settlement: 'complete', playbook: 'marker-trouble' },
  'marker-message-malformed': {
    treatment: 'bury',
    scope: 'message',
    settlement: 'dead-letter',
    playbook: 'dead-letters',
  },
  'envelope-unreadable': { treatment: 'bury', scope: 'message', settlement: 'dead-letter', playbook: 'dead-letters' },
  'envelope-conflict': { treatment: 'bury', scope: 'message', settlement: 'dead-letter', playbook: 'dead-letters' },
  'poison-message': { treatment: 'bury', scope: 'message', settlement: 'dead-letter', playbook: 'dead-letters' },
  'schema-newer': { treatment: 'postpone', scope: 'message', settlement: 'schedule', playbook: 'postponed' },
  'service-away': { treatment: 'postpone', scope: 'message', settlement: 'schedule', playbook: 'postponed' },
  'oversize-gone': { treatment: 'mark', scope: 'message', settlement: 'complete', playbook: 'oversize-gone' },
} as const satisfies Record<string, FaultRow>;

/** Stable code of a fault; each has one treatment and one settlement. */
export type FaultCode = keyof typeof FAULTS;

/** Codes of messages: raised by the engine alone. */
export type MessageFaultCode = {
  [Code in FaultCode]: (typeof FAULTS)[Code]['scope'] extends 'message' ? Code : never;
}[FaultCode];

/** Codes of pages: what an upstream definition may answer with. */
export type PageFaultCode = Exclude<FaultCode, MessageFaultCode>;

/** An error of a page with a known treatment. `message` is for people and carries no secret. */
export class Fault extends Error {
  readonly code: PageFaultCode;
  readonly waitMs: number | undefined;

  constructor(code: PageFaultCode, message: string, options: { cause?: unknown; waitMs?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Fault';
    this.code = code;
    this.waitMs = options.waitMs;
  }

  get treatment(): Treatment {
    return FAULTS[this.code].treatment;
  }

  get scope(): Exclude<FaultScope, 'message'> {
    return FAULTS[this.code].scope;
  }
}

/** Codes whose messages come again later. */
export type PostponedCode = {
  [Code in MessageFaultCode]: (typeof FAULTS)[Code]['settlement'] extends 'schedule' ? Code : never;
}[MessageFaultCode];

/** Codes whose messages become dead letters. */
export type BuriedCode = {
  [Code in MessageFaultCode]: (typeof FAULTS)[Code]['settlement'] extends 'dead-letter' ? Code : never;
}[MessageFaultCode];

/** The settlement of a message that nobody can handle. `description` is for people and carries no secret. */
export function deadLetterOf(
  code: BuriedCode,
  description: string,
): { readonly kind: 'dead-letter'; readonly reason: BuriedCode; readonly description: string } {
  return { kind: FAULTS[code].settlement, reason: code, description };
}
