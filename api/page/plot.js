// The plots of a city. Belongs here: the range, asking for its records, problems with that. Does not: drawing (panel.js).

import { newestHeld } from "./coverage.js";
import { Panel } from "./panel.js";
import * as reader from "./reader.js";
import { el, firstDay, lastDay, monthName, monthStart, shift } from "./words.js";

const RANGES = [[1, "Last month"], [3, "3 months"], [12, "12 months"], [24, "24 months"]];
const FIRST_RANGE = 3;
const KEPT_ANSWERS = 12;

export class Plots {
  constructor({ panels, ranges, range, zone }, facts, onProblem) {
    this.facts = facts;
    this.rangeText = range;
    this.zoneText = zone;
    this.onProblem = onProblem;
    this.months = FIRST_RANGE;
    this.answers = new Map();
    this.panels = Object.entries(facts.datasets).map(([name, columns]) => new Panel(name, columns));
    panels.replaceChildren(...this.panels.map((panel) => panel.element));
    this.buttons = RANGES.map(([months, name]) => el("button", { type: "button", "data-months": months }, name));
    for (const button of this.buttons) button.addEventListener("click", () => this.#choose(Number(button.dataset.months)));
    ranges.replaceChildren(...this.buttons);
  }

  /** Plots the city's newest months, of the length chosen before. */
  async show(city, availability) {
    this.city = city;
    this.availability = availability;
    this.newest = newestHeld(availability.months);
    this.month = null;
    this.zoneText.textContent = `${city.name}'s own (${city.timezone})`;
    for (const panel of this.panels) panel.offer(city);
    await this.#load();
  }

  /** Plots that month alone. */
  async showMonth(month) {
    this.month = month;
    await this.#load();
  }

  async #choose(months) {
    this.months = months;
    this.month = null;
    await this.#load();
  }

  async #load() {
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", !this.month && Number(button.dataset.months) === this.months);
    }
    this.asking?.abort();
    this.asking = new AbortController();
    if (!this.newest && !this.month) {
      this.rangeText.textContent = "";
      const what = `No month of ${this.city.name} is stored yet. Load it with: city-data backfill --city ${this.city.city_id}`;
      for (const panel of this.panels) panel.say(this.#sourced(panel) ? what : this.#unsourced(panel));
      return;
    }
    const last = this.month ?? this.newest;
    const first = this.month ?? shift(last, 1 - this.months);
    this.rangeText.textContent = first === last ? monthName(first) : `${monthName(first)} – ${monthName(last)}`;
    const { signal } = this.asking;
    await Promise.all(this.panels.map((panel) => this.#fill(panel, first, last, signal)));
  }

  #sourced = ({ dataset }) => this.city[`${dataset}_provider`] || this.availability.months[dataset].length;
  #unsourced = ({ dataset }) => `No source of ${dataset} is known for ${this.city.name}.`;

  async #fill(panel, first, last, signal) {
    if (!this.#sourced(panel)) return panel.say(this.#unsourced(panel));
    panel.say("Loading …", true);
    try {
      const path = reader.historyPath(panel.dataset, this.city, firstDay(first), lastDay(last), this.facts.tenant_claim);
      const records = await this.#records(path, signal);
      if (signal.aborted) return;
      if (!records.length) return panel.say(`No ${panel.dataset} is stored in this range; the squares above say why.`);
      const [from, to] = [monthStart(first, this.city.timezone), monthStart(shift(last, 1), this.city.timezone)];
      panel.show(records, { from, to }, command(path));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof reader.Problem)) throw error;
      panel.say(el("span", {}, `${error.message} `, retryButton(() => this.#load())));
      this.onProblem(error, () => this.#load());
    }
  }

  /** The last few answers are kept: going back to a range is at once. A reload of the page asks anew. */
  async #records(path, signal) {
    const version = this.availability;
    const kept = this.answers.get(path);
    if (kept?.version === version) return kept.records;
    const records = await reader.history(path, signal);
    this.answers.set(path, { version, records });
    if (this.answers.size > KEPT_ANSWERS) this.answers.delete(this.answers.keys().next().value);
    return records;
  }
}

function retryButton(again) {
  const button = el("button", { type: "button" }, "Ask again");
  button.addEventListener("click", again);
  return button;
}

function command(path) {
  const header = reader.token.get() ? ' -H "Authorization: Bearer $TOKEN"' : "";
  return `curl --compressed${header} '${new URL(path, document.baseURI)}'`;
}
