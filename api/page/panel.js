// One plot with its controls. Belongs here: its column, its lead, what lies under the cursor. Does not: which range (plot.js).

import { chartOptions, heightFor } from "./chart.js";
import { AHEAD, isFrame, isLine, isMark, isNumber, isStepped, MARKS, markOf, marksOf, telling, TRAINING } from "./datasets.js";
import { Export } from "./export.js";
import { stretches } from "./lanes.js";
import { text } from "./language.js";
import { Origin } from "./origin.js";
import * as reader from "./reader.js";
import { beside, gaps, numberOf, series } from "./series.js";
import { capital, choose, datasetTitle, daysBefore, el, meaningText, number, stamp, title, titleInUnit } from "./words.js";

const WEEK_S = 7 * 24 * 3600;
const FRAMES = {
  [TRAINING]: "Training frame: weather, traffic and calendar on one grid",
  [AHEAD]: "Days ahead: forecasts and calendar in the training frame's columns",
};
const COUNTED = {
  daily: "{n} of {all} days have a value",
  dayparts: "{n} of {all} parts of days have a value",
  hourly: "{n} of {all} hours have a value",
};
const FLAG = ["no", "yes"];

export class Panel {
  /** `plot` is one of datasets.js; `lead`, for the history of forecasts, has its days. */
  constructor({ name, columns, observed }, lead, colours, { onColumn, onLead, onProblem }) {
    Object.assign(this, { dataset: name, columns, lead, marks: marksOf(columns) });
    this.select = el("select", { id: `column-${name}` });
    this.select.addEventListener("change", () => onColumn(this.select.value));
    this.leads = el("select", { className: "days", "aria-label": text("Days before") });
    this.leads.addEventListener("change", () => onLead(Number(this.leads.value)));
    this.meta = el("p", { className: "hint meta" });
    this.chart = el("div", { className: "chart", tabIndex: 0, role: "application", "aria-roledescription": text("plot") });
    this.chart.addEventListener("keydown", (event) => this.#key(event));
    this.meaning = el("p", { className: "hint meaning" });
    this.lines = el("p", { className: "hint lines", hidden: true });
    this.readout = el("div", { className: "readout" });
    this.spoken = el("p", { className: "unseen", "aria-live": "polite" });
    this.export = new Export(name, onProblem);
    this.origin = new Origin(name);
    this.title = isFrame(name) ? text(FRAMES[name]) : datasetTitle(name);
    const label = el("label", { htmlFor: this.select.id }, el("span", { className: "unseen" }, `${text("Column")}: ${this.title}`));
    const head = el("div", { className: "panel-head" }, el("h3", {}, this.title), label, this.select, ...(lead ? [this.leads] : []), this.meta);
    this.element = el("section", { className: "panel", "data-dataset": name, "aria-label": this.title });
    this.element.style.setProperty("--line", `var(${colours[name]})`);
    if (observed) this.element.style.setProperty("--other", `var(${colours[observed]})`);
    this.element.append(head, this.meaning, this.lines, this.readout, this.chart, this.spoken, this.export.element, this.origin.element);
    new ResizeObserver(() => this.plot?.setSize({ width: this.chart.clientWidth, height: heightFor(this.lanes) })).observe(this.chart);
    for (const medium of ["(prefers-color-scheme: dark)", "print"]) matchMedia(medium).addEventListener("change", () => this.#draw());
  }

  /** The columns to choose from, and the chosen one or else the first that a source of the `datasets` gives. */
  offer(city, chosen, { datasets, days, grid }) {
    this.city = city;
    this.sources = city.sources.filter(({ dataset }) => datasets.includes(dataset));
    const given = this.sources.flatMap(({ columns }) => columns ?? []);
    const drawn = this.columns.filter((column) => isLine(column) || isMark(column));
    // Rows of several hours have the hours' lowest and highest value where the source has none.
    const isMade = ({ extreme_of: hours }) => isFrame(this.dataset) && grid !== "hourly" && given.includes(hours);
    const isGiven = (column) => column.isComputed || !given.length || given.includes(column.name) || isMade(column);
    const areMarked = this.marks.length > this.columns.length / 2;
    const usual = areMarked ? null : drawn.find((column) => isLine(column) && isGiven(column)) ?? drawn[0];
    this.column = chosen === MARKS ? null : drawn.find(({ name }) => name === chosen) ?? usual;
    const option = (column) => [column.name, titleInUnit(column)];
    const all = this.marks.length > 1 ? [[MARKS, text("Marked days")]] : [];
    const groups = [[...all, ...drawn.filter(isGiven).map(option)], drawn.filter((column) => !isGiven(column)).map(option)];
    choose(this.select, groups, this.column?.name ?? MARKS, text("Not from this source"));
    if (this.lead) choose(this.leads, [this.lead.days.map((n) => [n, daysBefore(n)])], days);
    this.days = days;
  }

  /** Instead of a plot: why there is none, as text or an element. */
  say(message, busy = false) {
    this.#clear();
    this.element.setAttribute("aria-busy", busy);
    this.chart.classList.toggle("empty", true);
    this.chart.replaceChildren(el("p", { className: busy ? "loading" : "" }, message));
    this.readout.replaceChildren();
    this.meaning.textContent = "";
    this.meta.textContent = "";
    this.lines.hidden = true;
    this.export.hide();
    this.origin.hide();
    this.select.disabled = this.leads.disabled = !busy;
  }

  /** `range` is {from, to} in seconds, half-open; `question` is what gave the records, and `observed` what was measured. */
  show(records, range, question, observed = null) {
    Object.assign(this, { records, range, observed, grid: question.grid });
    this.element.setAttribute("aria-busy", false);
    this.select.disabled = this.leads.disabled = false;
    const tenant = reader.token.get() ? question.path.split("/")[3] : null;
    const columns = this.#shown().map(({ name }) => name);
    this.export.show({ ...question, base: document.baseURI.split("#")[0], columns, tenant });
    this.origin.show(this.city, question.month);
    this.#draw();
  }

  /** The columns that are drawn. */
  #shown = () => (this.column ? [this.column] : this.marks);

  #clear() {
    this.plot?.destroy();
    this.plot = null;
    this.records = null;
  }

  #draw() {
    if (!this.records) return;
    this.plot?.destroy();
    this.chart.replaceChildren();
    this.chart.classList.toggle("empty", false);
    const { column, range } = this;
    const isMarked = !column || isMark(column);
    const isKnown = (record) => this.#shown().some((one) => markOf(record, one) !== null);
    const valueOf = isMarked ? (record) => (isKnown(record) ? 1 : null) : (record) => numberOf(record, column);
    this.series = series(this.records, valueOf, { grid: this.grid, to: range.to });
    this.lanes = isMarked ? this.#shown().map((one) => ({ title: title(one.name), found: stretches(this.series, one) })) : null;
    this.chart.classList.toggle("marks", isMarked);
    const other = this.#other();
    const options = chartOptions(this.element, {
      width: this.chart.clientWidth,
      zone: this.city.timezone,
      range,
      column,
      words: column?.allowed?.map((word) => text(word)),
      hasOther: Boolean(other),
      lanes: this.lanes,
      gaps: gaps(this.series, range.from, range.to),
      onCursor: (index) => this.#describe(index),
    });
    this.measured = other;
    this.plot = new uPlot(options, [this.series.times, this.series.values, ...(other ? [other] : [])], this.chart);
    this.chart.plot = this.plot; // for whoever looks behind the picture with a console
    this.#caption();
    this.#describe(null);
  }

