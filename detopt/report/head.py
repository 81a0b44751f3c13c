"""What the head of a run knows: against its baselines, before and after, with and without its own loss."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from detopt.report.map_figure import draw_maps
from detopt.report.markup import Markup, table, tag
from detopt.report.style import AFTER, BEFORE, FAINT, PAPER, Drawing, log_ticks, plain, styled
from detopt.report.text import DESIGNS, MISSING, count, difference, number, pairs, quantity

__all__ = ["CAPTIONS", "audit", "comparison", "head"]

CAPTIONS: dict[
    str, tuple[str, str | None]
] = {  # what a reader who cannot see the figure is told, and what stands below it
    "discrimination": (
        "Prompt muons that pass against displaced muons that pass, and the head's probabilities against what is found",
        "Left: what a cut lets pass; lower is better. Right: muons in ten groups of equal size by the probability of "
        "being displaced that the head gives them. On the line, that probability can be taken at its word; the lower "
        "panel shows the difference, with its statistical error.",
    ),
    "fraction": (
        "Estimates of the displaced fraction against the truth, before and after",
        "Each point is an exposure; error bars are what the head says of itself.",
    ),
    "detection": (
        "False alarms against objects that are found, and the head's probabilities against what is found",
        "Left: false alarms of a cut, bands of one standard error; lower is better. Right: exposures in ten groups of equal "
        "size by the probability that the head gives; on the line it can be taken at its word.",
    ),
    "estimate": (
        "Estimates against the truth, before and after",
        "Each point is an exposure; error bars are what the head says of itself.",
    ),
    "image": (
        "Slices of the radiation length: truth, head and baseline, before and after",
        "One scene of the audit, in the layer that differs most; darker is shorter.",
    ),
}


class _Words(NamedTuple):
    """How a figure calls what is told apart."""

    signal: str
    background: str
    each: str
    found: str


_TOLD = {
    "discrimination": _Words("displaced muons that pass", "prompt muons that pass", "muon", "displaced"),
    "detection": _Words("objects that are found", "false alarms", "exposure", "there"),
}
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (5, 1.5, 1, 1.5)))
_WORDS = ("solid", "dashed", "dotted", "dash-dotted")
_PLACE = 0.9  # of the displaced muons pass, in the table
_SHOWN = 100  # exposures in the figure


# -- in words ------------------------------------------------------------------------------------------------------------


def audit(result: dict[str, Any]) -> Markup | None:
    """By how many standard errors the head's loss improved, and how that was found out."""
    inference = result.get("inference") or {}
    if not inference:
        return None
    name = str((inference.get("head") or {}).get("name"))
    scores = [((result.get(which) or {}).get("objectives") or {}).get(name) or {} for which in DESIGNS]
    said = []
    if scores[0] and scores[1]:
        before, after, other = scores
        values = [_pair(s, s.get("display_unit") or "") for s in scores]
        change, error = difference(before, after, pairs(result, "initial").get(name))
        if change == 0:
            said.append(f"The head's loss did not change: {values[1]}.")
        elif math.isfinite(change) and error > 0:
            verb = "fell" if change < 0 else "rose"
            clear = "" if abs(change) >= 2 * error else ", which may be chance"
            said.append(f"The head's loss {verb} from {values[0]} to {values[1]}: by {_times(change, error)}{clear}.")
        change, error = difference(other, after, pairs(result, "without").get(name))
        if math.isfinite(change) and error > 0:
            side = "lower" if change < 0 else "higher"
            clear = "" if abs(change) >= 2 * error else ", which may be chance"
            said.append(f"The optimum without this loss has {values[2]}; "
                        f"the optimum with it is {side} by {_times(change, error)}{clear}.")  # fmt: skip
    said.append(_budget(inference.get("budget") or {}))
    return tag("p", " ".join(said))


