// Numbers as people read them, and elements that hold text and never markup.

const LOCAL = { minus: "−", missing: "–" };
const short = (value, digits = 4) =>
  value === null || !Number.isFinite(value) ? LOCAL.missing : String(Number(value.toPrecision(digits))).replace("-", LOCAL.minus);
const withUnit = (axis) => (axis.unit ? `${axis.name} [${axis.unit}]` : axis.name);

function change(now, before) {
  if (now === null || before === null || !before) return LOCAL.missing;
  const share = (now - before) / Math.abs(before);
  const places = Math.abs(share) >= 0.0995 ? 0 : Math.abs(share) >= 0.00995 ? 1 : 2;
  const text = (100 * share).toFixed(places);
  if (Number(text) === 0) return "same";
  return (share > 0 ? "+" : "") + text.replace("-", LOCAL.minus) + " %";
}

// Plotly takes text for markup.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

const at = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}
const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function tabulate(table, head, rows) {
  const header = make("thead", {}, make("tr", {}, ...head.map((word) => make("th", { scope: "col" }, word))));
  const body = rows.map(([first, ...rest]) =>
    make("tr", {}, make("th", { scope: "row" }, first), ...rest.map((cell) => make("td", {}, cell))));
  table.replaceChildren(header, make("tbody", {}, ...body));
}

function choose(select, entries, value, chosen) {
  select.replaceChildren(...entries.map(([key, text]) => make("option", { value: key }, text)));
  select.value = value;
  select.onchange = () => chosen(select.value);
}

// Round numbers for the ticks of an axis.
function ticks(low, high, most) {
  const rough = (high - low) / Math.max(most, 1);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999);
  const from = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - from + 1 }, (_, i) => Number(((from + i) * step).toPrecision(12)));
}

// 1, 2, 5, 10, 20 …: ticks of a logarithmic axis for Plotly, which else writes 2 for 20.
function logTicks(low, high) {
  const decades = Math.log10(high / low), values = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const n of decades > 2.5 ? [1] : decades > 1.2 ? [1, 2, 5] : decades > 0.5 ? [1, 1.5, 2, 3, 5, 7] : [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9]) values.push(n * 10 ** power);
  return { type: "log", tickvals: values, ticktext: values.map((v) => String(Number(v.toPrecision(3)))) };
}

// Colours of the page as the browser resolves them, light or dark.
const probe = document.body.appendChild(make("i", { hidden: "" }));
function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}
