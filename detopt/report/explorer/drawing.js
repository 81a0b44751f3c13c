// The detector from the side, to scale where that can be seen; the compared one below or beside it.

const GRADIENT = [[59, 139, 223], [162, 99, 201], [224, 80, 58]]; // from thin to thick, on light and on dark
const upright = known.frame === "portal"; // z goes up
const round = known.frame === "barrel";
const rowsOf = (design) => design.layout.map((i) => known.rows[i]);
const pair = (row, key, otherwise) => row[key] ?? [otherwise, otherwise];
const eventful = (across) => known.rows.some((row) => (row.kind === "magnet" ? row.along === "yx"[across]
  : pair(row, "centre", 0)[across] !== 0 || pair(row, "tilt", 0)[1 - across] !== 0));
const across = !eventful(0) && eventful(1) ? 1 : 0;
const measures = (row) => row.resolution !== null && row.resolution !== undefined;
const thickest = Math.max(0, ...known.rows.filter(measures).map((row) => row.x_over_X0 ?? 0));
const widest = Math.max(0, ...known.rows.filter((row) => row.kind === "plane").map((row) => pair(row, "span", 2 * row.high)[across] / 2));

// Two corners of a part, along the beam and across it, in mm; a magnet has no end across.
function corners(row) {
  const { kind, position, low, high } = row;
  if (kind === "cylinder") return [[low, position], [high, position]];
  if (kind === "disk") return [[position, low], [position, high]];
  if (kind === "magnet") return [[low, null], [high, null]];
  const middle = pair(row, "centre", 0)[across];
  const half = kind === "plane" ? pair(row, "span", 2 * high)[across] / 2
    : (row.span ?? [0, 0])[across] / 2 || (kind === "slab" && position > 0 ? position : widest || high - low);
  if (kind !== "plane") return [[low, middle - half], [high, middle + half]];
  const tilt = pair(row, "tilt", 0)[1 - across] * (across ? 1 : -1);
  const [along, aside] = [half * Math.sin(tilt), half * Math.cos(tilt)];
  return [[position - along, middle - aside], [position + along, middle + aside]];
}

// What a view shows, of all designs, so that nothing jumps on the way along the front.
function extent(rows) {
  const ends = rows.flatMap(corners);
  const along = ends.map(([z]) => z), aside = ends.map(([, x]) => x).filter((x) => x !== null);
  const margin = (low, high, size) => [low - 0.05 * size, high + 0.05 * size];
  const [z, x] = [[Math.min(...along), Math.max(...along)], [round ? 0 : Math.min(...aside), Math.max(...aside)]];
  const size = Math.max(z[1] - z[0], x[1] - x[0]);
  const [zs, xs] = [margin(...z, Math.max(z[1] - z[0], 0.1 * size)), margin(...x, Math.max(x[1] - x[0], 0.1 * size))];
  return { z: zs, x: round ? [0, xs[1]] : xs };
}

const shown = known.rows.filter((row) => measures(row) || row.kind !== "cylinder");
const VIEWS = { whole: { text: "whole", ...extent(shown.length ? shown : known.rows) } };
{
  // Layers close to the beam, where the initial design has those further out much further out.
  const layers = rowsOf(known.initial).filter((row) => row.kind === "cylinder" && measures(row)).sort((a, b) => a.position - b.position);
  const ratios = layers.slice(1).map((row, i) => row.position / layers[i].position);
  const widest = Math.max(1, ...ratios);
  const names = new Set(layers.slice(0, ratios.indexOf(widest) + 1).map((row) => row.name));
  const inner = shown.filter((row) => names.has(row.name));
  if (widest > 1.8 && names.size > 1 && extent(inner).x[1] < 0.6 * VIEWS.whole.x[1]) VIEWS.inside = { text: "inside", ...extent(inner) };
}
let view = "whole";

