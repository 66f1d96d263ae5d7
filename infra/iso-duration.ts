const UNITS_MS = [
  ['H', 3_600_000],
  ['M', 60_000],
  ['S', 1000],
] as const;

const DAY_MS = 86_400_000;

/**
 * An ISO 8601 duration as Azure writes it, for example `PT5M` for 300,000 ms and `P7DT1H` for seven days and an hour.
 * @throws RangeError when `durationMs` is not a whole number of ms, 1 or more.
 */
export function isoDuration(durationMs: number): string {
  if (!Number.isSafeInteger(durationMs) || durationMs < 1) {
    throw new RangeError(`a duration must be a whole number of ms, 1 or more, got ${durationMs}`);
  }
  const days = Math.floor(durationMs / DAY_MS);
  let restMs = durationMs % DAY_MS;
  let time = '';
  for (const [letter, unitMs] of UNITS_MS) {
    // Seconds are the smallest unit of ISO 8601 and may carry a fraction.
    const count = letter === 'S' ? restMs / unitMs : Math.floor(restMs / unitMs);
    if (count > 0) time += `${count}${letter}`;
    restMs %= unitMs;
  }
  return `P${days > 0 ? `${days}D` : ''}${time === '' ? '' : `T${time}`}`;
}
