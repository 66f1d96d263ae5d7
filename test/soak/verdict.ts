import type { Sample } from './sample.ts';
import { type Point, type Slope, slopeOf } from './slope.ts';

const MEGABYTE = 1024 * 1024;

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
  const names = Object.keys(LIMITS_PER_HOUR) as FigureName[];
  return names.flatMap((name) => {
    const points =
      name === 'brokerRssBytes'
        ? broker.filter(({ atMs }) => atMs >= warmUpMs)
        : warm.map((sample) => ({ atMs: sample.atMs, value: sample[name] }));
    return points.length < 4 ? [] : [figureOf(name, points)];
  });
}

function figureOf(name: FigureName, points: readonly Point[]): Figure {
  const slope = slopeOf(points);
  const values = points.map(({ value }) => value);
  const limit = LIMITS_PER_HOUR[name];
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