def comparison(result: dict[str, Any]) -> list[Markup]:
    """Tables of the head against its baselines, a column for each design; empty where there is nothing to compare."""
    designs = _designs(result)
    if not designs:
        return []
    objective = _objective(result)
    if objective in _TOLD:
        return [*filter(None, [_grown(result)]), *_told(designs, _TOLD[objective])]
    return _fractions(designs, objective)


def _grown(result: dict[str, Any]) -> Markup | None:
    """By how much the area under the head's ROC curve changed, where both designs saw the same exposures."""
    area = ((result.get("after_minus") or {}).get("initial") or {}).get("area") or {}
    value, error = number(area.get("value")), number(area.get("error"))
    if not (math.isfinite(value) and error > 0):
        return None
    side = "larger" if value > 0 else "smaller"
    text = f"After the search, the area under the head's ROC curve is {side} by {quantity(abs(value), '', error)}"
    return tag("p", f"{text} ({_times(value, error)}), on the same scenes.")


def _told(designs: dict[str, Any], words: _Words) -> list[Markup]:
    columns = [DESIGNS[which] for which in designs]
    each = [_judges(design) for design in designs.values()]
    names = list(dict.fromkeys(name for judges in each for name in judges))

    def rows(cell: Callable[[dict[str, Any], dict[str, Any]], str], which: list[str]) -> list[list[Any]]:
        pairs = [(judges, design) for judges, design in zip(each, designs.values(), strict=True)]
        return [[name, *(cell(judges.get(name, {}), design) for judges, design in pairs)] for name in which]

    areas = rows(lambda judge, _: _pair(judge.get("area")), names)
    better = rows(lambda judge, _: _pair(judge.get("head_is_better_by"), sign=True), names[1:])
    areas += [[f"head minus {row[0]}", *row[1:]] for row in better]
    tables = [
        table(f"Loss in bits, each {words.each}: 0 for certainty, 1 for a guess", ["known from", *columns],
              rows(lambda judge, _: _pair(judge.get("loss")), names)),
        table("Area under the ROC curve: 1 for certainty, 0.5 for a guess", ["known from", *columns], areas),
        table(f"{words.background.capitalize()} at {100 * _PLACE:.0f} % of {words.signal}",
              ["known from", *columns], rows(_passing, names)),
    ]  # fmt: skip
    seen = "muons, those that left a track" if words.each == "muon" else "exposures"
    numbers = [number(design.get(f"{words.each}s")) for design in designs.values()]
    listed = ", ".join(dict.fromkeys(_grouped(n) for n in numbers if math.isfinite(n)))
    how = f"Head and baselines see the same {seen}"
    how += f" ({listed} a design)" if listed else ""
    how += ". This is one of the heads; the score above is the mean of all"
    how += ", and counts a muon without a track as unknown." if words.each == "muon" else "."
    said = [s for s in [_summary(designs)] if s is not None]
    return [*said, tag("div", *tables, class_="same"), tag("p", how, class_="soft")]


def _summary(designs: dict[str, Any]) -> Markup | None:
    """The head against the best of the baselines, for the design that was found."""
    which = next((w for w in ("final", "initial") if w in designs), "")
    design: dict[str, Any] = designs.get(which) or {}
    baselines = list(_judges(design).values())[1:]
    rivals = [b for b in baselines if math.isfinite(number((b.get("area") or {}).get("value")))]
    best: dict[str, Any] = max(rivals, key=lambda b: number(b["area"]["value"]), default={})
    more = best.get("head_is_better_by") or {}
    value, error = number(more.get("value")), number(more.get("error"))
    if not (math.isfinite(value) and error > 0):
        return None
    word = "more" if value > 0 else "less"
    where = "After the search" if which == "final" else "Before the search"
    text = f"{where}, the head knows {word} than the best baseline, the {best.get('name') or 'baseline'}: "
    side = "larger" if value > 0 else "smaller"
    text += f"the area under its ROC curve is {side} by {quantity(abs(value), '', error)}"
    return tag("p", f"{text} ({_times(value, error)}).")


