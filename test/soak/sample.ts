/** One look at a process from the inside. */
export interface Sample {
  /** Since the start of the process, in ms. */
  readonly atMs: number;
  /** After a full collection of garbage. */
  readonly heapBytes: number;
  readonly rssBytes: number;
  /** What V8 has reserved for its heap. */
  readonly heapTotalBytes: number;
  readonly externalBytes: number;
  /** Open sockets, idle ones and those to child processes among them. */
  readonly sockets: number;
  /** Timers that keep the process alive. */
  readonly timers: number;
  /** Every resource that keeps the process alive, timers and busy sockets among them. */
  readonly handles: number;
  /** Open file descriptors; 0 where the system does not tell. */
  readonly descriptors: number;
  /** 99th percentile of the delay of the event loop since the sample before, in ms. */
  readonly loopDelayMs: number;
  /** Memory that was leaked on purpose. */
  readonly leakedBytes: number;
  /** Calls to the upstream so far. */
  readonly calls: number;
}

/** Environment of a process that is sampled. The file descriptor gets one line of JSON per sample. */
export const SAMPLER = { fd: 'SOAK_FD', everyMs: 'SOAK_EVERY_MS', leakBytes: 'SOAK_LEAK_BYTES' } as const;
