// How good the stored forecasts were. Belongs here: errors by days of lead and by month, as tables. Does not: computing them.

import { isNumber } from "./datasets.js";
import { LOCALE, text } from "./language.js";
import * as reader from "./reader.js";
import { choose, daysBefore, el, inUnit, MONTH_LETTERS, MONTHS, number, retryButton, title, titleInUnit } from "./words.js";

const MEASURES = { mae: "Mean error", bias: "Bias", count: "Pairs" };
const MEANINGS = {
  mae: "Mean error: by how much the forecast was wrong on average, whichever way (mean absolute error).",
  bias: "Bias: above zero, the forecast was too high on average.",
  count: "Pairs: how many forecasts were compared with what was measured.",
};
const SHADES = 5;
const BAR_ROOM = "4.2em"; // of a bar's cell, for its number
const HALF = 0.005; // what is rounded to zero has no sign
const MONTH_ROWS = 31; // a month of days has at most so many

const error = (value) => {
  const digits = [10, 100].filter((least) => Math.abs(value) < least).length;
  return value.toLocaleString(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits });
};
const signed = (value) => `${value >= HALF ? "+" : ""}${error(Math.abs(value) < HALF ? 0 : value).replace("-", "−")}`;
const FORMATS = { mae: error, bias: signed, count: (value) => number(value) };

/** The errors of several groups of pairs as those of all their pairs; null of none. */
export function pooled(errors) {
  const count = errors.reduce((sum, one) => sum + one.count, 0);
  if (!count) return null;
  const mean = (measure) => errors.reduce((sum, one) => sum + one[measure] * one.count, 0) / count;
  return { count, mae: mean("mae"), bias: mean("bias") };
}

/** The name of its choice of a column, in the page's address. */
export const skillKey = ({ dataset }) => `${dataset}_skill`;

export class Skill {
  /** `lead` is one of datasets.js; `onChange` takes the part of the view that was chosen here. */
  constructor({ body, choice, select, measures }, lead, facts, onChange) {
    Object.assign(this, { body, choice, select, lead });
    this.columns = facts.datasets[lead.dataset].columns.filter(isNumber);
    select.addEventListener("change", () => onChange({ columns: { ...this.view.columns, [skillKey(lead)]: select.value } }));
    this.buttons = Object.entries(MEASURES).map(([measure, name]) => {
      const button = el("button", { type: "button", "data-measure": measure }, text(name));
      button.addEventListener("click", () => onChange({ measure }));
      return button;
    });
    measures.replaceChildren(...this.buttons);
  }

  async show(city, availability, view) {
    Object.assign(this, { city, view });
    if (this.availability !== availability) {
      this.availability = availability;
      this.requesting?.abort();
      this.requesting = new AbortController();
      this.answer = null;
      await this.#load(this.requesting.signal);
    } else if (this.answer) this.#draw();
  }

