import type { Clock } from '../ports.ts';

/** A clock for durations: when the clock behind it is set back, it goes on from where it was. Its times are nobody else's. */
export function steadyClock(clock: Clock): Clock {
  let lastMs = clock.now();
  let setBackMs = 0;
  return {
    now: () => {
      const nowMs = clock.now();
      setBackMs += Math.max(0, lastMs - nowMs);
      lastMs = nowMs;
      return nowMs + setBackMs;
    },
    sleep: (ms, signal) => clock.sleep(ms, signal),
  };
}
