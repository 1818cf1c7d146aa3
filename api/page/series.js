// From records to what a chart draws. Belongs here: time, value, and the gaps between. Does not: drawing.

const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;
const PARTS_A_DAY = 5;

/** Seconds of a row; parts of a day, which differ, have their mean. */
const STEPS = { daily: DAY_S, dayparts: DAY_S / PARTS_A_DAY, hourly: HOUR_S };

/**
 * Records as {times (s since 1970, UTC), ends, values (number or null), records, grid, step}, oldest first. Where records are
 * missing, not just values (a month that is not stored), one empty point is put in, so that no line crosses what nobody
 * measured. A frame has a record for every row of its `grid`, and each ends where the next begins, the last one at `to`.
 */
export function series(records, valueOf, { grid = null, to }) {
  const stamps = records.map((record) => Date.parse(record.date) / 1000);
  const made = { times: [], ends: [], values: [], records: [], grid: grid ?? gridOf(stamps) };
  const step = (made.step = STEPS[made.grid]);
  stamps.forEach((time, n) => {
    const next = stamps[n + 1] ?? to;
    const isFollowed = grid !== null || next - time <= 1.5 * step;
    push(made, time, isFollowed ? next : time + step, valueOf(records[n]), records[n]);
    if (!isFollowed && n + 1 < stamps.length) push(made, time + step, time + step, null, null);
  });
  return made;
}

function gridOf(stamps) {
  const least = stamps.slice(1).reduce((a, time, n) => Math.min(a, time - stamps[n]), Infinity);
  return stamps.length > 1 && least >= 20 * HOUR_S ? "daily" : "hourly";
}

function push(made, time, end, value, record) {
  made.times.push(time);
  made.ends.push(end);
  made.values.push(value);
  made.records.push(record);
}

/** A record's value of a column that is drawn as a line. */
export function numberOf(record, { name, allowed }) {
  const value = record[name];
  if (value === null || value === undefined) return null;
  return allowed ? allowed.indexOf(value) : value;
}

/** Stretches without a value between `from` and `to`, as [start, end] in seconds; the ends of the range count. */
export function gaps({ times, ends, values, step }, from, to) {
  const found = [];
  let since = from;
  times.forEach((time, n) => {
    if (values[n] === null) return;
    if (time - since > 0.5 * step) found.push([since, time]);
    since = ends[n];
  });
  if (to - since > 0.5 * step) found.push([since, to]);
  return found;
}

/** For each time of a series, the value of the record of `other` that it lies in. */
export function beside({ times }, other) {
  let at = 0;
  return times.map((time) => {
    while (at < other.times.length && other.ends[at] <= time) at += 1;
    return at < other.times.length && other.times[at] <= time ? other.values[at] : null;
  });
}

/** Values that stand alone between gaps: a line would not show them. */
export function alone(values, first, last) {
  const found = [];
  for (let n = first; n <= last; n += 1) {
    if (values[n] != null && values[n - 1] == null && values[n + 1] == null) found.push(n);
  }
  return found;
}
