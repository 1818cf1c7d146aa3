// Words, numbers, months, local times, and small elements that all parts share. Belongs here: those. Does not: elements' layout.

import { LANGUAGE, LOCALE, text } from "./language.js";

/** An element with properties and children: text as text, never as markup. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export const number = (value, digits = 2) => value.toLocaleString(LOCALE, { maximumFractionDigits: digits });

/** A share of 1 in percent, rounded down: 100 % is said of what is whole alone. */
export const percent = (share) => Math.floor(share * 100 + 1e-9);

export const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** A column by its name in the API, such as traffic_volume. */
export const title = (name) => text(capital(name).replaceAll("_", " "));

/** A unit behind what is in it, where there is one. */
export const inUnit = (unit) => (unit ? ` (${text(unit)})` : "");

/** A column's title with its unit. */
export const titleInUnit = ({ name, unit }) => `${title(name)}${inUnit(unit)}`;

/** A dataset by its name in the API, at the beginning of a line. */
export const datasetTitle = (name) => capital(text(name));

export const daysBefore = (n) => (n === 1 ? text("1 day before") : text("{n} days before", { n }));

/** Fills a select with [value, words], and `others` below their own label; `chosen` is selected. */
export function choose(select, [first, others = []], chosen, label = "") {
  const option = ([value, words]) => el("option", { value, selected: value === chosen }, words);
  const group = others.length ? [el("optgroup", { label }, ...others.map(option))] : [];
  select.replaceChildren(...first.map(option), ...group);
}

export function retryButton(again) {
  const button = el("button", { type: "button" }, text("Ask again"));
  button.addEventListener("click", again);
  return button;
}

/** A column's meaning in one line; empty where the platform has not recorded it. */
export function meaningText(meaning) {
  if (!meaning) return "";
  const { quantity, area, per, method, method_version: version, comparable } = meaning;
  const limit = comparable ? "" : ` ${text("Not comparable between cities.")}`;
  const sentence = "{quantity}, per {per}. Area: {area}. Method: {method} (version {version}).";
  const values = { quantity: text(capital(quantity)), per: text(per), area: text(area), method: text(method), version };
  return text(sentence, values) + limit;
}

export const countryName = (code) => new Intl.DisplayNames(LANGUAGE, { type: "region" }).of(code) ?? code;

// Months are text, such as 2026-10: they sort as they are.
export const monthOf = (year, index) => `${year}-${String(index + 1).padStart(2, "0")}`;
export const parts = (month) => [Number(month.slice(0, 4)), Number(month.slice(5)) - 1];

export function shift(month, by) {
  const [year, index] = parts(month);
  const all = year * 12 + index + by;
  return monthOf(Math.floor(all / 12), all % 12);
}

export function monthsFrom(first, last) {
  const all = [];
  for (let month = first; month <= last; month = shift(month, 1)) all.push(month);
  return all;
}

export const firstDay = (month) => `${month}-01`;

export function lastDay(month) {
  const [year, index] = parts(month);
  return `${month}-${new Date(Date.UTC(year, index + 1, 0)).getUTCDate()}`;
}

const ofMonth = (month, options) => {
  const [year, index] = parts(month);
  return new Date(Date.UTC(year, index, 1)).toLocaleDateString(LOCALE, { ...options, timeZone: "UTC" });
};

export const monthName = (month) => ofMonth(month, { month: "long", year: "numeric" });

/** The twelve months' names of a language: long, and in three letters that differ (juin and juillet are jun and jul). */
export const MONTHS = Array.from({ length: 12 }, (_, index) => ofMonth(monthOf(2024, index), { month: "long" }));
const SHORT = Array.from({ length: 12 }, (_, index) => ofMonth(monthOf(2024, index), { month: "short" }).replace(/\.$/, ""));
export const MONTH_LETTERS = SHORT.map((name) => {
  const letters = name.slice(0, 3);
  return SHORT.filter((other) => other.startsWith(letters)).length > 1 ? name.slice(0, 2) + name.at(-1) : letters;
});

/** The month that is not over yet in `zone`, now or at `at` (ISO 8601). */
export function openMonth(zone, at) {
  return (at ? new Date(at) : new Date()).toLocaleDateString("sv-SE", { timeZone: zone }).slice(0, 7);
}

export const monthStart = (month, zone) => dayStart(firstDay(month), zone);

/** The day so many days after another, both as text. */
export const dayAfter = (day, n = 1) => new Date(Date.parse(`${day}T00:00:00Z`) + n * 86_400_000).toISOString().slice(0, 10);

/** Midnight at the start of a day (such as 2026-10-01) on the clocks of `zone`, in seconds since 1970. */
export function dayStart(day, zone) {
  const wanted = Date.parse(`${day}T00:00:00Z`);
  let guess = wanted;
  // Twice: the first step may land on the other side of a change of clocks.
  for (let n = 0; n < 2; n += 1) guess = wanted - offset(guess, zone);
  return guess / 1000;
}

/** What the clocks of `zone` are ahead of UTC at a moment, both in milliseconds. */
function offset(utc, zone) {
  const local = new Date(utc).toLocaleString("sv-SE", { timeZone: zone });
  return Date.parse(`${local.replace(" ", "T")}Z`) - utc;
}

export function moment(iso, zone) {
  return new Date(iso).toLocaleString(LOCALE, { dateStyle: "medium", timeStyle: "short", timeZone: zone });
}

/** `seconds` since 1970 on the clocks of `zone`; with the offset, since an hour comes twice in autumn. */
export function stamp(seconds, zone, daily) {
  const date = new Date(seconds * 1000);
  const day = { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: zone };
  if (daily) return date.toLocaleDateString(LOCALE, day);
  return date.toLocaleString(LOCALE, { ...day, hour: "2-digit", minute: "2-digit", timeZoneName: "shortOffset" });
}
