// One dataset's plot. Belongs here: its chart, its column, what lies under the cursor. Does not: which range (plot.js).

import { Export } from "./export.js";
import { text } from "./language.js";
import * as reader from "./reader.js";
import { alone, gaps, isDrawn, isNumber, series, wordsOf } from "./series.js";
import { el, meaningText, MONTH_LETTERS, MONTHS, number, stamp, title } from "./words.js";

const HEIGHT_PX = 230;
const SHADE_FROM_PX = 2;
const SYNC = "city_data";
const WEEK_S = 7 * 24 * 3600;
const STEPPED = ["precipitation", "sunshine_duration", "snowfall", "congestion_level"];
const DAY_S = 24 * 3600;
// Increment, its format, and what is added where a year or a day turns: [year, month, day, hour, minute, second, mode].
const LABELS = [
  [365 * DAY_S, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * DAY_S, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [DAY_S, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [3600, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];

const MONTH_NAMES = { MMMM: MONTHS, MMM: MONTH_LETTERS, WWWW: [], WWW: [] };
const AXIS_LEAST_PX = 62; // so that plots below each other begin at the same place
const LABEL_ROOM_PX = 18; // ticks and gap beside the labels
const DATASETS = { training: text("Training frame: weather, traffic and calendar on one grid") };

export class Panel {
  constructor(dataset, columns, onColumn, onProblem) {
    this.dataset = dataset;
    this.columns = columns;
    this.select = el("select", { id: `column-${dataset}` });
    this.select.addEventListener("change", () => onColumn(this.select.value));
    this.meta = el("p", { className: "hint meta" });
    this.chart = el("div", { className: "chart", tabIndex: 0, role: "application", "aria-roledescription": text("plot") });
    this.chart.addEventListener("keydown", (event) => this.#key(event));
    this.meaning = el("p", { className: "hint meaning" });
    this.readout = el("div", { className: "readout" });
    this.spoken = el("p", { className: "unseen", "aria-live": "polite" });
    this.export = new Export(dataset, onProblem);
    const name = DATASETS[dataset] ?? title(dataset);
    const label = el("label", { htmlFor: this.select.id }, el("span", { className: "unseen" }, `${text("Column")}: ${name}`));
    const head = el("div", { className: "panel-head" }, el("h3", {}, name), label, this.select, this.meta);
    this.element = el("section", { className: "panel", "data-dataset": dataset, "aria-label": name });
    this.element.append(head, this.meaning, this.readout, this.chart, this.spoken, this.export.element);
    new ResizeObserver(() => this.plot?.setSize({ width: this.chart.clientWidth, height: HEIGHT_PX })).observe(this.chart);
    for (const medium of ["(prefers-color-scheme: dark)", "print"]) matchMedia(medium).addEventListener("change", () => this.#draw());
  }

  /** The columns to choose from, and the chosen one or else the first that a source of the city gives. */
  offer(city, chosen) {
    this.city = city;
    const given = this.#sources().flatMap(({ columns }) => columns ?? []);
    const drawn = this.columns.filter(isDrawn);
    const isGiven = ({ name }) => !given.length || given.includes(name);
    this.column = drawn.find(({ name }) => name === chosen) ?? drawn.find(isGiven) ?? drawn[0];
    const option = (column) => {
      const label = `${title(column.name)}${column.unit ? ` (${text(column.unit)})` : ""}`;
      return el("option", { value: column.name, selected: column === this.column }, label);
    };
    const others = drawn.filter((column) => !isGiven(column)).map(option);
    const group = others.length ? [el("optgroup", { label: text("Not from this source") }, ...others)] : [];
    this.select.replaceChildren(...drawn.filter(isGiven).map(option), ...group);
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
    this.export.hide();
    this.select.disabled = !busy;
  }

  /** `range` is {from, to} in seconds, half-open; `question` is what gave the records, see plot.js. */
  show(records, range, question) {
    this.records = records;
    this.range = range;
    this.element.setAttribute("aria-busy", false);
    this.select.disabled = false;
    const tenant = reader.token.get() ? question.path.split("/")[3] : null;
    this.export.show({ ...question, base: document.baseURI.split("#")[0], column: this.column.name, tenant });
    this.#draw();
  }

  /** The city's sources of what is plotted; a training frame has those of both datasets. */
  #sources = () => this.city.sources.filter(({ dataset }) => [dataset, "training"].includes(this.dataset));

  /** The chosen column's meaning in the city, by its first source that gives the column. */
  #meaning() {
    const given = this.#sources().map(({ meanings }) => meanings[this.column.name]);
    return given.find(Boolean);
  }

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
    this.series = series(this.records, this.column);
    this.gaps = gaps(this.series, this.range.from, this.range.to);
    this.plot = new uPlot(this.#options(), [this.series.times, this.series.values], this.chart);
    this.chart.plot = this.plot; // for whoever looks behind the picture with a console
    const present = this.series.values.filter((value) => value !== null).length;
    const counted = this.series.daily ? "{n} of {all} days have a value" : "{n} of {all} hours have a value";
    const expected = Math.round((this.range.to - this.range.from) / this.series.step);
    this.meta.textContent = text(counted, { n: number(present), all: number(expected) });
    const { unit, name } = this.column;
    this.meaning.textContent = meaningText(this.#meaning());
    this.chart.setAttribute("aria-label", `${this.city.name}: ${title(name)}${unit ? ` (${text(unit)})` : ""}. ${this.meta.textContent}`);
    this.#describe(null);
  }

  #options() {
    const style = getComputedStyle(this.element);
    const [stroke, ink, rule, shade] = ["--line", "--muted", "--rule", "--gap"].map((name) => style.getPropertyValue(name).trim());
    const font = `12px ${style.fontFamily}`;
    const axis = { stroke: ink, font, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 } };
    const words = wordsOf(this.column)?.map((word) => text(word));
    const scale = words ? { range: [-0.4, words.length - 0.6] } : {};
    const values = words ? (_, splits) => splits.map((n) => words[n] ?? "") : (_, splits) => splits.map((n) => number(n));
    return {
      width: this.chart.clientWidth,
      height: HEIGHT_PX,
      legend: { show: false },
      fmtDate: (template) => uPlot.fmtDate(template, MONTH_NAMES),
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), this.city.timezone),
      scales: { x: { time: true, min: this.range.from, max: this.range.to, range: (_, min, max) => [min, max] }, y: scale },
      cursor: { sync: { key: SYNC, scales: ["x", null] }, drag: { x: true, y: false }, points: { size: 8 } },
      axes: [
        { ...axis, space: 64, values: LABELS },
        { ...axis, size: (_, labels) => Math.max(AXIS_LEAST_PX, LABEL_ROOM_PX + widest(labels ?? [], font)), values, ...(words ? { splits: () => words.map((_, n) => n) } : {}) },
      ],
      series: [
        {},
        {
          stroke,
          width: 1.25,
          spanGaps: false,
          points: { size: 4, fill: stroke, filter: (u, index, shown) => (shown ? null : alone(u.data[1], ...u.series[index].idxs)) },
          ...(words || STEPPED.includes(this.column.name) ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
        },
      ],
      hooks: {
        drawClear: [(plot) => this.#shade(plot, shade)],
        setCursor: [(plot) => this.#describe(plot.cursor.idx)],
        ready: [(plot) => plot.setScale("x", { min: this.range.from, max: this.range.to })],
      },
    };
  }

  #shade(plot, colour) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = colour;
    for (const [from, to] of this.gaps) {
      const left = Math.max(bbox.left, plot.valToPos(from, "x", true));
      const right = Math.min(bbox.left + bbox.width, plot.valToPos(to, "x", true));
      if (right - left >= SHADE_FROM_PX) ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    ctx.restore();
  }

  /** The record under the cursor, all its columns; without one, what to do. */
  #describe(index) {
    const record = index == null ? null : this.series.records[index];
    if (!record) {
      const hint = index == null ? "Point at the plot, or focus it and use the arrow keys, to read its values." : "No record here.";
      this.readout.replaceChildren(el("span", { className: "hint" }, text(hint)));
      return;
    }
    const when = stamp(this.series.times[index], this.city.timezone, this.series.daily);
    const values = this.columns
      .filter(({ name }) => record[name] != null || name === this.column.name)
      .map((column) => el("span", { className: column === this.column ? "now" : "" }, `${title(column.name)} `, el("b", {}, this.#value(record, column))));
    this.readout.replaceChildren(el("time", { dateTime: record.date }, when), ...values, el("span", { className: "source" }, sourceOf(record)));
  }

  #value(record, column) {
    const { name, kind, unit, allowed } = column;
    const value = record[name];
    if (value == null) return text("no value");
    if (kind === "flag") return text(wordsOf(column)[Number(value)]);
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
    this.spoken.textContent = this.readout.textContent;
  }
}

/** The width of the longest label, in pixels. */
function widest(labels, font) {
  const context = document.createElement("canvas").getContext("2d");
  context.font = font;
  return Math.ceil(Math.max(0, ...labels.map((label) => context.measureText(label).width)));
}

/** Of a history's record, or of a training frame's, which may have one for each dataset. */
function sourceOf(record) {
  const named = Object.keys(record).filter((name) => name.endsWith("_source"));
  return record.source ?? named.map((name) => record[name]).filter(Boolean).join(", ");
}
