/**
 * What is done about a fault.
 * `wait` ask again later, the user's or the upstream's budget says when · `retry` transient, with jitter ·
 * `pause` this user's run waits for a person or a new token · `skip` this miner is left out for this user ·
 * `deactivate` the user is set inactive · `restart` once more from the head of the list ·
 * `quarantine` the run is set aside, resumable · `shrink` the page is asked again with a smaller limit ·
 * `stop` the lane stops.
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

/** Whose fault it is: only `upstream` faults may feed the shared budget and the breaker. */
export type FaultScope = 'user' | 'upstream' | 'run';

interface FaultRow {
  readonly treatment: Treatment;
  readonly scope: FaultScope;
}

/** The one table fault -> treatment. Article ch. 7; departs: by status and code, never by the text of an exception. */
export const FAULTS = {
  'rate-limit-user': { treatment: 'wait', scope: 'user' },
  'rate-limit-upstream': { treatment: 'wait', scope: 'upstream' },
  token: { treatment: 'pause', scope: 'user' },
  permission: { treatment: 'skip', scope: 'user' },
  'user-gone': { treatment: 'deactivate', scope: 'user' },
  'mass-gone': { treatment: 'stop', scope: 'upstream' },
  'mass-token': { treatment: 'stop', scope: 'upstream' },
  'wrong-address': { treatment: 'quarantine', scope: 'run' },
  'dead-marker': { treatment: 'restart', scope: 'run' },
  transient: { treatment: 'retry', scope: 'upstream' },
  // Counts for the breaker of (upstream, proxy), never for that of the upstream without a proxy.
  proxy: { treatment: 'retry', scope: 'upstream' },
  refused: { treatment: 'quarantine', scope: 'run' },
  'page-shape': { treatment: 'quarantine', scope: 'run' },
  'page-too-large': { treatment: 'shrink', scope: 'run' },
  'marker-stuck': { treatment: 'quarantine', scope: 'run' },
  'marker-missing': { treatment: 'quarantine', scope: 'run' },
  'no-progress': { treatment: 'quarantine', scope: 'run' },
} as const satisfies Record<string, FaultRow>;

/** Stable code of a fault; each has one treatment. */
export type FaultCode = keyof typeof FAULTS;

/** An error with a known treatment. `message` is for people and carries no secret. */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly waitMs: number | undefined;

  constructor(code: FaultCode, message: string, options: { cause?: unknown; waitMs?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Fault';
    this.code = code;
    this.waitMs = options.waitMs;
  }

  get treatment(): Treatment {
    return FAULTS[this.code].treatment;
  }

  get scope(): FaultScope {
    return FAULTS[this.code].scope;
  }
}
