// Given to a process with --import: its wall clock is wrong by TEST_CLOCK_SKEWS, a list of `after:skew` in ms, from the start on.
const skews = (process.env.TEST_CLOCK_SKEWS ?? '').split(',').map((entry) => entry.split(':').map(Number));
const RealDate = Date;
const realNow = Date.now.bind(Date);

function skewMs() {
  const ageMs = performance.now();
  return skews.findLast(([afterMs]) => ageMs >= afterMs)?.[1] ?? 0;
}

globalThis.Date = class extends RealDate {
  constructor(...values) {
    if (values.length === 0) super(realNow() + skewMs());
    else super(...values);
  }

  static now() {
    return realNow() + skewMs();
  }
};