def _fractions(designs: dict[str, Any], objective: str) -> list[Markup]:
    units = {design.get("unit", "%") for design in designs.values()}
    unit = "" if objective == "image" else next(iter(units)) or "%"

    def ratio(design: dict[str, Any]) -> str:
        top, bottom = ((design.get("rms") or {}).get(key) or {} for key in ("head", "baseline"))
        (a, da), (b, db) = ((number(p.get("value")), number(p.get("error"))) for p in (top, bottom))
        if not (a > 0 and b > 0):
            return MISSING
        return quantity(a / b, "", a / b * math.hypot(da / a, db / b))

    counting = next((d["baseline"] for d in designs.values() if d.get("baseline")), "baseline")
    kinds: dict[str, Callable[[dict[str, Any]], str]] = {
        "RMS error of the head": lambda d: _pair((d.get("rms") or {}).get("head"), unit),
        f"RMS error of {counting}": lambda d: _pair((d.get("rms") or {}).get("baseline"), unit),
        "head / baseline": ratio,
        "pull width of the head": lambda d: _pair(d.get("pull_width")),
    }
    rows = [[name, *(cell(design) for design in designs.values())] for name, cell in kinds.items()]
    exposures = [number(design.get("exposures")) for design in designs.values()]
    listed = ", ".join(dict.fromkeys(_grouped(n) for n in exposures if math.isfinite(n)))
    how = "A pull is the error of an estimate in units of the error that the head states; its width is 1 where that is true."
    how += f" From {listed} exposures a design, the same for head and baseline." if listed else ""
    head = ["", *(DESIGNS[which] for which in designs)]
    caption = {"fraction": "Errors of the displaced fraction", "image": "Errors of log X0"}.get(objective, "Errors")
    return [table(caption, ["quantity", *head[1:]], rows), tag("p", how, class_="soft")]


# -- the figure ----------------------------------------------------------------------------------------------------------


def head(run: Any) -> Figure | None:
    """Discrimination: ROC curves and reliability. Fraction: estimates against the truth. Before and after."""
    designs = {which: design for which, design in _designs(run.result).items() if which in ("initial", "final")}
    if not designs:
        return None
    objective = _objective(run.result)
    with styled():
        if objective in _TOLD:
            return _draw_told(designs, _TOLD[objective])
        return draw_maps(designs) if objective == "image" else _draw_estimates(designs, objective)


