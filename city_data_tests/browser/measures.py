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

# Names that the edge of the map cuts off.
CUT = """() => {
  const edge = document.getElementById("map").getBoundingClientRect();
  const names = [...document.querySelectorAll(".city text:not([display=none])")];
  return names.filter((name) => name.getBoundingClientRect().right > edge.right).map((name) => name.textContent);
}"""
