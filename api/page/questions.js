// What is requested for a plot. Belongs here: paths, queries, names of files, the rows of a lead. Does not: sending (reader.js).

import { AHEAD, isFrame, leadsOf } from "./datasets.js";
import * as reader from "./reader.js";
import { dayAfter, dayStart, firstDay, lastDay, monthStart, shift } from "./words.js";

/**
 * The question of a plot: path, query, `keys` of the rows that are drawn, `grid` of a frame, and the name of its files.
 * `months` are [first, last].
 */
export function questionOf({ plot, column, city, months, view, facts }) {
  const { latitude, longitude } = city;
  const path = reader.questionPath(plot, facts.tenant_claim);
  const place = { latitude, longitude };
  if (plot === AHEAD) {
    const days = leadsOf(facts)[0].days.at(-1);
    const query = { ...place, days, resolution: view.resolution };
    return { dataset: plot, path, query, keys: {}, grid: view.resolution, name: `${city.city_id}_${plot}` };
  }
  const range = { ...place, start_date: firstDay(months[0]), end_date: lastDay(months[1]) };
  const name = [city.city_id, plot, ...months];
  if (isFrame(plot)) {
    const chosen = leadsOf(facts).filter(({ frameKey }) => view.leads[frameKey] !== undefined);
    const query = { ...range, resolution: view.resolution };
    for (const { observed, dataset, key, frameKey } of chosen) {
      Object.assign(query, { [observed]: dataset, [key]: view.leads[frameKey] });
      name.splice(2, 0, key, view.leads[frameKey]);
    }
    return { dataset: plot, path, query, keys: {}, grid: view.resolution, name: name.join("_") };
  }
  // A record has a column that is on request only where it is named.
  const fields = column?.on_request ? { columns: [...facts.datasets[plot].columns.map((one) => one.name), "source"].join(",") } : {};
  const keys = Object.fromEntries(leadsOf(facts).filter(({ dataset }) => dataset === plot).map((lead) => [lead.key, leadOf(lead, view)]));
  return { dataset: plot, path, query: { ...range, ...fields }, keys, grid: null, name: name.join("_") };
}

/** The days of lead of a history of forecasts: those of the view, or the fewest. */
export const leadOf = ({ key, days }, view) => view.leads[key] ?? days[0];

/** The records whose keys are those of the question. */
export const keyed = (records, keys) => records.filter((record) => Object.entries(keys).every(([name, value]) => record[name] === value));

/** The range of a plot in seconds: its months, or the days ahead that the answer has. */
export function rangeOf(plot, records, months, zone) {
  if (plot !== AHEAD) return { from: monthStart(months[0], zone), to: monthStart(shift(months[1], 1), zone) };
  return { from: dayStart(records[0].local_date, zone), to: dayStart(dayAfter(records.at(-1).local_date), zone) };
}

/** The question that has the same answer on any later day: of the plotted snapshot, and of the day before the plotted days. */
export function lasting(question, plot, { records, snapshot }) {
  if (plot !== AHEAD) return { ...question, version: snapshot };
  const [first, last] = [records[0].local_date, records.at(-1).local_date];
  const query = { ...question.query, as_of: dayAfter(first, -1) };
  return { ...question, query, version: snapshot, name: `${question.name}_${first}_${last}` };
}
