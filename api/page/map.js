// The map. Belongs here: outlines, circles of true radius, labels, zoom. Does not: what a city holds.
// Mercator: it keeps shapes, so a reach stays a circle. World units are radians; `view` says how they lie on the screen.

import { text } from "./language.js";
import { number } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const EARTH_KM = 6371;
const STEPS = 72;
const MARGIN_PX = 48;
const NARROWEST = 0.004; // radians across: some 25 km
const FIT_LEAST = 0.07; // some 400 km: a city alone is still seen in its country
const REACH_LEAST_PX = 6; // a smaller circle would not be seen beside its city's dot
const REACH_OPENING_PX = 14; // of the chosen city, where the view of all cities would show smaller ones
const DOT_PX = 5;
const SCALES_KM = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];

const radians = (degrees) => (degrees * Math.PI) / 180;
const project = (longitude, latitude) => {
  const bounded = radians(Math.max(-84, Math.min(84, latitude)));
  return [radians(longitude), -Math.log(Math.tan(Math.PI / 4 + bounded / 2))];
};

/** Points at `km` around a centre, on the sphere. */
function reach({ latitude, longitude, radius_km: km }) {
  const lat = radians(latitude);
  const angle = km / EARTH_KM;
  return Array.from({ length: STEPS }, (_, step) => {
    const bearing = (2 * Math.PI * step) / STEPS;
    const there = Math.asin(Math.sin(lat) * Math.cos(angle) + Math.cos(lat) * Math.sin(angle) * Math.cos(bearing));
    const across = Math.atan2(
      Math.sin(bearing) * Math.sin(angle) * Math.cos(lat),
      Math.cos(angle) - Math.sin(lat) * Math.sin(there),
    );
    return project(longitude + (across * 180) / Math.PI, (there * 180) / Math.PI);
  });
}

const line = (points) => points.map(([x, y], n) => `${n ? "L" : "M"}${x.toFixed(5)},${y.toFixed(5)}`).join("");

