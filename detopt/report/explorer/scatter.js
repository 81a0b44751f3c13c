// Two axes of all designs, with errors: click one, or draw a box around some.

const SCALE = [[0, "#3f6fd8"], [0.5, "#b866a8"], [1, "#f2a32c"]]; // blue to orange: for any colour vision, on light and dark
const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "autoScale2d"],
  toImageButtonOptions: { format: "svg", filename: known.study } };
const coarse = matchMedia("(pointer: coarse)").matches; // a finger scrolls

function frame(axis) {
  const range = span(axis, known.designs.map(axis.of));
  const about = axis.options ? {} : axis.log ? { ...logTicks(10 ** range[0], 10 ** range[1]), range } : { type: "linear", range };
  const listed = axis.options ? { tickvals: axis.options.map((_, i) => i), ticktext: axis.options.map(plain), range: [-0.5, axis.high + 0.5] } : {};
  return { title: { text: plain(`${withUnit(axis)} ${axis.better ?? ""}`), standoff: 12 }, ...about, ...listed,
    gridcolor: colour("line"), zeroline: false, linecolor: colour("soft"), ticks: "outside", tickcolor: colour("soft"),
    color: colour("ink"), exponentformat: "none", automargin: true };
}

// What the front fills; the initial design too where it is not far off.
function span(axis, front) {
  const f = axis.log ? Math.log10 : (v) => v;
  const numbers = front.filter((v) => v !== null).map(f);
  let [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const start = axis.of(known.initial);
  if (start !== null && (!axis.log || start > 0)) {
    const room = 0.8 * (high - low);
    if (f(start) > low - room && f(start) < high + room) [low, high] = [Math.min(low, f(start)), Math.max(high, f(start))];
  }
  const pad = 0.07 * (high - low) || 0.05 * Math.abs(high) || 1;
  return [low - pad, high + pad];
}

function points(designs, axis, side) {
  const place = known.objectives.findIndex((o) => o.name === axis.name);
  const errors = designs.map((design) => (place < 0 ? 0 : design.errors[place] ?? 0));
  const bars = { type: "data", array: errors, visible: errors.some((e) => e > 0), thickness: 1, width: 0, color: colour("soft") };
  return { [side]: designs.map(axis.of), [`error_${side}`]: bars };
}

function describe(design) {
  return `<b>${plain(design.name)}</b><br>` + axes.slice(0, known.objectives.length + known.choices.length)
    .map((axis) => plain(`${axis.name} ${axis.text(design)}`)).join("<br>");
}

function showScatter(changes) {
  if (!("design" in changes || ["x", "y", "colour", "limits", "box", "beside", "theme"].some((key) => key in changes))) return;
  const [x, y] = [axisNamed(state.x), axisNamed(state.y)];
  const both = (designs) => ({ ...points(designs, x, "x"), ...points(designs, y, "y") });
  const inside = kept();
  const by = axisNamed(state.colour);
  const marker = { size: 8, opacity: known.designs.map((_, i) => (inside.has(i) ? 1 : 0.15)), line: { width: 0.5, color: colour("paper") },
    color: by ? known.designs.map(by.of) : colour("after"),
    ...(by ? { colorscale: SCALE, showscale: true, colorbar: { title: { text: plain(withUnit(by)), side: "right" }, thickness: 10,
      outlinewidth: 0, tickcolor: colour("ink"), tickfont: { color: colour("ink") },
      ...(by.options ? { tickvals: by.options.map((_, i) => i), ticktext: by.options.map(plain) } : {}) } } : {}) };
  const hover = { hovertemplate: "%{text}<extra></extra>" };
  const column = (axis) => known.cloud[known.objectives.findIndex((o) => o.name === axis.name)] ?? [];
  const traces = [
    { name: "all scored", x: column(x), y: column(y), mode: "markers", hoverinfo: "skip",
      marker: { size: 3, color: colour("faint"), opacity: 0.4 }, visible: column(x).length > 0 && column(y).length > 0 },
    { name: "front", ...both(known.designs), mode: "markers", marker, ...hover, text: known.designs.map(describe),
      selectedpoints: null },
    { name: plain(`compared: ${compared().name}`), ...both([compared()]), mode: "markers", ...hover, text: [describe(compared())],
      marker: { symbol: "diamond", size: 12, color: colour("before"), line: { width: 1, color: colour("paper") } } },
    { name: "this design", ...both([selected()]), mode: "markers", hoverinfo: "skip",
      marker: { symbol: "circle-open", size: 19, color: colour("ink"), line: { width: 2.5 } } },
  ];
  const layout = {
    xaxis: frame(x), yaxis: frame(y), uirevision: `${state.x} ${state.y}`, dragmode: coarse ? false : "select", hovermode: "closest",
    margin: { l: 60, r: 12, t: 34, b: 52 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") },
    legend: { orientation: "h", x: 0, y: 1.01, yanchor: "bottom", font: { size: 12 } },
    hoverlabel: { bgcolor: colour("paper"), bordercolor: colour("soft"), font: { color: colour("ink") } },
    selections: state.box === null ? [] : at("scatter").layout?.selections ?? [], newselection: { line: { color: colour("ink"), width: 1 } },
  };
  Plotly.react("scatter", traces, layout, CONFIG);
}

function listenToScatter() {
  const plot = at("scatter");
  plot.on("plotly_click", ({ points: [{ curveNumber, pointIndex }] }) => {
    if (curveNumber === 1) look({ design: pointIndex });
  });
  plot.on("plotly_selected", (drawn) => {
    if (drawn?.range) look({ box: new Set(drawn.points.filter((p) => p.curveNumber === 1).map((p) => p.pointIndex)) });
  });
  plot.on("plotly_deselect", () => look({ box: null }));
}

views.push(showScatter);
