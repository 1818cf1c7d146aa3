// The list of cities beside the map, which says in words what the map shows. Belongs here: finding and choosing one.
// Does not: the map (map.js).

import { text } from "./language.js";
import { countryName, el, number } from "./words.js";

const FIND_FROM = 9;
const PROVIDER = "_provider"; // after a dataset's name, of what a city says of itself

export class CityList {
  constructor(side, onChoose) {
    this.list = side.querySelector("ul");
    this.find = side.querySelector(".find");
    this.whole = side.querySelector("button");
    this.onChoose = onChoose;
    this.find.querySelector("input").addEventListener("input", ({ target }) => this.#narrow(target.value.trim().toLowerCase()));
    this.whole.addEventListener("click", () => this.#expand());
  }

  show(cities) {
    const none = text("No city is enabled: set enabled: true in cities.yaml.");
    const empty = el("li", { className: "placeholder" }, none);
    this.list.replaceChildren(...(cities.length ? cities.map((city) => this.#item(city)) : [empty]));
    const isLong = cities.length >= FIND_FROM;
    this.find.hidden = this.whole.hidden = !isLong;
    this.list.parentElement.classList.toggle("long", isLong);
    this.whole.textContent = text("Show all {n} cities", { n: number(cities.length) });
  }

  choose(cityId) {
    for (const button of this.list.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", button.dataset.city === cityId);
      if (button.dataset.city === cityId) this.#reveal(button);
    }
  }

  #item(city) {
    const given = ([name, provider]) => {
      const dataset = name.slice(0, -PROVIDER.length);
      return el("span", { className: provider ? "given" : "given none" }, `${text(dataset)}: ${provider ?? text("no source")}`);
    };
    const datasets = Object.entries(city).filter(([name]) => name.endsWith(PROVIDER));
    const reach = text("reach {n} km", { n: number(city.radius_km) });
    const where = el("span", { className: "where" }, `${countryName(city.country)} · ${reach}`);
    const properties = { type: "button", "data-city": city.city_id, "aria-pressed": "false" };
    const button = el("button", properties, el("strong", {}, city.name), where, ...datasets.map(given));
    button.addEventListener("click", () => this.onChoose(city.city_id));
    return el("li", {}, button);
  }

  #narrow(wanted) {
    for (const item of this.list.children) item.hidden = !item.textContent.toLowerCase().includes(wanted);
  }

  /** The list takes the room that it needs, for fingers that would have to guess that it scrolls. */
  #expand() {
    this.list.parentElement.classList.remove("long");
    this.whole.hidden = true;
    this.list.querySelector("button").focus();
  }

  /** Scrolls the list alone, never the page. */
  #reveal(item) {
    const [least, most] = [item.offsetTop + item.offsetHeight + 3 - this.list.clientHeight, item.offsetTop - 3];
    this.list.scrollTop = Math.max(least, Math.min(most, this.list.scrollTop));
  }
}
