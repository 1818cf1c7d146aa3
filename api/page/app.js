// The page as a whole. Belongs here: the order of things, the chosen city, problems that concern all. Does not: the parts.

import { Coverage } from "./coverage.js";
import { CityMap, cityButton } from "./map.js";
import { Plots } from "./plot.js";
import * as reader from "./reader.js";
import { countryName, el } from "./words.js";

const FIND_FROM = 9;
const get = (id) => document.getElementById(id);
const notice = get("notice");
let facts, map, coverage, plots, cities = [], asking = null, timer = null;

async function start() {
  settle();
  get("cities").hidden = false;
  get("cities").setAttribute("aria-busy", "true");
  try {
    facts = await reader.facts();
    const listed = await reader.cities();
    plots ??= new Plots(
      { panels: get("panels"), ranges: get("ranges"), range: get("plot-range"), zone: get("plot-zone") },
      facts,
      problem,
    );
    showCities(listed);
  } catch (error) {
    problem(error, start);
  }
}

function showCities(listed) {
  cities = listed.sort((a, b) => a.name.localeCompare(b.name));
  get("cities").setAttribute("aria-busy", "false");
  get("forget").hidden = !reader.token.get();
  showLicences();
  if (!cities.length) {
    get("city-list").replaceChildren(el("li", { className: "placeholder" }, "No city is enabled: set enabled: true in cities.yaml."));
    return;
  }
  get("city-list").replaceChildren(...cities.map((city) => cityButton(city, choose, countryName)));
  document.querySelector(".find").hidden = cities.length < FIND_FROM;
  if (!map) {
    map = new CityMap(get("map"), choose);
    // The coastlines come when they come: the circles are the map.
    reader.outlines().then((topology) => map.outline(topology), (error) => problem(error, () => location.reload()));
  }
  map.show(cities);
  choose(cities.some(({ city_id: id }) => id === hashed()) ? hashed() : cities[0].city_id);
}

const hashed = () => decodeURIComponent(location.hash.slice(1));

async function choose(cityId) {
  const city = cities.find(({ city_id: id }) => id === cityId);
  if (!city) return;
  settle();
  history.replaceState(null, "", `#${encodeURIComponent(cityId)}`);
  map.choose(cityId);
  const list = get("city-list");
  for (const button of list.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", button.dataset.city === cityId);
    if (button.dataset.city === cityId) reveal(list, button);
  }
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  try {
    const availability = await reader.availability(cityId, signal);
    if (signal.aborted) return;
    for (const name of document.querySelectorAll(".city-name")) name.textContent = city.name;
    get("coverage").hidden = get("plot").hidden = false;
    coverage ??= new Coverage({ grids: get("grids"), detail: get("month-detail"), legend: get("legend") }, facts, (month) => plots.showMonth(month));
    coverage.show(city, availability);
    await plots.show(city, availability);
  } catch (error) {
    if (error.name !== "AbortError") problem(error, () => choose(cityId));
  }
}

/** Scrolls the list alone, never the page. */
function reveal(list, item) {
  const [least, most] = [item.offsetTop + item.offsetHeight + 3 - list.clientHeight, item.offsetTop - 3];
  list.scrollTop = Math.max(least, Math.min(most, list.scrollTop));
}

/** Whose data it is, always in sight of it: each licence once, with the cities and datasets it covers. */
function showLicences() {
  const lines = new Map();
  for (const city of cities) {
    for (const { provider, licence, licence_url: url, modelled, fallback, dataset } of city.sources) {
      const line = lines.get(provider) ?? { licence: licence ?? `${provider} (licence not known yet)`, url, modelled, gives: new Set() };
      line.gives.add(`${city.name} ${dataset}${fallback ? " where the first source has none" : ""}`);
      lines.set(provider, line);
    }
  }
  get("licences").replaceChildren(...[...lines.values()].map(({ licence, url, modelled, gives }) => {
    const name = url ? el("a", { href: url, rel: "license noopener" }, licence) : licence;
    return el("li", {}, name, el("span", { className: "hint" }, ` ${[...gives].join(", ")}${modelled ? "; computed by a model" : ""}`));
  }));
}

/** What went wrong, what to do, and where waiting helps, another try by itself. */
function problem(error, again) {
  if (!(error instanceof reader.Problem)) throw error;
  settle();
  get("cities").hidden = !cities.length;
  if (error.kind === "token") {
    get("token-why").textContent = error.message;
    get("token-form").hidden = false;
    get("token").focus();
    return;
  }
  const heading = { away: "No data at the moment", unreachable: "The service cannot be reached" }[error.kind] ?? "The service refused";
  const button = el("button", { type: "button" }, "Ask again now");
  button.addEventListener("click", () => again());
  const waiting = error.retryS ? el("p", { className: "hint" }, `The page tries again in ${error.retryS} s.`) : null;
  notice.className = "notice problem";
  notice.replaceChildren(el("h2", {}, heading), el("p", {}, error.message), ...(waiting ? [waiting] : []), button);
  notice.hidden = false;
  if (error.retryS) timer = setTimeout(again, error.retryS * 1000);
}

function settle() {
  clearTimeout(timer);
  notice.hidden = true;
  notice.replaceChildren();
  get("token-form").hidden = true;
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
get("find").addEventListener("input", ({ target }) => {
  for (const item of get("city-list").children) item.hidden = !item.textContent.toLowerCase().includes(target.value.trim().toLowerCase());
});
addEventListener("hashchange", () => choose(hashed()));
start();
