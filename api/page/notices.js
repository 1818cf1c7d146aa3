// What the page has to say of itself. Belongs here: problems, unknown addresses, the form for a token. Does not: data.

import { text } from "./language.js";
import { el } from "./words.js";

const get = (id) => document.getElementById(id);

export class Notices {
  settle() {
    clearTimeout(this.timer);
    for (const notice of [get("notice"), get("unknown")]) {
      notice.hidden = true;
      notice.replaceChildren();
    }
    get("token-form").hidden = true;
  }

  /** Parts of the address that nothing here has, and the city that is shown. */
  unknown(parts, city) {
    if (!parts.length) return;
    const named = text("This address names something that this service does not have: {parts}.", { parts: parts.join(", ") });
    get("unknown").replaceChildren(el("h2", {}, text("Unknown address")), el("p", {}, named), el("p", {}, text("{city} is shown instead.", { city })));
    get("unknown").hidden = false;
  }

  /** What went wrong, what to do, and where waiting helps, another try by itself. */
  problem(error, again) {
    this.settle();
    if (error.kind === "token") {
      get("token-why").textContent = error.message;
      get("token-form").hidden = false;
      get("token").focus();
      return;
    }
    const headings = { away: "No data at the moment", unreachable: "The service cannot be reached" };
    const button = el("button", { type: "button" }, text("Ask again now"));
    button.addEventListener("click", () => again());
    const waiting = el("p", { className: "hint" }, text("The page tries again in {n} s.", { n: error.retryS }));
    const heading = el("h2", {}, text(headings[error.kind] ?? "The service refused"));
    get("notice").replaceChildren(heading, el("p", {}, error.message), ...(error.retryS ? [waiting] : []), button);
    get("notice").hidden = false;
    if (error.retryS) this.timer = setTimeout(again, error.retryS * 1000);
  }
}