def _draw_told(designs: dict[str, Any], words: _Words) -> Figure | None:
    reliability = any(design.get("reliability") for design in designs.values())
    names = list(dict.fromkeys(name for design in designs.values() for name in _judges(design)))
    curves = []
    for which, design in designs.items():
        x = 100 * _array(design.get("efficiency"))
        for name, judge in _judges(design).items():
            y = 100 * _array(judge.get("prompt"))
            if len(x) and len(y) == len(x):
                curves.append((which, names.index(name), x, np.where(y > 0, y, math.nan)))
    if not curves:
        return None
    figure = Drawing(10.6 if reliability else 6.2, 5.2)
    ax = figure.panel(0.95, 0.65, 4.4 if reliability else 5.0, 3.9)
    fewest = max((number(design.get(f"{words.each}s")) for design in designs.values()), default=math.nan)
    floor = 10 ** math.floor(math.log10(100 * 20 / fewest)) if fewest > 20 else 0.01  # some ten prompt muons
    for which, place, x, y in curves:
        colour, width = (BEFORE, AFTER)[which == "final"], 2.6 if place == 0 else 1.5
        ax.plot(x, y, color=colour, linewidth=width, linestyle=_DASHES[place % 4])
        if words.each == "exposure" and place == 0:  # few enough to show the error: half of them are background
            e = np.sqrt(y * (100 - y) / (fewest / 2))
            ax.fill_between(x, np.maximum(y - e, floor), y + e, color=colour, alpha=0.2, linewidth=0)
    seen = [x[y > floor].min() for _, _, x, y in curves if (y > floor).any()]
    ax.set_xlim(min(10 * math.floor(min(seen, default=0.0) / 10), 90), 100)
    ax.set_ylim(floor, 100)
    log_ticks(ax, "y")
    ax.set(xlabel=f"{words.signal} [%]", ylabel=f"{words.background} [%]")
    if reliability:
        top, below = figure.panel(6.55, 1.95, 3.8, 2.6), figure.panel(6.55, 0.65, 3.8, 1.1)
        top.plot([0, 100], [0, 100], color=FAINT, linewidth=1)
        below.axhline(0, color=FAINT, linewidth=1)
        for which, design in designs.items():
            rows = [row for row in design.get("reliability") or [] if row]
            x, y, e = (100 * _array([row.get(key) for row in rows]) for key in ("predicted", "observed", "error"))
            style = _points(which)
            e = np.where(np.isfinite(e), e, 0.0)
            top.errorbar(x, y, e, **style)
            below.errorbar(x, y - x, e, **style)
        top.set(xlim=(-4, 104), ylim=(-4, 104))
        top.tick_params(labelbottom=False)
        top.set_ylabel(f"{words.found}, found [%]")
        below.set_xlim(-4, 104)
        below.set(xlabel=f"{words.found}, says the head [%]", ylabel="difference [%]")
        _symmetric(below)
    figure.entries([(DESIGNS[which], {"color": (BEFORE, AFTER)[which == "final"]}) for which in designs], 0.95)
    styles = ", ".join(f"{plain(name)} {_WORDS[i % 4]}" for i, name in enumerate(names))
    figure.say(3.1, f"left: {styles}" if reliability else styles)
    return figure


def _draw_estimates(designs: dict[str, Any], objective: str) -> Figure | None:
    unit = next((design["unit"] for design in designs.values() if design.get("unit")), "%")
    what, factor = ("fraction" if objective == "fraction" else "value"), (100 if unit == "%" else 1)
    columns = {}
    for which, design in designs.items():
        found = design.get("estimates") or {}
        truth = _array(found.get("truth"))[:_SHOWN]
        listed = {key: _array(found.get(key))[:_SHOWN] for key in ("head", "sigma", "baseline")}
        if len(truth) and len(listed["head"]) == len(truth):
            empty = np.full(len(truth), math.nan)
            columns[which] = factor * np.array(
                [truth, *(v if len(v) == len(truth) else empty for v in listed.values())]
            )
    if not columns:
        return None
    figure = Drawing(0.3 + 5.05 * len(columns), 6.2)
    everything = np.concatenate([c[[0, 1, 3]].ravel() for c in columns.values()])
    low, high = np.nanmin(everything), np.nanmax(everything)
    margin = 0.05 * max(high - low, 1.0)
    lower = []
    counted: dict[str, Any] = {"linestyle": "", "marker": "x", "markersize": 4, "color": FAINT, "markeredgewidth": 0.9}
    for i, (which, (truth, estimate, sigma, baseline)) in enumerate(columns.items()):
        left = 0.95 + 5.05 * i
        top, below = figure.panel(left, 1.95, 4.1, 3.4), figure.panel(left, 0.65, 4.1, 1.1)
        sigma = np.where(sigma > 0, sigma, 0.0)
        for ax, away in ((top, 0.0), (below, truth)):
            ax.plot(truth, baseline - away, **counted, zorder=1.5)
            ax.errorbar(truth, estimate - away, sigma, **(_points(which) | {"markersize": 3.5, "elinewidth": 0.8}))
            ax.set_xlim(low - margin, high + margin)
        top.plot([low - margin, high + margin], [low - margin, high + margin], color=FAINT, linewidth=1)
        below.axhline(0, color=FAINT, linewidth=1)
        top.set_ylim(low - margin, high + margin)
        top.tick_params(labelbottom=False)
        top.set_title(DESIGNS[which], weight="bold")
        top.set_ylabel(f"{what}, estimated [{unit}]")
        below.set(xlabel=f"{what}, true [{unit}]", ylabel=f"difference [{unit}]")
        _symmetric(below)
        lower.append(below)
    reach = max(ax.get_ylim()[1] for ax in lower)
    for ax in lower:
        ax.set_ylim(-reach, reach)
    entries = [
        (f"head, {DESIGNS[which]}", {k: v for k, v in _points(which).items() if k != "elinewidth"}) for which in columns
    ]
    figure.entries([*entries, ("baseline", counted)], 0.95)
    return figure


