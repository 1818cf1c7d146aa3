// Where a month's numbers are from. Belongs here: its provenance in a few lines, when somebody opens it. Does not: the plot.

import { text } from "./language.js";
import * as reader from "./reader.js";
import { el, moment, monthName, number, percent } from "./words.js";

const MOST_PLACES = 12;
const HASH_LETTERS = 12;

export class Origin {
  constructor(dataset) {
    this.dataset = dataset;
    this.summary = el("summary", {});
    this.body = el("div", {});
    this.element = el("details", { className: "request origin", hidden: true }, this.summary, this.body);
    this.element.addEventListener("toggle", () => this.#open());
  }

  /** `month` is the newest of the plot that is stored. */
  show(city, month) {
    const isSame = this.city === city && this.month === month;
    Object.assign(this, { city, month });
    this.element.hidden = !month;
    if (!month || isSame) return;
    this.summary.textContent = text("Where {month} is from", { month: monthName(month) });
    this.body.replaceChildren();
    this.#open();
  }

  hide() {
    this.element.hidden = true;
  }

  async #open() {
    if (!this.element.open || this.body.childNodes.length) return;
    const { city, month } = this;
    this.body.replaceChildren(el("p", { className: "loading", role: "status" }, text("Loading …")));
    try {
      const { [this.dataset]: found } = await reader.provenance(city.city_id, month);
      if (city !== this.city || month !== this.month) return;
      this.body.replaceChildren(el("dl", {}, ...facts(found, city).map(([name, ...value]) => el("div", {}, el("dt", {}, text(name)), el("dd", {}, ...value)))));
    } catch (error) {
      if (!(error instanceof reader.Problem)) throw error;
      this.body.replaceChildren(el("p", {}, error.message));
    }
  }
}

/** A month's provenance as [name, value or elements]. */
function facts(found, { timezone }) {
  const { source, kind, licence, licence_url: url, places, details, received, used, rejected, version, loaded_at: loaded, files } = found;
  const named = Object.entries(details).filter(([, value]) => typeof value === "string");
  const out = Object.entries(rejected).map(([reason, count]) => `${number(count)} ${reason}`);
  const given = text("{n} used, {all} received", { n: number(used), all: number(received) });
  return [
    ["source", kind === "modelled" ? `${source} (${text("computed by a model")})` : source],
    ...named,
    ...(places.length ? [["places", placesText(places)]] : []),
    ["rows of the source", `${given}${out.length ? `; ${text("not used")}: ${out.join(", ")}` : ""}`],
    ["version", `${version}, ${moment(loaded, timezone)}`],
    ...(files.length ? [["files", files.map(({ name, sha256 }) => `${name} (SHA-256 ${sha256.slice(0, HASH_LETTERS)}…)`).join(", ")]] : []),
    ...(licence ? [["licence", url ? el("a", { href: url, rel: "license noopener" }, licence) : licence]] : []),
  ];
}

function placesText(places) {
  const named = places.slice(0, MOST_PLACES).map(({ id, name, latitude, longitude, distance_km: distance, weight }) => {
    const place = name ?? (latitude == null ? id : `${number(latitude)}, ${number(longitude)}`);
    const away = distance == null ? [] : [text("{n} km from the centre", { n: number(distance, 1) })];
    const share = weight == null ? [] : [`${percent(weight)} %`];
    const more = [...away, ...share];
    return more.length ? `${place} (${more.join(", ")})` : place;
  });
  const rest = places.length - named.length;
  return [...named, ...(rest > 0 ? [text("and {n} more", { n: number(rest) })] : [])].join("; ");
}
