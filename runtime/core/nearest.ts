/** The name that looks most like what a person wrote; the first one when nothing does, undefined when there is none. */
export function nearestOf<Name extends string>(wanted: string, names: readonly Name[]): Name | undefined {
  const scored = names.map((name) => ({ name, score: sharedPairs(wanted.toLowerCase(), name.toLowerCase()) }));
  return scored.toSorted((left, right) => right.score - left.score)[0]?.name;
}

/** After Dice: the share of pairs of letters that two texts have in common. */
function sharedPairs(left: string, right: string): number {
  const pairsOf = (text: string): readonly string[] =>
    Array.from({ length: Math.max(text.length - 1, 0) }, (_, at) => text.slice(at, at + 2));
  const pool = new Set(pairsOf(right));
  const shared = pairsOf(left).filter((pair) => pool.has(pair)).length;
  return (2 * shared) / Math.max(left.length + right.length, 1);
}
