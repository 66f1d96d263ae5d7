import { decodeEnvelope, ENVELOPE_CONTENT_TYPE } from '../../../runtime/core/envelope.ts';
import type { OutgoingMessage, RowWrite, StoredRow } from '../../../runtime/ports.ts';
import type { Run } from '../../../runtime/core/run.ts';
import type { UpstreamWorld } from './upstream-world.ts';
import type { Caller } from './wire.ts';

/** Sees everything that happens in a simulated world, and says at once what must not. */
export class Witness {
  readonly violations: string[] = [];
  /** `miner/user/id/version` of all that the broker has ever taken. */
  readonly sent = new Set<string>();
  readonly deadLetters = new Map<string, number>();
  runRowMaxBytes = 0;
  upstreamCalls = 0;
  perRunMax = 0;
  readonly #upstream: UpstreamWorld;

  constructor(upstream: UpstreamWorld) {
    this.#upstream = upstream;
  }

  violate(text: string): void {
    this.violations.push(text);
  }

  deadLetter(reason: string): void {
    this.deadLetters.set(reason, (this.deadLetters.get(reason) ?? 0) + 1);
  }

  waitingOfRun(count: number): void {
    this.perRunMax = Math.max(this.perRunMax, count);
  }

  /** The broker has taken an envelope: whatever is in it must come to the lake. */
  taken(message: OutgoingMessage): void {
    if (message.contentType !== ENVELOPE_CONTENT_TYPE) return;
    const { minerName, items } = decodeEnvelope(new TextDecoder().decode(message.body));
    for (const { userId, id, version } of items) this.sent.add(`${minerName}/${userId}/${id}/${version}`);
  }

  /** A run row was written: when a page is checkpointed, its items count as delivered. */
  runWritten(caller: Caller, write: RowWrite, before: StoredRow | undefined): void {
    if (write.value === null) return;
    this.runRowMaxBytes = Math.max(this.runRowMaxBytes, Buffer.byteLength(write.value));
    if (before === undefined) return;
    const old = JSON.parse(before.value) as Run;
    const run = JSON.parse(write.value) as Run;
    if (old.runId !== run.runId) return;
    const wentBack = run.pages < old.pages || run.slice < old.slice || (old.state === 'done' && run.state !== 'done');
    if (wentBack) this.violate(`order: the run of ${run.minerName} of ${run.userId} went back`);
    if (run.pages !== old.pages + 1) return;
    const { minerName, userId, marker } = old;
    const candidates = this.#upstream.given({ minerName, userId, marker, process: caller.name });
    const missing = candidates.map(({ items }) =>
      items.find(({ id, version }) => !this.sent.has(`${minerName}/${userId}/${id}/${version}`)),
    );
    if (missing.length > 0 && missing.every((item) => item !== undefined)) {
      this.violate(
        `loss: page ${marker} of ${minerName}/${userId} was checkpointed, and the broker never had ${missing[0]?.id}`,
      );
    }
    if (candidates.length === 0)
      this.violate(`a page of ${minerName} of ${userId} was checkpointed that nobody served`);
  }

  /** An object of the lake never changes its bytes. */
  objectWritten(name: string, text: string, before: string | undefined): void {
    if (before !== undefined && before !== text) this.violate(`the object ${name} changed its bytes`);
  }
}
