// What all charts share: the look of axes, one cursor, one way to zoom, and the line of now.

const SYNC_KEY = "foresail";
const FINE_PRINT = 11;

export const cssColor = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const fontFamily = () => getComputedStyle(document.body).fontFamily;

/** A short clock without date, as wide as the axis allows; dates only when days are shown. */
const timeAxisValues = (chart, splits) => {
  const span = chart.scales.x.max - chart.scales.x.min;
  const options =
    span > 2 * 86400
      ? { day: "numeric", month: "short" }
      : span > 1200
        ? { hour: "2-digit", minute: "2-digit" }
        : { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const format = new Intl.DateTimeFormat("en-GB", options);
  return splits.map((t) => format.format(t * 1000));
};

/** What the axes of all charts look like. */
export const axisLook = () => ({
  stroke: cssColor("--muted"),
  font: `${FINE_PRINT}px ${fontFamily()}`,
  grid: { stroke: cssColor("--grid"), width: 1 },
  ticks: { show: false },
});

/** Time below, and a second axis with the options given. */
export function axes(vertical) {
  const shared = axisLook();
  return [
    { ...shared, size: 26, gap: 6, space: 70, values: timeAxisValues },
    { ...shared, size: 62, gap: 6, ...vertical },
  ];
}

/** A cursor that all charts share. Dragging chooses a span, a double click goes back to where it ends now. */
export function cursor(zoom) {
  const told = (type) => type === "mousemove" || type === "mouseleave";
  return {
    y: false,
    drag: { setScale: false, x: true, y: false, dist: 6 },
    bind: { dblclick: () => () => zoom.live() },
    sync: { key: SYNC_KEY, setSeries: false, filters: { pub: told } },
    points: { size: 6 },
  };
}

/** Takes the span that was dragged over. */
export function takeSelection(chart, zoom) {
  const { left, width } = chart.select;
  if (width < 6) return;
  const [from, to] = [chart.posToVal(left, "x"), chart.posToVal(left + width, "x")];
  chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  zoom.show(from, to);
}

/** Runs `draw` with everything outside of the plot cut off. */
export function inside({ ctx, bbox }, draw) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  draw();
  ctx.restore();
}

/** A line between two places of the canvas; `dash` in pixels of the page. */
export function dashed(ctx, x0, y0, x1, y1, color, dash) {
  ctx.beginPath();
  ctx.strokeStyle = color;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

/** Draws the line of now, and `marks` across: [{ value, color }]. */
export function annotate(chart, now, marks) {
  const { ctx, bbox } = chart;
  const scale = devicePixelRatio;
  inside(chart, () => {
    ctx.textAlign = "left";
    ctx.font = `${FINE_PRINT * scale}px ${fontFamily()}`;
    const nowX = Math.round(chart.valToPos(now, "x", true));
    const future = bbox.left + bbox.width - nowX;
    if (future > 4 && nowX >= bbox.left) {
      const color = cssColor("--muted");
      dashed(ctx, nowX, bbox.top, nowX, bbox.top + bbox.height, color, [2, 3]);
      if (future > 34 * scale) {
        ctx.fillStyle = color;
        ctx.textBaseline = "top";
        ctx.fillText("now", nowX + 4 * scale, bbox.top + 2 * scale);
      }
    }
    for (const mark of marks) {
      const y = Math.round(chart.valToPos(mark.value, "y", true));
      dashed(ctx, bbox.left, y, bbox.left + bbox.width, y, cssColor(mark.color), [6, 4]);
    }
  });
}
