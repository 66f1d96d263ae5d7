/** The candidate that looks most like what a person wrote; the first one when nothing does. */
export function nearestOf(wanted: string, candidates: readonly string[]): string | undefined {
  const scored = candidates.map((candidate) => ({ candidate, score: sharedPairs(wanted, candidate) }));
  return scored.toSorted((left, right) => right.score - left.score)[0]?.candidate;
}

/** Dice coefficient over pairs of letters: 1 for equal texts, 0 for nothing in common. */
function sharedPairs(left: string, right: string): number {
  const pairsOf = (text: string): readonly string[] =>
    Array.from({ length: Math.max(text.length - 1, 0) }, (_, at) => text.toLowerCase().slice(at, at + 2));
  const pairs = pairsOf(left);
  const pool = pairsOf(right);
  const shared = pairs.filter((pair) => pool.includes(pair)).length;
  return (2 * shared) / Math.max(pairs.length + pool.length, 1);
}
