// Marks of days: flags and names, a lane each. Belongs here: their stretches, and drawing them. Does not: lines (chart.js).

import { markOf } from "./datasets.js";

const [LANE_PX, BAR_PX, LABEL_PX, AXIS_PX] = [38, 15, 18, 68];
const [GAP_PX, FONT_PX] = [4, 12];

export const heightOf = (lanes) => lanes.length * LANE_PX + AXIS_PX;

/** Stretches of equal marks of a column, as {from, to, mark}; where there is nothing to mark, none. */
export function stretches({ times, ends, records }, column) {
  const found = [];
  records.forEach((record, n) => {
    const mark = markOf(record, column);
    const last = found.at(-1);
    if (last && last.mark === mark && last.to === times[n]) last.to = ends[n];
    else found.push({ from: times[n], to: ends[n], mark });
  });
  return found.filter(({ mark }) => mark !== false);
}

/** Draws the lanes on a plot. `lanes`: {title, found (stretches)}; `colours`: line, ink, shade, paper; `family` of the font. */
export function drawLanes(plot, lanes, { line, ink, shade, paper, family }) {
  const { ctx, bbox } = plot;
  const px = uPlot.pxRatio;
  const place = (time) => Math.max(bbox.left, Math.min(bbox.left + bbox.width, plot.valToPos(time, "x", true)));
  ctx.save();
  ctx.font = `${FONT_PX * px}px ${family}`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  lanes.forEach(({ title, found }, n) => {
    const top = bbox.top + n * LANE_PX * px;
    const [barTop, middle] = [top + LABEL_PX * px, top + (LABEL_PX + BAR_PX / 2) * px];
    ctx.fillStyle = ink;
    ctx.fillText(title, GAP_PX * px, top + (LABEL_PX / 2) * px);
    const boxes = found.map(({ from, to, mark }) => ({ mark, left: place(from), right: place(to) }));
    boxes.forEach(({ mark, left, right }, at) => {
      if (right <= left) return;
      ctx.fillStyle = mark === null ? shade : line;
      ctx.fillRect(left, barTop, Math.max(2 * px, right - left - (mark === null ? 0 : px)), BAR_PX * px);
      if (typeof mark !== "string") return;
      const [wide, end] = [ctx.measureText(mark).width + 2 * GAP_PX * px, boxes[at + 1]?.left ?? bbox.left + bbox.width];
      const isInside = wide <= right - left;
      if (!isInside && wide > end - right) return;
      ctx.fillStyle = isInside ? paper : ink;
      ctx.fillText(mark, (isInside ? left : right) + GAP_PX * px, middle);
    });
  });
  ctx.restore();
}
