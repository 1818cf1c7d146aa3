// A plot's axes, lines, shades and cursor, as uPlot takes them. Belongs here: how it looks. Does not: data (series.js), or words.

import { isAmount, isStepped } from "./datasets.js";
import { drawLanes, heightOf } from "./lanes.js";
import { alone } from "./series.js";
import { MONTH_LETTERS, MONTHS, number } from "./words.js";

const HEIGHT_PX = 230;
const SHADE_FROM_PX = 2;
const SYNC = "city_data";
const DAY_S = 24 * 3600;
// Increment, its format, and what is added where a year or a day turns: [year, month, day, hour, minute, second, mode].
const LABELS = [
  [365 * DAY_S, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * DAY_S, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [DAY_S, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [3600, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];

const MONTH_NAMES = { MMMM: MONTHS, MMM: MONTH_LETTERS, WWWW: [], WWW: [] };
const AXIS_LEAST_PX = 62; // so that plots below each other begin at the same place
const LABEL_ROOM_PX = 18; // ticks and gap beside the labels

export const heightFor = (lanes) => (lanes ? heightOf(lanes) : HEIGHT_PX);

/**
 * uPlot's options. `zone` of the clocks, `range` {from, to}, `gaps` to shade; for lines `column` and its `words`, and whether
 * there is a second one (`hasOther`); for marks `lanes`. `onCursor` takes the index under the cursor.
 */
export function chartOptions(element, { width, zone, range, column, words, hasOther, lanes, gaps, onCursor }) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  const font = `12px ${style.fontFamily}`;
  const axis = { stroke: colour("--muted"), font, grid: { stroke: colour("--rule"), width: 1 }, ticks: { stroke: colour("--rule"), width: 1 } };
  const colours = { line: colour("--line"), ink: colour("--ink"), shade: colour("--gap"), paper: colour("--paper"), family: style.fontFamily };
  const drawn = column && lineStyle(column, hasOther);
  return {
    width,
    height: heightFor(lanes),
    legend: { show: false },
    fmtDate: (template) => uPlot.fmtDate(template, MONTH_NAMES),
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    scales: { x: { time: true, min: range.from, max: range.to, range: (_, min, max) => [min, max] }, y: yScale(lanes, words) },
    cursor: { sync: { key: SYNC, scales: ["x", null] }, drag: { x: true, y: false }, points: { size: 8, show: !lanes }, y: !lanes },
    axes: [{ ...axis, space: 64, values: LABELS }, lanes ? { size: AXIS_LEAST_PX, values: () => [], grid: { show: false }, ticks: { show: false } } : { ...axis, ...yAxis(words, font) }],
    series: [
      {},
      lanes ? { paths: () => null, points: { show: false } } : { ...drawn, ...inked(colour("--line"), drawn.isBar) },
      ...(hasOther ? [{ ...drawn, ...inked(colour("--other")) }] : []),
    ],
    hooks: {
      drawClear: [(plot) => shadeGaps(plot, gaps, colours.shade)],
      draw: [(plot) => (lanes ? drawLanes(plot, lanes, colours) : null)],
      setCursor: [(plot) => onCursor(plot.cursor.idx)],
      ready: [(plot) => plot.setScale("x", { min: range.from, max: range.to })],
    },
  };
}

function yScale(lanes, words) {
  if (lanes) return { range: [0, 1] };
  return words ? { range: [-0.4, words.length - 0.6] } : {};
}

function yAxis(words, font) {
  const size = (_, labels) => Math.max(AXIS_LEAST_PX, LABEL_ROOM_PX + widest(labels ?? [], font));
  if (!words) return { size, values: (_, splits) => splits.map((n) => number(n)) };
  return { size, values: (_, splits) => splits.map((n) => words[n] ?? ""), splits: () => words.map((_, n) => n) };
}

/** Amounts are bars as wide as their rows; two lines of them would hide each other as bars. */
function lineStyle(column, hasOther) {
  if (isAmount(column) && !hasOther) return { isBar: true, paths: uPlot.paths.bars({ align: 1, size: [0.9, Infinity, 1] }) };
  return { width: 1.25, spanGaps: false, ...(isStepped(column) ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}) };
}

function inked(colour, isBar = false) {
  if (isBar) return { stroke: colour, fill: colour, points: { show: false } };
  return { stroke: colour, points: { size: 4, fill: colour, filter: (u, index, shown) => (shown ? null : alone(u.data[index], ...u.series[index].idxs)) } };
}

function shadeGaps(plot, gaps, colour) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.fillStyle = colour;
  for (const [from, to] of gaps) {
    const left = Math.max(bbox.left, plot.valToPos(from, "x", true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(to, "x", true));
    if (right - left >= SHADE_FROM_PX) ctx.fillRect(left, bbox.top, right - left, bbox.height);
  }
  ctx.restore();
}

/** The width of the longest label, in pixels. */
function widest(labels, font) {
  const context = document.createElement("canvas").getContext("2d");
  context.font = font;
  return Math.ceil(Math.max(0, ...labels.map((label) => context.measureText(label).width)));
}
