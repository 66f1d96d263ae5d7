/** Most of the times (in order, in ms) in any window of `windowMs`, its end not included. */
export function densest(times: readonly number[], windowMs: number): number {
  let most = 0;
  for (let from = 0, to = 0; to < times.length; to += 1) {
    // Times are sums of fractions: what differs by less than a nanosecond is the same.
    while (times[to]! - times[from]! >= windowMs - 1e-6) from += 1;
    most = Math.max(most, to - from + 1);
  }
  return most;
}
