// The coverage of a city's months. Belongs here: the grids, their keys, what a square says. Does not: asking for it.

import { text } from "./language.js";
import { capital, datasetTitle, el, moment, MONTH_LETTERS, MONTHS, monthName, monthOf, monthsFrom, number, openMonth, parts, percent, shift } from "./words.js";

// A state's mark and words; the mark is seen without colour. States with data show their coverage instead.
const STATES = {
  settled: [null, "settled", "final: the source's settling time has passed"],
  provisional: [null, "provisional", "served, and its source may still change it"],
  not_yet_published: ["…", "not yet published", "the source has not published it; requested again every day"],
  not_available: ["–", "not available", "the source has no such month, and never will"],
  failed: ["!", "failed", "the last try failed; its error says what to do"],
  never_asked: ["", "never requested", "nobody has requested it: backfill it"],
};

const hasData = (entry) => entry?.version != null;

/** The months to show by dataset, oldest first: the window until the open month, and whatever else is known. */
export function shownMonths(months, zone, facts) {
  const open = openMonth(zone, facts.as_of);
  const known = Object.values(months).flat().map((entry) => entry.month);
  const first = known.reduce((a, b) => (a < b ? a : b), shift(open, -facts.window_months));
  const last = (list) => list.reduce((a, { month }) => (a > month ? a : month), open);
  return Object.fromEntries(Object.entries(months).map(([name, list]) => [name, monthsFrom(first, last(list))]));
}

/** How many stored months there are, and how many of them are of the sandbox, whose values are made up. */
export function madeUp(months) {
  const stored = Object.values(months).flat().filter(hasData);
  return { stored: stored.length, sandbox: stored.filter(({ source }) => source?.startsWith("sandbox:")).length };
}

/** The newest month that any dataset holds, or null; a month ahead only where none up to the `open` one is held. */
export function newestHeld(months, open) {
  const held = Object.values(months).flat().filter(hasData).map(({ month }) => month).sort();
  return held.findLast((month) => month <= open) ?? held[0] ?? null;
}

export class Coverage {
  constructor({ grids, detail, legend }, facts, onMonth) {
    this.facts = facts;
    this.grids = grids;
    this.detail = detail;
    this.onMonth = onMonth;
    legend.replaceChildren(...Object.entries(STATES).map(([state, [mark, word, why]]) => {
      const swatch = el("span", { className: `swatch ${state} c4`, "aria-hidden": "true" }, mark ?? "98");
      return el("li", {}, swatch, el("span", {}, el("b", {}, capital(text(word))), ` ${text(why)}`));
    }));
  }

