import type { CallOutcome, GatedCall, GateVerdict } from '../core/gate.ts';

/** Who says when a call may go: this process alone, or all processes together. Nothing here waits or rejects. */
export interface Budgets {
  /** Takes a place for a call from everything that it has to pass, or from nothing. `reserveMs`: longest wait for a place. */
  take(call: GatedCall, reserveMs: number): Promise<GateVerdict>;
  /** Tells what became of a call that had a place. */
  note(call: GatedCall, outcome: CallOutcome): Promise<void>;
  /** How long calls like this one are stopped, as far as this process has heard, in ms; 0 = they are not. */
  stopMs(call: GatedCall): number;
}
