// From records to what a chart draws. Belongs here: time, value, and the gaps between. Does not: drawing.

const HOUR_S = 3600;

const NUMBERS = ["number", "integer"];

/** The words of a column in their order: those it allows, or a flag's two; null of one that has none. */
export const wordsOf = ({ kind, allowed }) => (kind === "flag" ? ["no", "yes"] : allowed);

export const isNumber = ({ kind }) => NUMBERS.includes(kind);

/** What a column is drawn as: numbers as they are, words that have an order by their place in it. */
export const isDrawn = (column) => isNumber(column) || wordsOf(column) !== null;

/**
 * Records as {times (s since 1970, UTC), values (number or null), records, daily}, oldest first. Where records are missing, not
 * just values (a month that is not stored), one empty point is put in, so that no line crosses what nobody measured.
 */
export function series(records, column) {
  const stamps = records.map((record) => Date.parse(record.date) / 1000);
  const steps = stamps.slice(1).map((time, n) => time - stamps[n]);
  const daily = steps.length > 0 && steps.reduce((a, b) => Math.min(a, b)) >= 20 * HOUR_S;
  const step = daily ? 24 * HOUR_S : HOUR_S;
  const made = { times: [], values: [], records: [], daily, step };
  stamps.forEach((time, n) => {
    if (n && time - stamps[n - 1] > 1.5 * step) push(made, stamps[n - 1] + step, null, null);
    push(made, time, valueOf(records[n], column), records[n]);
  });
  return made;
}

function push(made, time, value, record) {
  made.times.push(time);
  made.values.push(value);
  made.records.push(record);
}

function valueOf(record, column) {
  const value = record[column.name];
  if (value === null || value === undefined) return null;
  if (isNumber(column)) return value;
  return column.kind === "flag" ? Number(value) : column.allowed.indexOf(value);
}

/** Stretches without a value between `from` and `to`, as [start, end] in seconds; the ends of the range count. */
export function gaps({ times, values, step }, from, to) {
  const found = [];
  let since = from;
  times.forEach((time, n) => {
    if (values[n] === null) return;
    if (time - since > 0.5 * step) found.push([since, time]);
    since = time + step;
  });
  if (to - since > 0.5 * step) found.push([since, to]);
  return found;
}

/** Values that stand alone between gaps: a line would not show them. */
export function alone(values, first, last) {
  const found = [];
  for (let n = first; n <= last; n += 1) {
    if (values[n] != null && values[n - 1] == null && values[n + 1] == null) found.push(n);
  }
  return found;
}
