// What the platform declares of its datasets. Belongs here: the plots that follow, kinds of columns, days of lead. Does not: drawing.

const NUMBERS = ["number", "integer"];
const MASK = "_missing"; // after a column's name, of a frame's flag

/** The choice of all marks of a plot at once, beside its columns. */
export const MARKS = "marked_days";
/** The plots of all datasets on one grid: of days that passed, and of days ahead. */
export const [TRAINING, AHEAD] = ["training", "ahead"];
export const isFrame = (plot) => plot === TRAINING || plot === AHEAD;

export const isNumber = ({ kind }) => NUMBERS.includes(kind);
/** What a line is drawn of: numbers as they are, words that have an order by their place in it. */
export const isLine = (column) => isNumber(column) || Boolean(column.allowed);
/** What days are marked by: a flag, or a name whose absence means that there is none. */
export const isMark = ({ kind, allowed, none_where: none }) => kind === "flag" || (kind === "text" && !allowed && Boolean(none));
/** The whole period's amount, such as rain. */
export const isAmount = ({ day_rule: rule }) => rule === "sum";
/** What has no slope between two points: an amount, or words. */
export const isStepped = (column) => isAmount(column) || Boolean(column.allowed);

/** The columns that say something themselves: not the flags that another column is known. */
export function telling(columns) {
  const known = columns.flatMap(({ none_where: none }) => (none?.[1] ? [none[0]] : []));
  return columns.filter(({ name }) => !known.includes(name));
}

/** The columns that mark days. */
export const marksOf = (columns) => telling(columns).filter(isMark);

/** What a record is marked with: true or a name, false where there is nothing to mark, null where nobody knows. */
export function markOf(record, { name, none_where: none }) {
  const value = record?.[name];
  if (value != null) return value;
  if (!record || !none) return null;
  const isNone = record[none[0]] === none[1] || record[`${name}${MASK}`] === false;
  return isNone ? false : null;
}

/** The plots: a history of each dataset, and both frames. `keys` are the columns that a row is named by, beside its date. */
export function plotsOf({ datasets, frame }) {
  const histories = Object.values(datasets).map(({ name, columns, key_columns: keys, stands_in_for: observed }) => ({ name, columns, keys, observed }));
  const columns = frameColumns(Object.values(datasets).flatMap((dataset) => dataset.columns), frame);
  return [...histories, ...[TRAINING, AHEAD].map((name) => ({ name, columns, keys: [], observed: null }))];
}

/** A frame's columns: those of datasets in their order, then what is computed, without masks and origins. */
function frameColumns(columns, frame) {
  const names = frame.map(({ name }) => name);
  const stored = columns.filter(({ name }, n) => names.includes(name) && columns.findIndex((one) => one.name === name) === n);
  const computed = frame.filter((column) => isNumber(column) && !stored.some(({ name }) => name === column.name));
  return [...stored, ...computed.map((column) => ({ ...column, isComputed: true }))];
}

/** The datasets of forecasts: whose place they take, the key of their days of lead, and its name in frames. */
export function leadsOf({ datasets }) {
  const forecasts = Object.values(datasets).filter(({ stands_in_for: observed }) => observed);
  return forecasts.map(({ name, stands_in_for: observed, key_columns: [key] }) => ({
    dataset: name,
    observed,
    key: key.name,
    frameKey: `${observed}_${key.name}`,
    days: Array.from({ length: key.high - key.low + 1 }, (_, n) => key.low + n),
  }));
}

/** The datasets whose sources a plot's values have: in a frame of forecasts theirs in place of what was observed. */
export function datasetsOf(plot, facts, view) {
  if (!isFrame(plot)) return [plot];
  const leads = leadsOf(facts);
  const isForecast = ({ frameKey }) => plot === AHEAD || view.leads[frameKey] !== undefined;
  const hidden = leads.map((lead) => (isForecast(lead) ? lead.observed : lead.dataset));
  return Object.keys(facts.datasets).filter((name) => !hidden.includes(name));
}
