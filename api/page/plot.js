// The plots of a city. Belongs here: range, kind of data, requesting records, problems with that. Does not: drawing (panel.js).

import { RANGES } from "./address.js";
import { newestHeld } from "./coverage.js";
import { AHEAD, datasetsOf, isFrame, leadsOf, plotsOf, TRAINING } from "./datasets.js";
import { text } from "./language.js";
import { Panel } from "./panel.js";
import { keyed, lasting, leadOf, questionOf, rangeOf } from "./questions.js";
import * as reader from "./reader.js";
import { capital, choose, datasetTitle, daysBefore, el, monthName, openMonth, retryButton, shift, stamp } from "./words.js";

const RANGE_NAMES = { 1: "Last month", 3: "3 months", 12: "12 months", 24: "24 months" };
const SHOWN = { history: "History", [TRAINING]: "Training frame", [AHEAD]: "Days ahead" };
const RESOLUTIONS = { daily: "Days", dayparts: "Parts of days", hourly: "Hours" };
const KEPT_ANSWERS = 16;
const LINES = 5; // colours of the datasets' lines in style.css
const OBSERVED = "observed"; // beside the days of lead of a frame

export class Plots {
  /** `onChange` takes the part of the view that was chosen here. */
  constructor({ panels, ranges, shown, resolutions, leads, range, zone }, facts, onChange, onProblem) {
    this.facts = facts;
    this.rangeText = range;
    this.zoneText = zone;
    this.onProblem = onProblem;
    this.answers = new Map();
    this.groups = { ranges, resolutions, leads };
    const plots = plotsOf(facts);
    const colours = Object.fromEntries(plots.map(({ name }, n) => [name, isFrame(name) ? "--accent" : `--line${n % LINES}`]));
    const leadChosen = (key) => (days) => onChange({ leads: { ...this.view.leads, [key]: days } });
    this.panels = plots.map((plot) => {
      const lead = leadsOf(facts).find(({ dataset }) => dataset === plot.name);
      const onColumn = (column) => onChange({ columns: { ...this.view.columns, [plot.name]: column } });
      return new Panel(plot, lead, colours, { onColumn, onLead: leadChosen(lead?.key), onProblem });
    });
    panels.replaceChildren(...this.panels.map((panel) => panel.element));
    const lengths = RANGES.map((months) => [months, RANGE_NAMES[months]]);
    this.buttons = [
      ...choices(ranges, "months", lengths, (months) => onChange({ months: Number(months), month: null })),
      ...choices(shown, "show", Object.entries(SHOWN), (show) => onChange({ show })),
      ...choices(resolutions, "resolution", Object.entries(RESOLUTIONS), (resolution) => onChange({ resolution })),
    ];
    this.leads = leadsOf(facts).map((lead) => ({ ...lead, select: frameLead(lead, leadChosen(lead.frameKey)) }));
    leads.replaceChildren(...this.leads.map(({ observed, select }) => el("label", {}, `${datasetTitle(observed)} `, select)));
  }

  /** Plots what the view names: the newest months, or one, or the days ahead. */
  async show(city, availability, view) {
    Object.assign(this, { city, availability, view });
    this.newest = newestHeld(availability.months, openMonth(city.timezone, this.facts.as_of));
    this.zoneText.textContent = text("Times are those of {city} ({zone}).", { city: city.name, zone: city.timezone });
    this.groups.ranges.hidden = view.show === AHEAD;
    this.groups.resolutions.hidden = !isFrame(view.show);
    this.groups.leads.hidden = view.show !== TRAINING;
    for (const { name, value, button } of this.buttons) {
      const isShown = name === "months" && view.month ? false : String(view[name]) === String(value);
      button.setAttribute("aria-pressed", isShown);
    }
    for (const { frameKey, select } of this.leads) select.value = view.leads[frameKey] ?? OBSERVED;
    for (const panel of this.panels) {
      panel.element.hidden = isFrame(panel.dataset) ? panel.dataset !== view.show : isFrame(view.show);
      const days = panel.lead && leadOf(panel.lead, view);
      const datasets = datasetsOf(panel.dataset, this.facts, view);
      panel.offer(city, view.columns[panel.dataset], { datasets, days, grid: view.resolution });
    }
    await this.#load();
  }

