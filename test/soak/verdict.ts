import type { Sample } from './sample.ts';
import { type Point, type Slope, slopeOf } from './slope.ts';

const MEGABYTE = 1024 * 1024;

/**
 * What is in hand at the moment of a sample comes and goes with the firings; what leaks stays. So the least value of this time
 * counts, in ms: it holds two firings, and the rest between them.
 */
export const REST_MS = 10_000;

/** Slopes per hour up to which a figure counts as flat. The delay of the event loop is told, and not judged. */
export const LIMITS_PER_HOUR = {
  heapBytes: MEGABYTE,
  rssBytes: MEGABYTE,
  externalBytes: MEGABYTE,
  sockets: 1,
  timers: 1,
  handles: 1,
  descriptors: 1,
  brokerRssBytes: MEGABYTE,
  loopDelayMs: Number.POSITIVE_INFINITY,
} as const;

/**
 * V8 and the allocator take memory from the system in steps and give it back late. In less than this time, in ms, growth by one
 * such step is not told from none, so that resident memory is judged strictly in longer runs only; heap, external memory and all
 * counts are judged strictly in every run.
 */
const STRICT_FROM_MS = 1_800_000;
const STEP_BYTES = 32 * MEGABYTE;

const HOUR_MS = 3_600_000;

export type FigureName = keyof typeof LIMITS_PER_HOUR;

/** One figure over the time after the warm-up. */
export interface Figure extends Slope {
  readonly name: FigureName;
  readonly first: number;
  readonly last: number;
  readonly max: number;
  /** Undefined: not judged. */
  readonly limitPerHour: number | undefined;
  /** The whole interval lies above the limit. */
  readonly isGrowing: boolean;
}

/** Judges the samples after the warm-up. `broker`: memory of the broker process over the same time. */
export function figuresOf(samples: readonly Sample[], broker: readonly Point[], warmUpMs: number): readonly Figure[] {
  const warm = samples.filter(({ atMs }) => atMs >= warmUpMs);
  const last = warm.at(-1)?.atMs ?? 0;
  const names = Object.keys(LIMITS_PER_HOUR) as FigureName[];
  return names.flatMap((name) => {
    const points =
      name === 'brokerRssBytes'
        ? broker.filter(({ atMs }) => atMs >= warmUpMs)
        : warm.map((sample) => ({ atMs: sample.atMs, value: sample[name] }));
    return last - warmUpMs < REST_MS * 4 ? [] : [figureOf(name, points)];
  });
}

function figureOf(name: FigureName, points: readonly Point[]): Figure {
  const resting = restingOf(points);
  const slope = slopeOf(resting);
  const values = resting.map(({ value }) => value);
  const limit = limitOf(name, (resting.at(-1)?.atMs ?? 0) - (resting[0]?.atMs ?? 0));
  return {
    name,
    ...slope,
    first: values[0] ?? 0,
    last: values.at(-1) ?? 0,
    max: Math.max(...values),
    limitPerHour: Number.isFinite(limit) ? limit : undefined,
    isGrowing: slope.low > limit,
  };
}

function limitOf(name: FigureName, lengthMs: number): number {
  const limit = LIMITS_PER_HOUR[name];
  const isResident = name === 'rssBytes' || name === 'brokerRssBytes';
  return isResident && lengthMs < STRICT_FROM_MS ? Math.max(limit, (STEP_BYTES * HOUR_MS) / lengthMs) : limit;
}

/** The least value of each `REST_MS`. */
function restingOf(points: readonly Point[]): readonly Point[] {
  const levels = new Map<number, Point>();
  for (const point of points) {
    const window = Math.floor(point.atMs / REST_MS);
    const least = levels.get(window);
    if (least === undefined || point.value < least.value) levels.set(window, point);
  }
  return [...levels.values()];
}

/** A table for people. */
export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const { name, first, last, perHour, low, high, limitPerHour, isGrowing } = figure;
    const text = (value: number): string =>
      name.endsWith('Bytes') ? `${(value / MEGABYTE).toFixed(2)} MB` : value.toFixed(1);
    const judged = limitPerHour === undefined ? 'not judged' : `limit ${text(limitPerHour)}`;
    const mark = isGrowing ? 'GROWS' : 'flat ';
    return `  ${mark} ${name.padEnd(15)} ${text(first).padStart(11)} -> ${text(last).padStart(11)}  slope ${text(perHour).padStart(11)}/h  [${text(low)} .. ${text(high)}]  ${judged}`;
  });
  return rows.join('\n');
}