function shade(row) {
  if (!measures(row)) return colour("faint");
  const t = thickest > 0 ? 2 * ((row.x_over_X0 ?? 0) / thickest) : 0;
  const [a, b] = [GRADIENT[Math.min(Math.floor(t), 1)], GRADIENT[Math.min(Math.floor(t), 1) + 1]];
  return `rgb(${a.map((v, i) => Math.round(v + (b[i] - v) * (t - Math.min(Math.floor(t), 1))))})`;
}

function tell(row) {
  const mm = (value) => (Math.abs(value) >= 1000 ? `${short(value / 1000)} m` : `${short(value)} mm`);
  const um = (value) => (value >= 0.1 ? `${short(value, 3)} mm` : `${short(1000 * value, 3)} µm`);
  const facts = [];
  if (row.kind === "cylinder") facts.push(`radius ${mm(row.position)}`, `z from ${mm(row.low)} to ${mm(row.high)}`);
  else if (row.kind === "disk") facts.push(`z ${mm(row.position)}`, `radius from ${mm(row.low)} to ${mm(row.high)}`);
  else if (row.kind === "plane") facts.push(`z ${mm(row.position)}`, `wide ${pair(row, "span", 2 * row.high).map(mm).join(" × ")}`);
  else facts.push(`z from ${mm(row.low)} to ${mm(row.high)}`);
  if (row.material) facts.push(row.material);
  if (row.B) facts.push(`${short(row.B)} T along ${row.along}`);
  if (row.x_over_X0) facts.push(`x/X0 ${short(100 * row.x_over_X0, 3)} %`);
  if (measures(row)) {
    const both = [row.resolution].flat().filter((v) => v !== null);
    facts.push(`resolution ${[...new Set(both.map(um))].join(" × ")}`);
  }
  if (row.efficiency !== undefined && row.efficiency !== null) facts.push(`efficiency ${short(100 * row.efficiency)} %`);
  return [row.name, ...facts];
}

function hint(event, lines) {
  const box = at("hint");
  box.replaceChildren(...lines.map((line, i) => make(i ? "div" : "strong", {}, line)));
  box.hidden = false;
  box.style.left = `${Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8)}px`;
  box.style.top = `${Math.min(event.clientY + 14, innerHeight - box.offsetHeight - 8)}px`;
}