function node(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export class CityMap {
  constructor(element, onChoose) {
    this.element = element;
    this.svg = element.querySelector("svg");
    this.onChoose = onChoose;
    this.cities = [];
    this.world = node("g", { class: "world" });
    this.marks = node("g");
    this.svg.append(this.world, this.marks);
    element.querySelector(".map-tools").addEventListener("click", (event) => this.#tool(event.target.dataset.zoom));
    this.#drag();
    new ResizeObserver(() => this.#draw()).observe(element);
  }

  /** The coastlines and borders; the map does without until they are here. */
  outline(topology) {
    const { countries } = topology.objects;
    const path = (rings) => rings.map((ring) => `${line(ring.map(([x, y]) => project(x, y)))}Z`).join("");
    const land = topojson.merge(topology, countries.geometries).coordinates.map(path).join("");
    const borders = topojson.mesh(topology, countries, (a, b) => a !== b).coordinates;
    const inner = borders.map((points) => line(points.map(([x, y]) => project(x, y)))).join("");
    this.world.prepend(node("path", { class: "land", d: land }), node("path", { class: "border", d: inner }));
  }

  show(cities) {
    this.cities = cities.map((city) => ({ city, at: project(city.longitude, city.latitude), ring: reach(city) }));
    this.world.querySelectorAll(".reach").forEach((old) => old.remove());
    this.marks.replaceChildren();
    for (const entry of this.cities) {
      entry.reach = node("path", { class: "reach", d: `${line(entry.ring)}Z` });
      entry.mark = node("g", { class: "city", tabindex: 0, role: "button", "data-city": entry.city.city_id });
      entry.mark.setAttribute("aria-label", `${entry.city.name}, ${text("reach {n} km", { n: number(entry.city.radius_km) })}`);
      entry.label = node("text", { x: 10, y: 5 });
      entry.label.textContent = entry.city.name;
      // The middle circle is for fingers: 32 pixels to hit, whatever is seen.
      entry.dot = node("circle", { class: "dot", r: DOT_PX });
      entry.mark.append(node("circle", { class: "target", r: 16 }), entry.dot, entry.label);
      const choose = () => this.onChoose(entry.city.city_id);
      entry.mark.addEventListener("click", choose);
      // A press of the mouse is not moved away from below the mouse.
      entry.mark.addEventListener("focus", () => entry.mark.matches(":focus-visible") && this.#bringIntoView(entry));
      entry.mark.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        choose();
      });
      this.world.append(entry.reach);
      this.marks.append(entry.mark);
    }
    this.#fit();
    this.isOpening = true;
  }

  choose(cityId) {
    for (const { city, mark, reach: circle } of this.cities) {
      const chosen = city.city_id === cityId;
      mark.setAttribute("aria-pressed", chosen);
      mark.classList.toggle("chosen", chosen);
      circle.classList.toggle("chosen", chosen);
    }
    this.chosen = cityId;
    this.#draw();
    this.#open();
    this.#bringIntoView(this.#chosenEntry());
  }

  /** The opening view shows circles, not dots alone. */
  #open() {
    const entry = this.#chosenEntry();
    if (!entry || !this.scale || !this.isOpening) return;
    this.isOpening = false;
    if (Math.min(...this.cities.map(({ city }) => this.#reachPx(city))) >= REACH_LEAST_PX) return;
    const closer = REACH_OPENING_PX / this.#reachPx(entry.city);
    this.view = { x: entry.at[0], y: entry.at[1], width: this.view.width / closer, height: this.view.height / closer };
    this.#draw();
  }

  /** A city that is chosen, or has the focus, is never beyond the map's edge. */
  #bringIntoView(entry) {
    if (!entry || !this.scale) return;
    const { clientWidth: width, clientHeight: height } = this.element;
    const [dx, dy] = [0, 1].map((axis) => Math.abs(entry.at[axis] - [this.view.x, this.view.y][axis]) * this.scale);
    if (dx <= width / 2 - MARGIN_PX / 2 && dy <= height / 2 - MARGIN_PX / 2) return;
    [this.view.x, this.view.y] = entry.at;
    this.#draw();
  }

  #chosenEntry = () => this.cities.find(({ city }) => city.city_id === this.chosen);

  #reachPx = ({ radius_km: km, latitude }) => (km / EARTH_KM / Math.cos(radians(latitude))) * this.scale;

  /** The view that shows every reach. */
  #fit() {
    const points = this.cities.flatMap((entry) => entry.ring);
    if (!points.length) return;
    const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const [width, height] = [Math.max(FIT_LEAST, right - left), Math.max(FIT_LEAST / 2, bottom - top)];
    this.view = { x: (left + right) / 2, y: (top + bottom) / 2, width, height };
    this.#draw();
  }

  #tool(how) {
    if (!how || !this.view) return;
    if (how === "all") return this.#fit();
    const factor = how === "in" ? 0.5 : 2;
    const entry = this.#chosenEntry();
    if (entry && how === "in") [this.view.x, this.view.y] = entry.at;
    this.view.width = Math.min(2 * Math.PI, Math.max(NARROWEST, this.view.width * factor));
    this.view.height = Math.min(2 * Math.PI, Math.max(NARROWEST / 2, this.view.height * factor));
    this.#draw();
  }

  #drag() {
    let from = null;
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.target.closest(".city") || event.pointerType === "touch" || !this.view) return;
      from = { x: event.clientX, y: event.clientY, view: { ...this.view } };
      this.svg.setPointerCapture(event.pointerId);
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!from) return;
      this.view.x = from.view.x - (event.clientX - from.x) / this.scale;
      this.view.y = from.view.y - (event.clientY - from.y) / this.scale;
      this.#draw();
    });
    for (const end of ["pointerup", "pointercancel"]) this.svg.addEventListener(end, () => (from = null));
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!this.view || !width) return;
    const room = [width - 2 * MARGIN_PX, height - 2 * MARGIN_PX];
    this.scale = Math.min(room[0] / this.view.width, room[1] / this.view.height);
    const [dx, dy] = [width / 2 - this.view.x * this.scale, height / 2 - this.view.y * this.scale];
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.world.setAttribute("transform", `translate(${dx} ${dy}) scale(${this.scale})`);
    for (const { at, mark, dot, city } of this.cities) {
      dot.setAttribute("r", Math.max(1.5, Math.min(DOT_PX, this.#reachPx(city) / 4)));
      mark.setAttribute("transform", `translate(${dx + at[0] * this.scale} ${dy + at[1] * this.scale})`);
    }
    this.#label();
    this.#measure();
  }

  /** A name stands where the map has room for all of it; it gives way to one that it would cover, the chosen city's never. */
  #label() {
    const taken = [];
    const edge = this.element.getBoundingClientRect();
    const isWithin = (box) => box.left > edge.left && box.right < edge.right && box.top > edge.top && box.bottom < edge.bottom;
    const first = [...this.cities].sort((a, b) => (b.city.city_id === this.chosen) - (a.city.city_id === this.chosen));
    for (const { label } of first) {
      label.removeAttribute("display");
      label.classList.remove("left");
      label.setAttribute("x", 10);
      label.classList.toggle("left", label.getBoundingClientRect().right > edge.right - 4);
      label.setAttribute("x", label.classList.contains("left") ? -10 : 10);
      const box = label.getBoundingClientRect();
      const covers = taken.some((o) => box.left < o.right && box.right > o.left && box.top < o.bottom && box.bottom > o.top);
      if (covers || !isWithin(box)) label.setAttribute("display", "none");
      else taken.push(box);
    }
  }

  /** A bar of a round number of kilometres, true at the middle of the map. */
  #measure() {
    const latitude = 2 * Math.atan(Math.exp(-this.view.y)) - Math.PI / 2;
    const pixelsPerKm = this.scale / (EARTH_KM * Math.cos(latitude));
    const km = SCALES_KM.findLast((length) => length * pixelsPerKm <= 110) ?? SCALES_KM[0];
    const bar = this.element.querySelector(".map-scale");
    bar.hidden = false;
    bar.querySelector("i").style.width = `${km * pixelsPerKm}px`;
    bar.querySelector("span").textContent = `${number(km)} km`;
  }
}
