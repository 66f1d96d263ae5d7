/** A straight line through a series, and how sure it is. */
export interface Slope {
  /** Per hour. */
  readonly perHour: number;
  /** Bounds of the 95 % confidence interval, per hour. */
  readonly low: number;
  readonly high: number;
}

export interface Point {
  readonly atMs: number;
  readonly value: number;
}

const HOUR_MS = 3_600_000;

/** Samples that follow each other are alike, which would feign certainty: so they are averaged over at most this many blocks. */
const BLOCKS_LIMIT = 24;

/** Student's t, 97.5 %, by degrees of freedom from 1; beyond the table it is near enough to its last value. */
const STUDENT_T = [
  12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.1, 2.09, 2.09,
  2.08, 2.07,
];

/** Least squares over block means. @throws RangeError for fewer than four points. */
export function slopeOf(points: readonly Point[]): Slope {
  if (points.length < 4) throw new RangeError(`a slope needs at least 4 points, got ${points.length}`);
  const means = blockMeans(points);
  const meanAt = mean(means.map(({ atMs }) => atMs));
  const meanValue = mean(means.map(({ value }) => value));
  const spread = sum(means.map(({ atMs }) => (atMs - meanAt) ** 2));
  const slope = sum(means.map(({ atMs, value }) => (atMs - meanAt) * (value - meanValue))) / spread;
  const residuals = means.map(({ atMs, value }) => value - meanValue - slope * (atMs - meanAt));
  const freedom = means.length - 2;
  const deviation =
    Math.sqrt(sum(residuals.map((residual) => residual ** 2)) / freedom / spread) * inflationOf(residuals);
  const margin = deviation * (STUDENT_T[freedom - 1] ?? STUDENT_T.at(-1) ?? 2);
  return { perHour: slope * HOUR_MS, low: (slope - margin) * HOUR_MS, high: (slope + margin) * HOUR_MS };
}

function blockMeans(points: readonly Point[]): readonly Point[] {
  const size = Math.ceil(points.length / BLOCKS_LIMIT);
  const blocks: Point[] = [];
  for (let at = 0; at + size <= points.length; at += size) {
    const block = points.slice(at, at + size);
    blocks.push({ atMs: mean(block.map(({ atMs }) => atMs)), value: mean(block.map(({ value }) => value)) });
  }
  return blocks;
}

/** Neighbours that are still alike count for less: (1 + r) / (1 - r) of the variance, r the correlation of neighbours. */
function inflationOf(residuals: readonly number[]): number {
  const variance = sum(residuals.map((residual) => residual ** 2));
  if (variance === 0) return 1;
  const pairs = residuals.slice(1).map((residual, index) => residual * (residuals[index] ?? 0));
  const correlation = Math.min(0.9, Math.max(0, sum(pairs) / variance));
  return Math.sqrt((1 + correlation) / (1 - correlation));
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
