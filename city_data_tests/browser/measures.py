"""What is measured inside the page, as JavaScript that a test evaluates there. Does not: expect anything."""

from __future__ import annotations

# How many of a chart's pixels, in a stretch of its width (shares of 1), have the colour of its line.
PAINTED = """(canvas, [from, to]) => {
  const colour = getComputedStyle(canvas.closest(".panel")).getPropertyValue("--line").trim();
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const [left, width] = [canvas.width * from, canvas.width * (to - from)];
  const { data } = canvas.getContext("2d").getImageData(left, 0, width, canvas.height);
  let count = 0;
  for (let n = 0; n < data.length; n += 4) {
    count += Math.abs(data[n] - r) + Math.abs(data[n + 1] - g) + Math.abs(data[n + 2] - b) < 60;
  }
  return count;
}"""

# Text whose contrast with what lies behind it (WCAG 2, 1.4.3) is under 4.5, with that figure.
PALE = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = (element) => {
    const colour = numbers(getComputedStyle(element).backgroundColor);
    return colour[3] === 0 && element.parentElement ? ground(element.parentElement) : colour;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!element.checkVisibility() || !walker.currentNode.data.trim()) continue;
    if (element.closest("svg, noscript, .unseen")) continue;
    const [a, b] = [numbers(getComputedStyle(element).color), ground(element)].map(light).sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.push(`${element.className} ${walker.currentNode.data.trim()}: ${contrast.toFixed(2)}`);
  }
  return found;
}"""

# Whatever is cut: beyond the page's edges, wider than its box, hidden in a box that does not scroll (on paper: in any
# box), longer than the field that shows it, or a name on the map beyond the map's edge. Plots follow a change of width
# some frames later: what is still cut after the last one counts.
CUT = """async () => {
  let found = [];
  const measure = () => {
    const isPaper = matchMedia("print").matches;
    const edge = document.getElementById("map").getBoundingClientRect();
    const isBeyond = (box, { left, right }) => box.right > right + 1 || box.left < left - 1;
    const describe = (what, e) => {
      found.push(`${what}: ${e.tagName} ${e.id || e.className} ${(e.textContent || "").slice(0, 60)}`);
    };
    for (const name of document.querySelectorAll(".city text:not([display=none])")) {
      if (isBeyond(name.getBoundingClientRect(), edge)) describe("map", name);
    }
    const pen = document.createElement("canvas").getContext("2d");
    for (const e of document.querySelectorAll("body, body *:not(svg, svg *, script, noscript, option, optgroup)")) {
      const style = getComputedStyle(e);
      if (!e.checkVisibility() || e.closest(".unseen, .skip, .u-over, .u-under")) continue;
      if (isBeyond(e.getBoundingClientRect(), { left: 0, right: innerWidth })) describe("edge", e);
      if (style.display !== "inline" && e.scrollWidth > e.clientWidth + 1) describe("wide", e);
      const hides = isPaper ? style.overflowY !== "visible" : ["hidden", "clip"].includes(style.overflowY);
      if (hides && e.scrollHeight > e.clientHeight + 1) describe("tall", e);
      if (e.tagName === "SELECT") {
        pen.font = style.font;
        const room = e.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - 16;
        for (const { text } of e.options) if (pen.measureText(text).width > room) found.push(`select: ${text}`);
      }
    }
    if (document.documentElement.scrollWidth > innerWidth) found.push(`page: ${document.documentElement.scrollWidth}`);
  };
  for (let frame = 0; frame < 100; frame += 1) {
    await new Promise((done) => requestAnimationFrame(done));
    found = [];
    measure();
    if (!found.length) return found;
  }
  return found;
}"""
