// The plots of a city. Belongs here: range, kind of data, requesting records, problems with that. Does not: drawing (panel.js).

import { RANGES } from "./address.js";
import { newestHeld } from "./coverage.js";
import { text } from "./language.js";
import { Panel } from "./panel.js";
import * as reader from "./reader.js";
import { capital, el, firstDay, lastDay, monthName, monthStart, openMonth, shift } from "./words.js";

const RANGE_NAMES = { 1: "Last month", 3: "3 months", 12: "12 months", 24: "24 months" };
const SHOWN = { history: "History", training: "Training frame" };
const RESOLUTIONS = { daily: "Days", hourly: "Hours" };
const KEPT_ANSWERS = 12;

/** The columns of each plot, by its name: those of the datasets, and of the training frame. */
export function plotColumns({ datasets }) {
  return { ...datasets, training: Object.values(datasets).flat() };
}

export class Plots {
  /** `onChange` takes the part of the view that was chosen here. */
  constructor({ panels, ranges, shown, resolutions, range, zone }, facts, onChange, onProblem) {
    this.facts = facts;
    this.rangeText = range;
    this.zoneText = zone;
    this.onProblem = onProblem;
    this.answers = new Map();
    const chosen = (dataset) => (column) => onChange({ columns: { ...this.view.columns, [dataset]: column } });
    this.panels = Object.entries(plotColumns(facts)).map(([name, columns]) => new Panel(name, columns, chosen(name), onProblem));
    panels.replaceChildren(...this.panels.map((panel) => panel.element));
    const lengths = RANGES.map((months) => [months, RANGE_NAMES[months]]);
    this.buttons = [
      ...choices(ranges, "months", lengths, (months) => onChange({ months: Number(months), month: null })),
      ...choices(shown, "show", Object.entries(SHOWN), (show) => onChange({ show })),
      ...choices(resolutions, "resolution", Object.entries(RESOLUTIONS), (resolution) => onChange({ resolution })),
    ];
    this.resolutions = resolutions;
  }

  /** Plots what the view names: the newest months, or one. */
  async show(city, availability, view) {
    Object.assign(this, { city, availability, view });
    this.newest = newestHeld(availability.months, openMonth(city.timezone, this.facts.as_of));
    this.zoneText.textContent = text("Times are those of {city} ({zone}).", { city: city.name, zone: city.timezone });
    this.resolutions.hidden = view.show !== "training";
    for (const { name, value, button } of this.buttons) {
      const isShown = name === "months" && view.month ? false : String(view[name]) === String(value);
      button.setAttribute("aria-pressed", isShown);
    }
    for (const panel of this.panels) {
      panel.element.hidden = (panel.dataset === "training") !== (view.show === "training");
      panel.offer(city, view.columns[panel.dataset]);
    }
    await this.#load();
  }

  async #load() {
    this.requesting?.abort();
    this.requesting = new AbortController();
    const panels = this.panels.filter(({ element }) => !element.hidden);
    const { month, months } = this.view;
    if (!this.newest && !month) {
      this.rangeText.textContent = "";
      const command = `city-data backfill --city ${this.city.city_id}`;
      const none = text("No month of {city} is stored yet. Load it with: {command}", { city: this.city.name, command });
      for (const panel of panels) panel.say(this.#isSourced(panel) ? none : this.#unsourced(panel));
      return;
    }
    const last = month ?? this.newest;
    const first = month ?? shift(last, 1 - months);
    this.rangeText.textContent = capital(first === last ? monthName(first) : `${monthName(first)} – ${monthName(last)}`);
    const { signal } = this.requesting;
    await Promise.all(panels.map((panel) => this.#fill(panel, first, last, signal)));
  }

  #isSourced = ({ dataset }) =>
    dataset === "training" || this.city[`${dataset}_provider`] || this.availability.months[dataset].length;

  #unsourced = ({ dataset }) =>
    text("No source of {dataset} is known for {city}.", { dataset: text(dataset), city: this.city.name });

  async #fill(panel, first, last, signal) {
    if (!this.#isSourced(panel)) return panel.say(this.#unsourced(panel));
    try {
      const question = this.#question(panel, first, last);
      const answer = await this.#answer(panel, question, signal);
      if (signal.aborted) return;
      if (!answer.records.length) {
        const none = "No {dataset} is stored in this range; the squares above say why.";
        return panel.say(text(none, { dataset: text(panel.dataset) }));
      }
      const [from, to] = [monthStart(first, this.city.timezone), monthStart(shift(last, 1), this.city.timezone)];
      panel.show(answer.records, { from, to }, { ...question, version: answer.snapshot });
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof reader.Problem)) throw error;
      panel.say(el("span", {}, `${error.message} `, retryButton(() => this.#load())));
      this.onProblem(error, () => this.#load());
    }
  }

  /** A record has a column that is on request only where it is named. */
  #question({ dataset, column }, first, last) {
    const query = {
      latitude: this.city.latitude,
      longitude: this.city.longitude,
      start_date: firstDay(first),
      end_date: lastDay(last),
      ...(dataset === "training" ? { resolution: this.view.resolution } : column.on_request ? { columns: this.#fields(dataset) } : {}),
    };
    const path = reader.questionPath(dataset, this.facts.tenant_claim);
    return { dataset, path, query, name: `${this.city.city_id}_${dataset}_${first}_${last}` };
  }

  #fields = (dataset) => [...this.facts.datasets[dataset].map(({ name }) => name), "source"].join(",");

  /** The last few answers are kept: going back to a range is at once. A reload of the page requests them anew. */
  async #answer(panel, { path, query }, signal) {
    const address = `${path}?${new URLSearchParams(query)}`;
    const availability = this.availability;
    const kept = this.answers.get(address);
    if (kept?.availability === availability) return kept.answer;
    panel.say(text("Loading …"), true);
    const answer = await reader.history(address, signal);
    this.answers.set(address, { availability, answer });
    if (this.answers.size > KEPT_ANSWERS) this.answers.delete(this.answers.keys().next().value);
    return answer;
  }
}

/** Buttons of which one is pressed, in `group`; each calls back with its value. */
function choices(group, name, values, onChoice) {
  const made = values.map(([value, label]) => {
    const button = el("button", { type: "button", [`data-${name}`]: value }, text(label));
    button.addEventListener("click", () => onChoice(value));
    return { name, value, button };
  });
  group.replaceChildren(...made.map(({ button }) => button));
  return made;
}

function retryButton(again) {
  const button = el("button", { type: "button" }, text("Ask again"));
  button.addEventListener("click", again);
  return button;
}
