// The page as a whole. Belongs here: the order of things, the view in the address, the chosen city. Does not: the parts.

import { fragmentOf, USUAL, viewOf } from "./address.js";
import { Coverage, madeUp, shownMonths } from "./coverage.js";
import { AHEAD, leadsOf, MARKS, plotsOf } from "./datasets.js";
import { text, translateDocument } from "./language.js";
import { CityList } from "./list.js";
import { CityMap } from "./map.js";
import { Notices } from "./notices.js";
import { Plots } from "./plot.js";
import * as reader from "./reader.js";
import { Skill, skillKey } from "./skill.js";
import { el, number } from "./words.js";

const get = (id) => document.getElementById(id);
const notices = new Notices();
let facts, map, list, coverage, plots, skill, view, cities = [], availability = null, requesting = null;

async function start() {
  notices.settle();
  get("cities").hidden = false;
  get("cities").setAttribute("aria-busy", "true");
  try {
    facts = await reader.facts();
    const listed = await reader.cities();
    const parts = { panels: get("panels"), ranges: get("ranges"), shown: get("shown"), resolutions: get("resolutions"), leads: get("frame-leads"), range: get("plot-range"), zone: get("plot-zone") };
    plots ??= new Plots(parts, facts, navigate, problem);
    skill ??= skillOf();
    get("documentation").hidden = !facts.documentation;
    await showCities(listed);
  } catch (error) {
    problem(error, start);
  }
}

async function showCities(listed) {
  cities = listed.sort((a, b) => a.name.localeCompare(b.name));
  get("cities").setAttribute("aria-busy", "false");
  get("forget").hidden = !reader.token.get();
  showLicences();
  list ??= new CityList(document.querySelector(".city-side"), chooseCity);
  list.show(cities);
  if (!cities.length) return;
  if (!map) {
    map = new CityMap(get("map"), chooseCity);
    // The coastlines come when they come: the circles are the map.
    reader.outlines().then((topology) => map.outline(topology), (error) => problem(error, () => location.reload()));
  }
  map.show(cities);
  await follow();
}

/** Shows what the address names. What it names and nothing here has is reported, and the address left to be mended. */
async function follow() {
  if (!cities.length) return;
  const named = viewOf(location.hash, knownParts());
  const { unknown } = named;
  view = { ...named.view, city: named.view.city ?? cities[0].city_id };
  if (!unknown.length && !location.hash) history.replaceState(null, "", fragmentOf(view));
  await render(unknown);
}

/** What an address may name. */
function knownParts() {
  const names = (columns) => columns.map(({ name }) => name);
  const leads = leadsOf(facts);
  const plotted = plotsOf(facts).map(({ name, columns }) => [name, [MARKS, ...names(columns)]]);
  const compared = leads.map((lead) => [skillKey(lead), names(facts.datasets[lead.dataset].columns)]);
  return {
    cities: cities.map(({ city_id: id }) => id),
    columns: Object.fromEntries([...plotted, ...compared]),
    leads: Object.fromEntries(leads.flatMap(({ key, frameKey, days }) => [[key, days], [frameKey, days]])),
  };
}

/** The panel of the forecasts' errors; null where no dataset has forecasts. */
function skillOf() {
  const [lead] = leadsOf(facts);
  const parts = { body: get("skill-body"), choice: get("skill-choice"), select: get("skill-column"), measures: get("skill-measures") };
  return lead ? new Skill(parts, lead, facts, navigate) : null;
}

/** Choosing the shown city again requests its months anew. */
function chooseCity(city) {
  availability = null;
  navigate({ city, month: null });
}

/** Goes to another view, which the browser's Back leaves again. */
async function navigate(chosen) {
  view = { ...view, ...chosen };
  if (fragmentOf(view) !== location.hash) history.pushState(null, "", fragmentOf(view));
  await render([]);
}

async function render(unknown) {
  const city = cities.find(({ city_id: id }) => id === view.city);
  notices.settle();
  map.choose(city.city_id);
  list.choose(city.city_id);
  requesting?.abort();
  requesting = new AbortController();
  const { signal } = requesting;
  try {
    if (availability?.city_id !== city.city_id) {
      const received = await reader.availability(city.city_id, signal);
      if (signal.aborted) return;
      availability = received;
      showCoverage(city);
    }
    const months = Object.values(shownMonths(availability.months, city.timezone, facts)).flat();
    const isOutside = view.month && !months.includes(view.month);
    notices.unknown(isOutside ? [...unknown, `month=${view.month}`] : unknown, city.name);
    if (isOutside) view.month = null;
    await Promise.all([plots.show(city, availability, view), skill?.show(city, availability, view)]);
  } catch (error) {
    availability = null;
    if (error.name !== "AbortError") problem(error, () => render(unknown));
  }
}

function showCoverage(city) {
  get("coverage-city").textContent = text("Stored months of {city}", { city: city.name });
  get("coverage").hidden = get("plot").hidden = false;
  get("skill").hidden = !skill;
  const parts = { grids: get("grids"), detail: get("month-detail"), legend: get("legend") };
  coverage ??= new Coverage(parts, facts, (month) => navigate({ month, show: view.show === AHEAD ? USUAL.show : view.show }));
  coverage.show(city, availability);
  showMadeUp(city);
}

/** Values of the sandbox look like measurements and are none. */
function showMadeUp(city) {
  const { stored, sandbox } = madeUp(availability.months);
  const all = "Made-up data: the values of {city} were generated by the sandbox. Nobody measured them.";
  const some = "Made-up data: {n} of the {all} stored months of {city} were generated by the sandbox. Nobody measured them.";
  get("made-up").hidden = !sandbox;
  get("made-up").textContent = text(sandbox === stored ? all : some, { city: city.name, n: number(sandbox), all: number(stored) });
}

/** Whose data it is, always in sight of it: each licence once, with the cities and datasets it covers. */
function showLicences() {
  const lines = new Map();
  for (const city of cities) {
    for (const { provider, licence, licence_url: url, modelled, fallback, dataset } of city.sources) {
      const unknown = text("{provider} (licence not known yet)", { provider });
      const line = lines.get(provider) ?? { licence: licence ?? unknown, url, modelled, gives: new Set() };
      line.gives.add(`${city.name}: ${text(dataset)}${fallback ? ` ${text("where the first source has none")}` : ""}`);
      lines.set(provider, line);
    }
  }
  get("licences").replaceChildren(...[...lines.values()].map(({ licence, url, modelled, gives }) => {
    const name = url ? el("a", { href: url, rel: "license noopener" }, licence) : licence;
    const given = ` ${[...gives].join(", ")}${modelled ? `; ${text("computed by a model")}` : ""}`;
    return el("li", {}, name, el("span", { className: "hint" }, given));
  }));
}

function problem(error, again) {
  if (!(error instanceof reader.Problem)) throw error;
  get("cities").hidden = !cities.length;
  notices.problem(error, again);
}

get("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  reader.token.set(get("token").value);
  get("token").value = "";
  start();
});
get("forget").addEventListener("click", () => {
  reader.token.forget();
  location.reload();
});
// A link to a fragment of the document would be taken for a view of it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  get("cities-title").focus();
});
addEventListener("popstate", follow);
translateDocument();
start();