  show(city, availability) {
    this.city = city;
    this.shown = shownMonths(availability.months, city.timezone, this.facts);
    this.entries = Object.fromEntries(
      Object.entries(availability.months).map(([name, list]) => [name, new Map(list.map((entry) => [entry.month, entry]))]),
    );
    this.grids.replaceChildren(...Object.keys(this.entries).map((name) => this.#grid(name)));
    this.#summarise();
  }

  #grid(dataset) {
    const caption = el("h3", {}, datasetTitle(dataset));
    if (!this.city[`${dataset}_provider`] && !this.entries[dataset].size) {
      const none = text("No source of {dataset} is known for {city}.", { dataset: text(dataset), city: this.city.name });
      return el("div", { className: "grid" }, caption, el("p", { className: "hint" }, none));
    }
    const years = [...new Set(this.shown[dataset].map((month) => parts(month)[0]))];
    const heads = Array.from({ length: 12 }, (_, index) =>
      el("th", { scope: "col" }, el("abbr", { title: MONTHS[index] }, MONTH_LETTERS[index])),
    );
    const table = el(
      "table",
      {
        role: "grid",
        "aria-label": text("Coverage of {dataset} by month, {city}", { dataset: text(dataset), city: this.city.name }),
        "data-dataset": dataset,
      },
      el("thead", {}, el("tr", {}, el("td"), ...heads)),
      el("tbody", {}, ...years.map((year) => this.#row(dataset, year))),
    );
    this.#roam(table);
    return el("div", { className: "grid" }, caption, table);
  }

  #row(dataset, year) {
    const cells = Array.from({ length: 12 }, (_, index) => {
      const month = monthOf(year, index);
      return this.shown[dataset].includes(month) ? this.#cell(dataset, month) : el("td", { className: "outside" });
    });
    return el("tr", {}, el("th", { scope: "row" }, String(year)), ...cells);
  }

  #cell(dataset, month) {
    const entry = this.entries[dataset].get(month);
    const state = entry?.state ?? "never_asked";
    const share = entry?.coverage;
    const stored = hasData(entry) && share != null;
    const shade = stored ? `c${Math.min(4, Math.floor(share * 4 + (share >= 0.95 ? 1 : 0)))}` : "";
    const cell = el(
      "td",
      {
        className: `${state} ${shade} ${entry?.last_error && stored ? "troubled" : ""}`,
        role: "gridcell",
        tabIndex: -1,
        "aria-label": this.#facts(dataset, month).map(([name, value]) => (name ? `${text(name)}: ${value}` : value)).join("; "),
        "data-month": month,
        "data-state": state,
      },
      stored ? String(percent(share)) : (STATES[state][0] ?? "?"),
    );
    const describe = () => this.#describe(dataset, month);
    cell.addEventListener("mouseenter", describe);
    cell.addEventListener("focus", describe);
    cell.addEventListener("click", () => this.#plot(cell));
    return cell;
  }

  /** The facts of a month as [name, value]; the first has no name. */
  #facts(dataset, month) {
    const entry = this.entries[dataset].get(month);
    const [, word, why] = STATES[entry?.state ?? "never_asked"];
    const facts = [["", `${capital(monthName(month))}, ${text(dataset)}: ${text(word)}`]];
    if (!entry) return [...facts, ["what to do", this.#command(dataset, month)]];
    if (!hasData(entry)) facts.push(["meaning", text(why)]);
    if (entry.coverage != null) facts.push(["coverage", `${percent(entry.coverage)} %`]);
    if (entry.version != null) {
      facts.push(["rows", text("{n} of {all}", { n: number(entry.rows), all: number(entry.expected_rows) })]);
      facts.push(["version", String(entry.version)]);
    }
    if (entry.source) facts.push(["source", entry.source]);
    if (entry.settled_at) facts.push(["settled on", moment(entry.settled_at, this.city.timezone)]);
    if (entry.last_error) facts.push(["last error", entry.last_error]);
    return facts;
  }

  #command = (dataset, month) =>
    `city-data backfill --city ${this.city.city_id} --dataset ${dataset} --from ${month} --to ${month}`;

  #describe(dataset, month) {
    const [[, heading], ...rest] = this.#facts(dataset, month);
    const terms = rest.map(([name, value]) => el("div", { className: name === "last error" ? "error" : "" }, el("dt", {}, text(name)), el("dd", {}, value)));
    this.detail.replaceChildren(el("p", {}, el("strong", {}, heading)), el("dl", {}, ...terms));
  }

  #summarise() {
    const lines = Object.entries(this.entries).map(([name, known]) => {
      const counts = new Map();
      for (const month of this.shown[name]) {
        const word = STATES[known.get(month)?.state ?? "never_asked"][1];
        counts.set(word, (counts.get(word) ?? 0) + 1);
      }
      const summary = [...counts].map(([word, count]) => `${count} ${text(word)}`).join(", ");
      const sourced = this.city[`${name}_provider`] || known.size;
      const months = text("of {n} months {summary}", { n: this.shown[name].length, summary });
      return el("p", {}, el("strong", {}, datasetTitle(name)), `: ${sourced ? months : text("no source")}`);
    });
    this.detail.replaceChildren(...lines);
  }

  #plot(cell) {
    this.#focus(cell);
    this.onMonth(cell.dataset.month);
  }

  #focus(cell) {
    for (const other of cell.closest("table").querySelectorAll("[role=gridcell]")) other.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus();
  }

  /** One stop of Tab a grid; arrow keys go by month and by year. */
  #roam(table) {
    const cells = [...table.querySelectorAll("[role=gridcell]")];
    cells.at(-1).tabIndex = 0;
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -12, ArrowDown: 12, Home: -cells.length, End: cells.length };
    table.addEventListener("keydown", (event) => {
      const at = cells.indexOf(event.target);
      if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Enter" || event.key === " ") this.#plot(cells[at]);
      else if (!(event.key in moves)) return;
      else {
        const to = at + moves[event.key];
        const within = event.key === "Home" || event.key === "End" ? Math.max(0, Math.min(cells.length - 1, to)) : to;
        if (cells[within]) this.#focus(cells[within]);
      }
      event.preventDefault();
    });
  }
}
