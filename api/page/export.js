// What a reader takes away from a plot. Belongs here: files of the range, programs for the plotted numbers. Does not: the plot.

import { text } from "./language.js";
import * as reader from "./reader.js";
import { addressOf, SNIPPETS } from "./snippets.js";
import { el } from "./words.js";

// A stream of Arrow's has an ending of its own; the columns of a file are all of its dataset's.
const FILES = { csv: ["CSV", "csv"], parquet: ["Parquet", "parquet"], arrow: ["Arrow", "arrows"] };

export class Export {
  constructor(dataset, onProblem) {
    this.onProblem = onProblem;
    this.language = "curl";
    this.links = Object.entries(FILES).map(([format, [name]]) => {
      const link = el("a", { className: "download", "data-format": format }, name);
      link.addEventListener("click", (event) => this.#download(event, link));
      return link;
    });
    this.tabs = Object.keys(SNIPPETS).map((language) => {
      const tab = el("button", { type: "button", "data-language": language }, language);
      tab.addEventListener("click", () => this.#choose(language));
      return tab;
    });
    this.code = el("code", { tabIndex: 0 });
    this.copy = el("button", { type: "button", className: "copy" }, text("Copy"));
    this.copy.addEventListener("click", () => this.#copy());
    this.copied = el("span", { className: "hint", role: "status" });
    const group = el("div", { className: "languages", role: "group", "aria-label": text("Language of the program") }, ...this.tabs);
    const summary = el("summary", {}, text("The plotted numbers in a program"));
    const programs = el("details", { className: "request" }, summary, group, el("pre", {}, this.code), this.copy, this.copied);
    const files = el("p", { className: "files" }, el("span", {}, text("Download the range:")), ...this.links);
    this.element = el("div", { className: "export", hidden: true, "data-dataset": dataset }, files, programs);
  }

  /** `question` is that of snippets.js. */
  show(question) {
    this.question = question;
    this.element.hidden = false;
    for (const link of this.links) {
      const format = link.dataset.format;
      link.href = addressOf(question, format);
      link.download = `${question.name}.${FILES[format][1]}`;
    }
    this.#choose(this.language);
  }

  hide() {
    this.element.hidden = true;
  }

  #choose(language) {
    this.language = language;
    for (const tab of this.tabs) tab.setAttribute("aria-pressed", tab.dataset.language === language);
    this.code.textContent = SNIPPETS[language](this.question);
    this.copied.textContent = "";
  }

  /** Fetched by the page, since a link cannot carry a token, and so that a refusal is shown and not saved. */
  async #download(event, link) {
    event.preventDefault();
    try {
      const file = URL.createObjectURL(await reader.bytes(link.href));
      el("a", { href: file, download: link.download }).click();
      setTimeout(() => URL.revokeObjectURL(file), 60_000);
    } catch (error) {
      if (!(error instanceof reader.Problem)) throw error;
      this.onProblem(error, () => link.click());
    }
  }

  /** Where the browser gives no clipboard (plain http), the program is selected for the reader's own keys. */
  async #copy() {
    getSelection().selectAllChildren(this.code);
    if (!navigator.clipboard) return;
    try {
      await navigator.clipboard.writeText(this.code.textContent);
      this.copied.textContent = text("Copied.");
    } catch (error) {
      if (error.name !== "NotAllowedError") throw error;
      this.copied.textContent = text("Selected: copy it with your keyboard.");
    }
  }
}
