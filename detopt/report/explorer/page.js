// What the controls do, and the first drawing.

document.title = `${known.study}: the front`;
at("study").textContent = known.study;
at("question").textContent = known.question;
at("description").textContent = known.description;
at("from").textContent = `${known.designs.length} designs of ${known.detector}, from the run ${known.run}. ` +
  (known.exact ? "Scores are exact. " : "Errors are one standard deviation. ") +
  "The knee lies farthest below the plane through the ends of the front. Stationarity: 0 where no small step improves all objectives.";

// The next design that is kept, one way or the other.
function step(by) {
  const inside = kept();
  for (let i = state.design + by; i >= 0 && i < known.designs.length; i += by) if (inside.has(i)) return look({ design: i });
}

function chooseAxes() {
  const entries = axes.map((axis) => [axis.name, withUnit(axis)]);
  choose(at("x"), entries, state.x, (x) => look({ x }));
  choose(at("y"), entries, state.y, (y) => look({ y }));
  choose(at("colour"), [["", "none"], ...entries], state.colour, (colour) => look({ colour }));
}

at("along").max = known.designs.length - 1;
at("along").oninput = () => look({ design: Number(at("along").value) });
at("previous").onclick = () => step(-1);
at("next").onclick = () => step(1);
at("knee").onclick = () => look({ design: known.knee });
at("pin").onclick = () => look({ beside: state.design });
at("unpin").onclick = () => look({ beside: null });
at("clear").onclick = () => look({ limits: {}, box: null });
addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});

function said(button, word) {
  const text = button.textContent;
  button.textContent = word;
  setTimeout(() => (button.textContent = text), 1500);
}

at("link").onclick = () => {
  const field = document.body.appendChild(make("textarea", { class: "unseen" }, location.href)); // also where a page has no clipboard
  field.select();
  said(at("link"), document.execCommand("copy") ? "Copied" : "See the address");
  field.remove();
};

at("download").onclick = () => {
  const address = URL.createObjectURL(new Blob([selected().file.join("\n")], { type: "application/yaml" }));
  make("a", { href: address, download: `${known.study}-${state.design}.yaml`.replace(/[^\w.-]+/g, "_") }).click();
  URL.revokeObjectURL(address);
};

at("theme").onclick = () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  look({ theme: null });
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => look({ theme: null }));
addEventListener("hashchange", () => {
  if (location.hash.slice(1) === address()) return;
  look(remembered(location.hash));
  chooseAxes();
});
let narrow = innerWidth;
addEventListener("resize", () => {
  if (narrow !== innerWidth) look({ width: (narrow = innerWidth) });
});

choose(at("view"), Object.entries(VIEWS).map(([key, { text }]) => [key, text]), view, (key) => {
  view = key;
  look({ view });
});
at("view").parentElement.hidden = Object.keys(VIEWS).length < 2;
choose(at("of"), known.curves.map(([name], i) => [i, name]), quantityShown, (i) => {
  quantityShown = Number(i);
  look({ of: i });
});
at("measured").hidden = quantityShown < 0;
showThickness();
Object.assign(state, remembered(location.hash));
chooseAxes();
for (const show of views) show(state);
listenToScatter();
document.documentElement.dataset.ready = "";