  /** What was measured at the times of the series: of days, beside hours, only what is a mean of them. */
  #other() {
    if (!this.observed || !this.column) return null;
    const other = series(this.observed, (record) => numberOf(record, this.column), { to: this.range.to });
    if (other.grid !== this.series.grid && isStepped(this.column)) return null;
    const values = beside(this.series, other);
    return values.some((value) => value !== null) ? values : null;
  }

  #caption() {
    const present = this.series.values.filter((value) => value !== null).length;
    const expected = this.grid ? this.records.length : Math.round((this.range.to - this.range.from) / this.series.step);
    this.meta.textContent = text(COUNTED[this.series.grid], { n: number(present), all: number(expected) });
    const meanings = this.sources.map(({ meanings }) => meanings[this.column?.name]);
    this.meaning.textContent = meaningText(meanings.find(Boolean));
    const name = this.column ? titleInUnit(this.column) : text("Marked days");
    this.chart.setAttribute("aria-label", `${this.city.name}: ${name}. ${this.meta.textContent}`);
    this.lines.hidden = !this.measured;
    const forecast = el("span", { className: "line" }, `${datasetTitle(this.dataset)}, ${daysBefore(this.days)}`);
    this.lines.replaceChildren(forecast, " ", el("span", { className: "line other" }, text("measured")));
  }

  /** The record under the cursor, all its columns; without one, what to do. */
  #describe(index) {
    const record = index == null ? null : this.series.records[index];
    if (!record) {
      const hint = index == null ? "Point at the plot, or focus it and use the arrow keys, to read its values." : "No record here.";
      this.readout.replaceChildren(el("span", { className: "hint" }, text(hint)));
      return;
    }
    const day = stamp(this.series.times[index], this.city.timezone, this.series.grid !== "hourly");
    const when = record.daypart ? `${day}, ${text(record.daypart)}` : day;
    const value = (column) => el("span", { className: column === this.column ? "now" : "" }, `${title(column.name)} `, el("b", {}, this.#value(record, column)));
    const shown = telling(this.columns);
    const values = this.columns.filter((column) => (record[column.name] != null && shown.includes(column)) || column === this.column).map(value);
    if (this.measured) {
      const { unit } = this.column;
      const measured = this.measured[index] == null ? text("no value") : `${number(this.measured[index])}${unit ? ` ${text(unit)}` : ""}`;
      values.unshift(el("span", { className: "other" }, `${capital(text("measured"))} `, el("b", {}, measured)));
    }
    this.readout.replaceChildren(el("time", { dateTime: record.date }, when), ...values, el("span", { className: "source" }, sourceOf(record)));
  }

  #value(record, column) {
    const { name, kind, unit, allowed } = column;
    const value = record[name];
    if (value == null) return text(isMark(column) && markOf(record, column) === false ? "none" : "no value");
    if (kind === "flag") return text(FLAG[Number(value)]);
    if (isNumber(column)) return `${number(value)}${unit ? ` ${text(unit)}` : ""}`;
    return allowed ? text(value) : value;
  }

  #key(event) {
    const { times, step } = this.series ?? { times: [] };
    if (!this.plot || !times.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const week = Math.round(WEEK_S / step);
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -week, PageDown: week, Home: -times.length, End: times.length };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const at = this.plot.cursor.idx ?? (moves[event.key] > 0 ? -1 : times.length);
    const to = Math.max(0, Math.min(times.length - 1, at + moves[event.key]));
    const shown = this.series.values[to];
    this.plot.setCursor({ left: this.plot.valToPos(times[to], "x"), top: this.plot.valToPos(shown ?? this.plot.scales.y.min, "y") });
    this.#describe(to);
    this.spoken.textContent = [...this.readout.children].map((part) => part.textContent.trim()).join(", ");
  }
}

/** Of a history's record, or of a training frame's, which may have one for each dataset. */
function sourceOf(record) {
  const named = Object.keys(record).filter((name) => name.endsWith("_source"));
  return record.source ?? named.map((name) => record[name]).filter(Boolean).join(", ");
}
