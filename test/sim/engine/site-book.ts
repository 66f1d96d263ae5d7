/** Whether a process dies before a call has its effect, or after it and before the answer. */
export type KillMoment = 'before' | 'after';

/** A port call in the code: the operation and the path of calls that leads to it. */
export interface Site {
  readonly id: number;
  /** `bus.send < sendMarkers engine/marker-sender.ts:24 < ...` */
  readonly name: string;
  /** Calls of this seed so far. */
  calls: number;
  /** The first call of this seed, counted over all sites. */
  firstCall: number;
  readonly killed: Set<KillMoment>;
}

/** Frames kept of one call path. */
const FRAMES_LIMIT = 40;

/** A frame of the product: `    at async Slice.finish (file:///.../runtime/engine/mine.ts:133:5)`. */
const FRAME = /^ +at (?:async )?(?:(.+) \()?(?:file:\/\/)?[^()]*\/runtime\/([^():]+\.ts):(\d+):\d+\)?$/;

/** The crash sites that one simulation meets. Sites are found, never listed by hand. */
export class SiteBook {
  readonly #byStack = new Map<string, Site>();
  readonly #byName = new Map<string, Site>();

  /** Where calls come from is looked at only while this is set: a look at the stack costs as much as the call itself. */
  isLooking = true;

  /** The site of the call that is being made, or undefined while nobody looks; `call` counts over all sites. */
  note(operation: string, call: number): Site | undefined {
    if (!this.isLooking) return undefined;
    const site = this.#site(operation);
    if (site.calls === 0) site.firstCall = call;
    site.calls += 1;
    return site;
  }

  sites(): readonly Site[] {
    return [...this.#byName.values()];
  }

  /** For the next seed: what was met is kept, counts start anew. */
  reset(): void {
    for (const site of this.#byName.values()) {
      site.calls = 0;
      site.firstCall = 0;
      site.killed.clear();
    }
  }

  #site(operation: string): Site {
    const held: { stack?: string } = {};
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = FRAMES_LIMIT;
    Error.captureStackTrace(held);
    Error.stackTraceLimit = limit;
    const stack = `${operation}${held.stack ?? ''}`;
    const known = this.#byStack.get(stack);
    if (known !== undefined) return known;
    const name = [operation, ...framesOf(held.stack ?? '')].join(' < ');
    const site = this.#byName.get(name) ?? {
      ...{ id: this.#byName.size, name, calls: 0, firstCall: 0, killed: new Set<KillMoment>() },
    };
    this.#byName.set(name, site);
    this.#byStack.set(stack, site);
    return site;
  }
}

function framesOf(stack: string): readonly string[] {
  return stack.split('\n').flatMap((line) => {
    const match = FRAME.exec(line);
    return match === null ? [] : [`${match[1]?.replace(/^.*[ .]/, '') ?? 'anonymous'} ${match[2]}:${match[3]}`];
  });
}