  async #load() {
    this.requesting?.abort();
    this.requesting = new AbortController();
    const panels = this.panels.filter(({ element }) => !element.hidden);
    const { month, months } = this.view;
    this.rangeText.textContent = "";
    if (!this.newest && !month) {
      const command = `city-data backfill --city ${this.city.city_id}`;
      const none = text("No month of {city} is stored yet. Load it with: {command}", { city: this.city.name, command });
      for (const panel of panels) panel.say(this.#isSourced(panel) ? none : this.#unsourced(panel));
      return;
    }
    const last = month ?? this.newest;
    const first = month ?? shift(last, 1 - months);
    const named = first === last ? monthName(first) : `${monthName(first)} – ${monthName(last)}`;
    if (this.view.show !== AHEAD) this.rangeText.textContent = capital(named);
    const { signal } = this.requesting;
    await Promise.all(panels.map((panel) => this.#fill(panel, [first, last], signal)));
  }

  #isSourced = ({ dataset }) =>
    isFrame(dataset) || this.city[`${dataset}_provider`] || this.availability.months[dataset].length;

  #unsourced = ({ dataset }) =>
    text("No source of {dataset} is known for {city}.", { dataset: text(dataset), city: this.city.name });

  async #fill(panel, months, signal) {
    if (!this.#isSourced(panel)) return panel.say(this.#unsourced(panel));
    const { dataset: plot, lead } = panel;
    try {
      const question = this.#question(panel, plot, months);
      const answering = this.#answer(question, signal, () => panel.say(text("Loading …"), true));
      const measuring = lead && this.#isSourced({ dataset: lead.observed }) ? this.#answer(this.#question(panel, lead.observed, months), signal) : null;
      const [answer, measured] = await Promise.all([answering, measuring]);
      if (signal.aborted) return;
      if (!answer.records.length) {
        const none = "No {dataset} is stored in this range; the squares above say why.";
        return panel.say(text(none, { dataset: text(plot) }));
      }
      const range = rangeOf(plot, answer.records, months, this.city.timezone);
      if (plot === AHEAD) this.#nameDays(range);
      const month = isFrame(plot) ? null : this.#newestStored(plot, months);
      panel.show(answer.records, range, { ...lasting(question, plot, answer), month }, measured?.records);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof reader.Problem)) throw error;
      panel.say(el("span", {}, `${error.message} `, retryButton(() => this.#load())));
      this.onProblem(error, () => this.#load());
    }
  }

  #newestStored(dataset, [first, last]) {
    const stored = this.availability.months[dataset].filter(({ version, month }) => version != null && first <= month && month <= last);
    return stored.map(({ month }) => month).sort().at(-1);
  }

  #nameDays({ from, to }) {
    const [first, last] = [from, to - 1].map((time) => stamp(time, this.city.timezone, true));
    this.rangeText.textContent = `${first} – ${last}`;
  }

  #question({ column }, plot, months) {
    const { city, view, facts } = this;
    return questionOf({ plot, column, city, months, view, facts });
  }

  /** The last few answers are kept: going back to a range is at once. A reload of the page requests them anew. */
  #answer({ path, query, keys }, signal, onWait = () => {}) {
    const address = `${path}?${new URLSearchParams(query)} ${JSON.stringify(keys)}`;
    const availability = this.availability;
    const kept = this.answers.get(address);
    if (kept?.availability === availability && !kept.signal?.aborted) {
      if (kept.signal) onWait();
      return kept.answer;
    }
    onWait();
    const made = { availability, signal };
    const requested = reader.history(`${path}?${new URLSearchParams(query)}`, signal);
    made.answer = requested.then(({ records, snapshot }) => {
      made.signal = null;
      return { records: keyed(records, keys), snapshot };
    });
    made.answer.catch(() => this.answers.get(address) === made && this.answers.delete(address));
    this.answers.set(address, made);
    if (this.answers.size > KEPT_ANSWERS) this.answers.delete(this.answers.keys().next().value);
    return made.answer;
  }
}

/** The choice between what was measured and what was forecast so many days before each day. */
function frameLead({ dataset, days }, onLead) {
  const select = el("select", {});
  const forecast = (n) => [n, `${text(dataset)}, ${daysBefore(n)}`];
  choose(select, [[[OBSERVED, text("measured")], ...days.map(forecast)]], OBSERVED);
  select.addEventListener("change", () => onLead(select.value === OBSERVED ? undefined : Number(select.value)));
  return select;
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
