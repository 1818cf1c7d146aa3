// The language of the page. Belongs here: the one that the browser prefers, and its texts. Does not: dates and numbers (words.js).

const OFFERED = ["en", "es", "fr", "pt", "ca"];
const base = (tag) => tag.split("-")[0].toLowerCase();
const preferred = navigator.languages.find((tag) => OFFERED.includes(base(tag))) ?? "en";

export const LANGUAGE = base(preferred);
/** The locale of dates and numbers: the browser's, with its region. English without a region is British. */
export const LOCALE = preferred === "en" ? "en-GB" : preferred;

const TABLE = LANGUAGE === "en" ? {} : (await import(`./languages/${LANGUAGE}.js`)).default;

/** The English text in the page's language, each `{name}` replaced by that value. A text without translation is English. */
export function text(english, values = {}) {
  return (TABLE[english] ?? english).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Translates what the document itself says: its texts, its title and the labels of its elements. */
export function translateDocument() {
  document.documentElement.lang = LANGUAGE;
  document.title = text(document.title);
  for (const labelled of document.querySelectorAll("[aria-label]")) labelled.ariaLabel = text(labelled.ariaLabel);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data } = walker.currentNode;
    const english = data.trim().replace(/\s+/g, " ");
    if (english) walker.currentNode.data = data.replace(/\S[^]*\S|\S/, () => text(english));
  }
}
