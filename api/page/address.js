// The page's state in its address. Belongs here: reading and writing the fragment. Does not: showing what it names.
// Such as #madrid?months=12&weather=humidity; a part that has its usual value is left out.

export const RANGES = [1, 3, 12, 24];
export const USUAL = { months: 3, month: null, show: "history", resolution: "daily", measure: "mae", columns: {}, leads: {} };
const CHOICES = { show: ["history", "training", "ahead"], resolution: ["daily", "dayparts", "hourly"], measure: ["mae", "bias", "count"] };
const SINGLE = ["months", "month", ...Object.keys(CHOICES)];

/** The fragment of a view. */
export function fragmentOf({ city, columns, leads, ...view }) {
  const query = new URLSearchParams();
  for (const name of SINGLE) {
    if (view[name] !== USUAL[name]) query.set(name, view[name]);
  }
  for (const [name, chosen] of Object.entries({ ...leads, ...columns })) {
    if (chosen !== undefined) query.set(name, chosen);
  }
  return `#${encodeURIComponent(city)}${query.size ? `?${query}` : ""}`;
}

/**
 * The view that a fragment names, and the parts of it that nothing here has, as texts. `known` has the cities' ids, the
 * names of each plot's columns, and the days of each lead. A part that is wrong or absent has its usual value; `city` is
 * then null.
 */
export function viewOf(fragment, known) {
  const [name, ...rest] = fragment.replace(/^#/, "").split("?");
  const view = { ...USUAL, columns: {}, leads: {}, city: null };
  const unknown = [];
  const city = decoded(name);
  if (known.cities.includes(city)) view.city = city;
  else if (name) unknown.push(city ?? name);
  for (const [key, value] of new URLSearchParams(rest.join("?"))) {
    if (!take(view, key, value, known)) unknown.push(`${key}=${value}`);
  }
  return { view, unknown };
}

function take(view, key, value, known) {
  const has = (names) => Object.hasOwn(names, key) && names[key].map(String).includes(value);
  if (key === "months" && RANGES.map(String).includes(value)) view.months = Number(value);
  else if (key === "month" && /^\d{4}-(0[1-9]|1[0-2])$/.test(value)) view.month = value;
  else if (has(CHOICES)) view[key] = value;
  else if (has(known.leads)) view.leads[key] = Number(value);
  else if (has(known.columns)) view.columns[key] = value;
  else return false;
  return true;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return null;
  }
}
