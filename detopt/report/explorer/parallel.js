// All axes of all designs beside each other: drag along one to keep what lies there.

const HIGH = 230, TOP = 46, WIDE = 96, LEFT = 60;
let dragged = null; // the axis that is being dragged along, and from where

const within = (axis, value) => {
  const f = axis.log ? Math.log : (v) => v;
  return axis.high > axis.low ? (f(value) - f(axis.low)) / (f(axis.high) - f(axis.low)) : 0.5;
};
const height = (axis, value) => TOP + HIGH * (1 - within(axis, value));
const valueAt = (axis, y) => {
  const share = Math.min(Math.max(1 - (y - TOP) / HIGH, 0), 1);
  return axis.log ? axis.low * (axis.high / axis.low) ** share : axis.low + share * (axis.high - axis.low);
};

function polyline(design) {
  let path = "", open = false;
  axes.forEach((axis, i) => {
    const value = axis.of(design);
    if (value !== null) path += `${open ? "L" : "M"}${LEFT + WIDE * i},${height(axis, value).toFixed(1)}`;
    open = value !== null;
  });
  return path;
}

function axisOf(axis, i) {
  const x = LEFT + WIDE * i;
  const end = (value) => (axis.options ? axis.options[Math.round(value)] : short(value));
  const range = state.limits[axis.name];
  const brush = range ? [height(axis, Math.min(range[1], axis.high)), height(axis, Math.max(range[0], axis.low))] : null;
  const name = axis.name.length > 15 ? axis.name.slice(0, 14) + "…" : axis.name;
  const group = draw("g", { class: "axis", "data-axis": axis.name },
    draw("title", {}, axis.title),
    draw("line", { x1: x, x2: x, y1: TOP, y2: TOP + HIGH }),
    draw("text", { x, y: TOP - 26, class: "name" }, `${name} ${axis.better ?? ""}`),
    draw("text", { x, y: TOP - 9 }, end(axis.high) + (axis.unit ? ` ${axis.unit}` : "")),
    draw("text", { x, y: TOP + HIGH + 16 }, end(axis.low)),
    ...(axis.options ? axis.options.slice(1, -1).map((text, n) =>
      draw("text", { x: x + 6, y: height(axis, n + 1) + 4, class: "option" }, text)) : []),
    brush && draw("rect", { x: x - 7, width: 14, y: brush[0] - 1, height: brush[1] - brush[0] + 2, class: "brush" }),
    draw("rect", { x: x - 16, width: 32, y: TOP, height: HIGH, class: "grip" }));
  group.lastChild.addEventListener("pointerdown", (event) => beginDrag(event, axis));
  return group;
}

function showParallel(changes) {
  const { width: _, ...rest } = changes;
  if (!Object.keys(rest).length) return;
  const inside = kept();
  const width = 2 * LEFT + WIDE * (axes.length - 1);
  const lines = known.designs.map((design, i) => draw("path", { d: polyline(design), class: inside.has(i) ? "line" : "line out" }));
  const picture = draw("svg", { viewBox: `0 0 ${width} ${TOP + HIGH + 26}`, width, height: TOP + HIGH + 26, role: "img",
    "aria-label": "Parallel coordinates: objectives and design variables of all designs" },
    draw("g", {}, ...lines),
    draw("path", { d: polyline(compared()), class: "line compared" }),
    draw("path", { d: polyline(selected()), class: "line selected" }),
    ...axes.map(axisOf));
  picture.addEventListener("click", clickLine);
  at("parallel").replaceChildren(picture);
  at("kept").textContent = inside.size === known.designs.length ? `${inside.size} designs` : `${inside.size} of ${known.designs.length} designs kept`;
  at("clear").hidden = inside.size === known.designs.length && state.box === null && !Object.keys(state.limits).length;
}

const inPicture = (event) => {
  const box = at("parallel").firstChild.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

function beginDrag(event, axis) {
  dragged = { axis, from: inPicture(event)[1], moved: false };
  event.preventDefault();
}

addEventListener("pointermove", (event) => {
  if (!dragged) return;
  const y = inPicture(event)[1];
  dragged.moved ||= Math.abs(y - dragged.from) > 3;
  if (dragged.moved) keep(dragged.axis, valueAt(dragged.axis, Math.max(y, dragged.from)), valueAt(dragged.axis, Math.min(y, dragged.from)));
});

addEventListener("pointerup", () => {
  if (dragged && !dragged.moved) letGo(dragged.axis);
  setTimeout(() => (dragged = null)); // the click that follows is the end of the drag
});

function keep(axis, low, high) {
  look({ limits: { ...state.limits, [axis.name]: [Number(low.toPrecision(6)), Number(high.toPrecision(6))] } });
}

function letGo(axis) {
  const { [axis.name]: _, ...limits } = state.limits;
  look({ limits });
}

// The design whose line passes closest to a click.
function clickLine(event) {
  if (dragged) return;
  const [x, y] = inPicture(event);
  const i = Math.min(Math.max((x - LEFT) / WIDE, 0), axes.length - 1.001);
  const [left, right] = [axes[Math.floor(i)], axes[Math.floor(i) + 1]];
  let best = [20, null];
  for (const n of kept()) {
    const ends = [left, right].map((axis) => axis.of(known.designs[n]));
    if (ends.includes(null)) continue;
    const off = Math.abs(height(left, ends[0]) * (1 - (i % 1)) + height(right, ends[1]) * (i % 1) - y);
    if (off < best[0]) best = [off, n];
  }
  if (best[1] !== null) look({ design: best[1] });
}

// The same limits for a keyboard and for exact numbers.
function showLimits(changes) {
  if (!("limits" in changes) || at("limits").contains(document.activeElement)) return;
  tabulate(at("limits"), ["", "at least", "at most"], axes.filter((axis) => !axis.options).map((axis) => {
    const [low, high] = state.limits[axis.name] ?? ["", ""];
    const field = (value, label) => make("input", { type: "number", step: "any", value, "aria-label": `${axis.name}, ${label}`,
      placeholder: short(label === "at least" ? axis.low : axis.high) });
    const fields = [field(low, "at least"), field(high, "at most")];
    for (const one of fields) one.onchange = () => {
      const [a, b] = fields.map((f) => (f.value === "" ? null : Number(f.value)));
      if (a === null && b === null) letGo(axis);
      else keep(axis, a ?? axis.low, b ?? axis.high);
    };
    return [withUnit(axis), ...fields];
  }));
}

views.push(showParallel, showLimits);
