"use strict";
// What the reader looks at. All that is drawn follows from it, and it stands in the address: a link leads back to it.

const known = JSON.parse(document.getElementById("known").textContent);
const base = known.initial.file;
for (const design of known.designs) {
  if (!Array.isArray(design.file)) design.file = base.map((line, i) => design.file[i] ?? line);
}

// An axis: an objective, an option, or a design variable. `of` is its number for a design, null where it has none.
const axes = [
  ...known.objectives.map((o, i) => ({
    name: o.name, title: o.title, unit: o.unit, log: o.log, better: o.goal === "minimise" ? "↓" : "↑",
    of: (design) => design.values[i], text: (design) => design.words[i],
  })),
  ...known.choices.map((c, i) => ({
    name: c.name, title: c.name, unit: "", log: false, options: c.options,
    of: (design) => c.options.indexOf(design.options[i]), text: (design) => design.options[i],
    low: 0, high: c.options.length - 1,
  })),
  ...known.variables.map((v, i) => ({
    name: v.name, title: [v.name, ...v.tied].join(", "), unit: v.unit, log: false, low: v.lower, high: v.upper,
    of: (design) => design.variables[i], text: (design) => design.variableWords[i],
  })),
];
for (const axis of axes) {
  const numbers = known.designs.map(axis.of).filter((v) => v !== null);
  axis.low ??= Math.min(...numbers);
  axis.high ??= Math.max(...numbers);
  axis.log &&= axis.low > 0;
}
const axisNamed = (name) => axes.find((axis) => axis.name === name);

const state = {
  design: known.knee ?? 0, // a point of the front
  beside: null, // another one, or null for the initial design
  x: axes[0].name,
  y: axes[1].name,
  colour: "",
  limits: {}, // axis: [low, high]
  box: null, // points inside a box that was drawn
};
const views = []; // each draws what it shows of the state; it is told what has changed
const selected = () => known.designs[state.design];
const compared = () => (state.beside === null ? known.initial : known.designs[state.beside]);

function kept() {
  const limits = Object.entries(state.limits).map(([name, range]) => [axisNamed(name), range]);
  const inside = (design) => limits.every(([axis, [low, high]]) => {
    const value = axis.of(design);
    return value !== null && low <= value && value <= high;
  });
  return new Set([...known.designs.keys()].filter((i) => inside(known.designs[i]) && (state.box === null || state.box.has(i))));
}

// Changes of one moment are drawn once.
let waiting = null;
function look(changes) {
  Object.assign(state, changes);
  if (waiting === null) requestAnimationFrame(() => {
    const all = waiting;
    waiting = null;
    history.replaceState(null, "", "#" + address());
    for (const view of views) view(all);
  });
  waiting = { ...waiting, ...changes };
}

function address() {
  const words = new URLSearchParams({ design: state.design, x: state.x, y: state.y });
  if (state.beside !== null) words.set("beside", state.beside);
  if (state.colour) words.set("colour", state.colour);
  for (const [name, [low, high]] of Object.entries(state.limits)) words.append("keep", `${name}:${low}:${high}`);
  if (state.box !== null) words.set("box", [...state.box].join(" "));
  return words.toString();
}

// What an address says of the state; what it does not say, or says wrongly, is as at the beginning.
function remembered(text) {
  const words = new URLSearchParams(text.replace(/^#/, ""));
  const point = (word) => (/^\d+$/.test(word ?? "") && Number(word) < known.designs.length ? Number(word) : null);
  const named = (word, otherwise) => (axisNamed(words.get(word)) ? words.get(word) : otherwise);
  const limits = {};
  for (const word of words.getAll("keep")) {
    const [, name, low, high] = word.match(/^(.*):([^:]*):([^:]*)$/) ?? [];
    if (axisNamed(name) && Number.isFinite(+low) && Number.isFinite(+high)) limits[name] = [+low, +high];
  }
  return {
    design: point(words.get("design")) ?? known.knee ?? 0,
    beside: point(words.get("beside")),
    x: named("x", axes[0].name),
    y: named("y", axes[1].name),
    colour: named("colour", ""),
    limits,
    box: words.has("box") ? new Set(words.get("box").split(" ").map(point).filter((i) => i !== null)) : null,
  };
}