  async #load(signal) {
    this.#say(el("p", { className: "hint loading", role: "status" }, text("Loading …")));
    try {
      const answer = await reader.skill(this.city.city_id, this.lead.dataset, signal);
      if (signal.aborted) return;
      this.answer = answer;
      this.#draw();
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof reader.Problem)) throw error;
      this.#say(el("p", {}, `${error.message} `, retryButton(() => this.#load(signal))));
    }
  }

  #say(...children) {
    this.choice.hidden = true;
    this.body.replaceChildren(...children);
  }

  #draw() {
    const { skill, left_out: leftOut } = this.answer;
    const found = this.columns.filter(({ name }) => skill.some(({ column }) => column === name));
    const out = leftOut.map(({ column, day, count }) =>
      el("li", {}, text("{column}: {n} values of days “{day}”", { column: title(column), n: number(count), day })));
    const why = el("p", { className: "hint" }, text("Left out, since nobody knows which hours their days have:"));
    const left = out.length ? [why, el("ul", { className: "hint left-out" }, ...out)] : [];
    for (const button of this.buttons) button.setAttribute("aria-pressed", button.dataset.measure === this.view.measure);
    if (!found.length) {
      const none = "No forecast of {city} was compared yet: that needs stored months of both, forecasts and what was measured.";
      this.#say(el("p", { className: "hint" }, text(none, { city: this.city.name })), ...left);
      return;
    }
    const column = found.find(({ name }) => name === this.view.columns[skillKey(this.lead)]) ?? found[0];
    choose(this.select, [found.map((one) => [one.name, titleInUnit(one)])], column.name);
    this.choice.hidden = false;
    const errors = skill.filter((one) => one.column === column.name);
    this.body.replaceChildren(
      el("div", { className: "skills" }, this.#byLead(errors, column), this.#byMonth(errors, column)),
      el("p", { className: "hint" }, `${Object.values(MEANINGS).map((one) => text(one)).join(" ")} ${this.#pairsText()}`),
      ...left,
    );
  }

  /** Bars and numbers of all months together. */
  #byLead(errors, { name, unit }) {
    const rows = this.lead.days.map((days) => [days, pooled(errors.filter((one) => one.lead_days === days))]);
    const most = Math.max(...rows.map(([, all]) => all?.mae ?? 0));
    const units = inUnit(unit);
    const heads = [text("Forecast"), `${text(MEASURES.mae)}${units}`, `${text(MEASURES.bias)}${units}`, text(MEASURES.count)];
    const row = ([days, all]) => {
      const bar = el("i", { "aria-hidden": "true" });
      bar.style.width = `calc((100% - ${BAR_ROOM}) * ${all && most ? all.mae / most : 0})`;
      const cells = all
        ? [el("td", { className: "bar" }, bar, el("span", {}, error(all.mae))), el("td", {}, FORMATS.bias(all.bias)), el("td", {}, number(all.count))]
        : [el("td", { colSpan: 3, className: "hint" }, text("no value"))];
      return el("tr", {}, el("th", { scope: "row" }, daysBefore(days)), ...cells);
    };
    const caption = text("{column} of all stored months, {city}", { column: title(name), city: this.city.name });
    const head = el("thead", {}, el("tr", {}, ...heads.map((words) => el("th", { scope: "col" }, words))));
    return el("table", { className: "by-lead" }, el("caption", {}, caption), head, el("tbody", {}, ...rows.map(row)));
  }

  /** The chosen measure, a row a month of the year, a column a lead. */
  #byMonth(errors, { unit }) {
    const { measure } = this.view;
    const sizeOf = (one) => Math.abs(one[measure]);
    const most = Math.max(...errors.map(sizeOf));
    const cell = (one) => {
      if (!one) return el("td", { "aria-label": text("no value") }, "–");
      const shade = measure === "count" || !most ? 0 : Math.min(SHADES - 1, Math.floor((SHADES * sizeOf(one)) / most));
      return el("td", { className: `heat${shade}` }, FORMATS[measure](one[measure]));
    };
    const months = [...new Set(errors.map(({ month }) => month))].sort((a, b) => a - b);
    const row = (month) => {
      const cells = this.lead.days.map((days) => cell(errors.find((one) => one.month === month && one.lead_days === days)));
      return el("tr", {}, el("th", { scope: "row" }, el("abbr", { title: MONTHS[month - 1] }, MONTH_LETTERS[month - 1])), ...cells);
    };
    const units = measure === "count" ? "" : inUnit(unit);
    const caption = `${text(MEASURES[measure])}${units} ${text("by month of the year and days before")}`;
    const heads = this.lead.days.map((days) => el("th", { scope: "col", "aria-label": daysBefore(days) }, String(days)));
    const head = el("thead", {}, el("tr", {}, el("td"), ...heads));
    return el("table", { className: "by-month" }, el("caption", {}, caption), head, el("tbody", {}, ...months.map(row)));
  }

  /** Days are compared with days, and hours with hours: the first have smaller errors. */
  #pairsText() {
    const stored = this.availability.months[this.lead.observed].filter(({ version }) => version != null);
    const areDays = stored.map(({ expected_rows: rows }) => rows <= MONTH_ROWS);
    if (areDays.every(Boolean)) return text("Here a pair is a day, whose error is smaller than an hour's: compare cities of one kind.");
    if (!areDays.some(Boolean)) return text("Here a pair is an hour, whose error is greater than a day's: compare cities of one kind.");
    return text("Here some pairs are days and some are hours, whose errors are greater: compare cities of one kind.");
  }
}