function sketch(design, name, width) {
  const { z, x } = VIEWS[view];
  const [wide, tall] = upright ? [x, z] : [z, x];
  const left = 52, bottom = 34, top = 24;
  let scale = (width - left - 62) / (wide[1] - wide[0]);
  const exact = scale * (tall[1] - tall[0]);
  const room = Math.max(Math.min(exact, 420), 110);
  if (exact > 420) scale *= 420 / exact;
  const drawnWidth = scale * (wide[1] - wide[0]);
  const px = (v) => left + ((v - wide[0]) / (wide[1] - wide[0])) * drawnWidth;
  const py = (v) => top + room - ((v - tall[0]) / (tall[1] - tall[0])) * room;
  const place = ([along, aside]) => (upright ? [px(aside), py(along)] : [px(along), py(aside)]);
  const metres = Math.max(...[...wide, ...tall].map(Math.abs)) >= (round ? 5e3 : 2e3);
  const unit = metres ? "m" : "mm";
  const parts = [], labels = [];
  for (const row of [...rowsOf(design)].sort((a, b) => measures(a) - measures(b))) {
    const ends = corners(row).map(([along, aside], i) => place([along, aside ?? (upright ? wide : tall)[i]]));
    const [[x0, y0], [x1, y1]] = ends;
    const block = ["slab", "volume", "magnet"].includes(row.kind);
    const thick = thickest > 0 && measures(row) ? 1.6 + 2.6 * ((row.x_over_X0 ?? 0) / thickest) : 1.3;
    const part = block
      ? draw("rect", { x: Math.min(x0, x1), y: Math.min(y0, y1), width: Math.abs(x1 - x0), height: Math.abs(y1 - y0), class: row.kind })
      : draw("line", { x1: x0, y1: y0, x2: x1, y2: y1, stroke: shade(row), "stroke-width": thick, "stroke-dasharray": measures(row) ? null : "5 3" });
    const catcher = block ? part : draw("line", { x1: x0, y1: y0, x2: x1, y2: y1, class: "catch" });
    catcher.addEventListener("pointermove", (event) => hint(event, tell(row)));
    catcher.addEventListener("pointerleave", () => (at("hint").hidden = true));
    parts.push(part, ...(block ? [] : [catcher]));
    const beside = row.kind === "cylinder" || (upright && !block);
    labels.push({ text: row.name, beside, x: beside ? (upright ? left + drawnWidth : Math.min(Math.max(x0, x1), left + drawnWidth)) + 5 : 0.5 * (x0 + x1), y: beside ? 0.5 * (y0 + y1) + 4 : Math.min(y0, y1) - 4 });
  }
  const frameBox = draw("clipPath", { id: `clip-${name}` }, draw("rect", { x: left, y: top, width: drawnWidth, height: room }));
  const ticked = (low, high, pixels, apart) => ticks(low, high, Math.max(Math.floor(pixels / apart), 4));
  const label = (v) => short(metres ? v / 1000 : v);
  const axisX = ticked(wide[0], wide[1], drawnWidth, 70).map((v) => draw("text", { x: px(v), y: top + room + 15, "text-anchor": "middle" }, label(v)));
  const axisY = ticked(tall[0], tall[1], room, 34).map((v) => draw("text", { x: left - 6, y: py(v) + 4, "text-anchor": "end" }, label(v)));
  const [nameX, nameY] = upright ? ["xy"[across], "z"] : ["z", round ? "r" : "xy"[across]];
  const words = labels.filter(({ x, y }, i) => y > top && y < top + room && !labels.some((o, j) => j < i && Math.abs(o.y - y) < 11 && Math.abs(o.x - x) < 34));
  const picture = draw("svg", { viewBox: `0 0 ${left + drawnWidth + 62} ${top + room + bottom}`, width: left + drawnWidth + 62, height: top + room + bottom, role: "img", "aria-label": `Side view of ${design.name}` },
    frameBox,
    draw("text", { x: left, y: 14, class: "heading" }, design.name + (Math.abs(room - exact) > 1 && exact <= 420 ? " (not to scale)" : "")),
    draw("rect", { x: left, y: top, width: drawnWidth, height: room, class: "frame" }),
    draw("g", { "clip-path": `url(#clip-${name})` }, ...parts), ...axisX, ...axisY,
    draw("text", { x: left + drawnWidth, y: top + room + 30, "text-anchor": "end", class: "soft" }, `${nameX} [${unit}]`),
    draw("text", { x: left - 6, y: 14, "text-anchor": "end", class: "soft" }, `${nameY} [${unit}]`),
    ...words.map(({ text, beside, x, y }) => draw("text", { x, y, class: "part", "text-anchor": beside ? "start" : "middle" }, text)));
  return picture;
}

function showDrawing(changes) {
  if (!["design", "beside", "view", "theme", "width"].some((key) => key in changes)) return;
  const { z, x } = VIEWS[view];
  const whole = at("drawing").clientWidth;
  const flat = upright ? (x[1] - x[0]) / (z[1] - z[0]) : (z[1] - z[0]) / (x[1] - x[0]);
  const beside = flat < 1.6 && whole > 560;
  at("drawing").classList.toggle("beside", beside);
  at("drawing").replaceChildren(...[[selected(), "this"], [compared(), "other"]].map(([design, name]) => sketch(design, name, beside ? whole / 2 : whole)));
}

function showThickness() {
  if (!(thickest > 0)) return;
  at("thickness").replaceChildren("x/X0: 0 ", make("i", { class: "ramp" }), ` ${short(100 * thickest, 3)} %; grey, dashed: not a sensor`);
}

views.push(showDrawing);
