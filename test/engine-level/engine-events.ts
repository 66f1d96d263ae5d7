import { existsSync, readFileSync } from 'node:fs';

/** One step of the engine. */
export interface Step {
  /** `create`, `update`, `replace`, `delete`, `same`, `refresh`, … */
  readonly op: string;
  /** Type token. */
  readonly type: string;
  readonly name: string;
}

/** What the engine did, in its own words. */
export interface EngineEvents {
  /** Steps that changed something, as `op type name`, in order of the alphabet. */
  readonly changes: readonly string[];
  /** Resources that did not change. */
  readonly unchanged: number;
  /** Every error message. */
  readonly errors: readonly string[];
}

interface LoggedEvent {
  readonly resOutputsEvent?: {
    readonly metadata: { readonly op: string; readonly urn: string; readonly type: string };
  };
  readonly diagnosticEvent?: { readonly severity: string; readonly message: string };
}

const QUIET = new Set(['same', 'refresh', 'read']);

/** Reads the event log of one command (`--event-log`). */
export function readEvents(path: string): EngineEvents {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
  const events = lines.map((line) => JSON.parse(line) as LoggedEvent);
  const steps = events.flatMap(({ resOutputsEvent }) =>
    resOutputsEvent === undefined ? [] : [stepOf(resOutputsEvent)],
  );
  const changing = steps.filter(({ op, type }) => !QUIET.has(op) && !type.startsWith('pulumi:'));
  const errors = events.flatMap(({ diagnosticEvent: told }) => (told?.severity === 'error' ? [told.message] : []));
  return {
    changes: changing.map(({ op, type, name }) => `${op} ${type} ${name}`).sort(),
    unchanged: steps.filter(({ op }) => op === 'same').length,
    errors,
  };
}

function stepOf({ metadata }: NonNullable<LoggedEvent['resOutputsEvent']>): Step {
  return { op: metadata.op, type: metadata.type, name: metadata.urn.split('::').at(-1) ?? '' };
}