def _points(which: str) -> dict[str, Any]:
    colour = (BEFORE, AFTER)[which == "final"]
    face = PAPER if which == "initial" else AFTER
    return {"linestyle": "", "marker": "o", "markersize": 5, "color": colour, "markerfacecolor": face,
            "markeredgecolor": colour, "markeredgewidth": 1.3, "elinewidth": 1.3}  # fmt: skip


def _symmetric(ax: Axes) -> None:
    """Zero in the middle of a panel of differences, and few numbers."""
    reach = 1.1 * max(*(abs(v) for v in ax.get_ylim()), 1e-3)
    ax.set_ylim(-reach, reach)
    ax.yaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    ax.yaxis.label.set_fontsize("small")


# -- the parts of a result -----------------------------------------------------------------------------------------------


def _objective(result: dict[str, Any]) -> str:
    return str(((result.get("inference") or {}).get("head") or {}).get("objective"))


def _designs(result: dict[str, Any]) -> dict[str, Any]:
    """The comparisons that there are, in order; none for an objective that this page does not know."""
    found = (result.get("inference") or {}).get("designs") or {}
    return {which: found[which] for which in DESIGNS if found.get(which)} if _objective(result) in CAPTIONS else {}


def _judges(design: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The head and its baselines by name."""
    baselines = {str(b.get("name") or "baseline"): b for b in design.get("baselines") or [] if b}
    return {"head": design.get("head") or {}, **baselines}


def _budget(budget: dict[str, Any]) -> str:
    heads, steps, pool, events = (number(budget.get(key)) for key in ("heads", "head_steps", "head_events", "events"))
    text = "Heads" if not math.isfinite(heads) else count(int(heads), "head")
    text += " was" if heads == 1 else " were"
    text += " trained from scratch for each design"
    text += f", in {_grouped(steps)} steps" if math.isfinite(steps) else ""
    text += f" on {_grouped(pool)} events" if math.isfinite(pool) else ""
    return text + (f", and scored on {_grouped(events)} others." if math.isfinite(events) else ".")


def _passing(judge: dict[str, Any], design: dict[str, Any]) -> str:
    x, y = _array(design.get("efficiency")), _array(judge.get("prompt"))
    near = int(np.argmin(np.abs(x - _PLACE))) if len(x) else 0
    if len(x) != len(y) or not len(x) or abs(x[near] - _PLACE) > 0.006:
        return MISSING
    return quantity(y[near], "%", digits=3)


def _pair(pair: dict[str, Any] | None, symbol: str = "", sign: bool = False) -> str:
    value = number((pair or {}).get("value"))
    return ("+" if sign and value > 0 else "") + quantity(value, symbol, (pair or {}).get("error"))


def _array(values: Any) -> np.ndarray:
    return np.array([number(v) for v in values or []])


def _times(change: float, error: float) -> str:
    size = abs(change) / error
    return f"{size:.{0 if size >= 99.5 else 1}f} standard errors"


def _grouped(value: float) -> str:
    """12 345 with a narrow space that does not break."""
    return f"{value:,.0f}".replace(",", "\u202f")
