// Resolution against momentum of the design and of the one that it is compared with.

let quantityShown = known.curves.findIndex((_, i) => known.initial.curves[i + 1]?.some((v) => v !== null));

function showCurves(changes) {
  if (quantityShown < 0 || !["design", "beside", "of", "theme"].some((key) => key in changes)) return;
  const [name, unit] = known.curves[quantityShown];
  const ends = (column) => {
    const values = [compared(), selected()].flatMap((design) => design.curves[column]).filter((v) => v > 0);
    return [Math.min(...values), Math.max(...values)];
  };
  const line = (design, look) => ({ x: design.curves[0], y: design.curves[quantityShown + 1], mode: "lines", name: plain(design.name), line: look,
    hovertemplate: `%{y:.4g} ${unit} at %{x:.3g} GeV<extra>${plain(design.name)}</extra>` });
  const axis = (title, column) => ({ ...logTicks(...ends(column)), title: { text: title, standoff: 10 }, gridcolor: colour("line"), linecolor: colour("soft"), ticks: "outside",
    tickcolor: colour("soft"), color: colour("ink"), automargin: true });
  Plotly.react("resolution", [line(compared(), { color: colour("before"), width: 2.5, dash: "dash" }), line(selected(), { color: colour("after"), width: 3 })], {
    xaxis: axis("p [GeV]", 0), yaxis: axis(`${name} [${unit}]`, quantityShown + 1), margin: { l: 60, r: 10, t: 30, b: 48 }, paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)", font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") },
    legend: { orientation: "h", x: 0, y: 1.01, yanchor: "bottom" }, hovermode: "closest", dragmode: coarse ? false : "zoom",
  }, CONFIG);
}

views.push(showCurves);
