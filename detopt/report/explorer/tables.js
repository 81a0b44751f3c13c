// The numbers of the design, and of the one that it is compared with.

function verdict(axis, now, before) {
  const text = change(now, before);
  const goal = known.objectives.find((o) => o.name === axis.name)?.goal;
  if (!goal || text === "same" || text === LOCAL.missing) return make("span", {}, text);
  return make("span", { class: (now < before) === (goal === "minimise") ? "good" : "bad" }, text);
}

function bar(axis, design, other) {
  const share = (d) => (axis.of(d) === null ? null : 100 * within(axis, axis.of(d)));
  const mark = (where, name) => (where === null ? null : draw("circle", { cx: 4 + 0.84 * where, cy: 8, r: 4, class: name }));
  return draw("svg", { width: 92, height: 16, role: "img", "aria-label": "between its bounds" },
    draw("line", { x1: 4, x2: 88, y1: 8, y2: 8 }), mark(share(other), "compared"), mark(share(design), "selected"));
}

function showTables(changes) {
  if (!("design" in changes || "beside" in changes)) return;
  const [design, other] = [selected(), compared()];
  const count = known.objectives.length;
  const head = ["", "this design", other.name, "change"];
  tabulate(at("objectives"), head, axes.slice(0, count).map((axis) => {
    const name = make("span", {}, axis.title, " ", make("span", { class: "soft" }, known.objectives.find((o) => o.name === axis.name).goal));
    return [name, axis.text(design), axis.text(other), verdict(axis, axis.of(design), axis.of(other))];
  }));
  at("sure").textContent = (known.exact ? "" : `Not beaten by another: ${design.stays}. `) + `Stationarity ${design.stationarity}.`;
  const rows = axes.slice(count).map((axis) => (axis.options
    ? [axis.name, axis.text(design), axis.text(other), axis.of(design) === axis.of(other) ? "same" : "another", axis.options.join(", ")]
    : [axis.title, axis.text(design), axis.text(other), change(axis.of(design), axis.of(other)),
       make("span", { class: "bounds" }, make("span", {}, short(axis.low)), bar(axis, design, other), make("span", {}, `${short(axis.high)} ${axis.unit}`))]));
  tabulate(at("variables"), [...head, "bounds"], rows);
  tabulate(at("prices"), ["", "the others held"], design.prices);
  at("priced").hidden = !design.prices.length;
}

function showWalk(changes) {
  if (!["design", "beside", "limits", "box"].some((key) => key in changes)) return;
  at("along").value = state.design;
  at("which").textContent = `Point ${state.design} of ${known.designs.length}${state.design === known.knee ? ", the knee" : ""}`;
  at("knee").hidden = known.knee === null || known.knee === state.design;
  at("pin").hidden = state.beside === state.design;
  at("unpin").hidden = state.beside === null;
}

views.push(showTables, showWalk);
