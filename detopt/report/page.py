"""The one-page report: what was asked, the answer, and how to get it again. One file that needs nothing else."""

import math
import os
import shlex
from pathlib import Path
from typing import Any

from detopt.report.animation import animation, shown, write_animation
from detopt.report.exposures import exposure_table
from detopt.report.figures import FIGURES
from detopt.report.head import CAPTIONS, audit, comparison
from detopt.report.latex import design_tex, write_design
from detopt.report.markup import Markup, table, tag
from detopt.report.optimum import optimum_tables
from detopt.report.style import save, svg
from detopt.report.text import DESIGNS, MISSING, count, difference, has_prices, number, pairs, percent, quantity, sigmas
from detopt.runs import RunError

__all__ = ["figure_of", "provenance", "write_page", "write_report"]

_COPY = """
for (const button of document.querySelectorAll(".copy button")) button.onclick = () => {
  getSelection().selectAllChildren(button.nextElementSibling);
  document.execCommand("copy");
  button.textContent = "Copied";
};
"""
_SECTIONS = {  # figure: heading, what a reader who cannot see it is told, caption
    "layout": ("Layout", "Side view of the detector before and after the search",
               "Seen from the side and along the beam, both designs at the same scale. Lines are thicker and redder "
               "where there is more material."),
    "resolution": ("Resolution", "Track resolutions against momentum, before and after, with their ratio",
                   "Resolution of muon tracks, all hits assumed. Below one in the lower panels is better."),
    "head": ("What the head knows", None, None),  # see CAPTIONS
    "exposures": ("Against exposure", "Errors of the head against the exposure, before and after",
                  "Lower is better. Dotted: the exposure that is enough. Each exposure is twice the one before, and holds "
                  "it: neighbouring points are not independent."),
    "optimum": ("What the optimum rests on", None, None),
    "variables": ("Design variables", "Each design variable between its bounds, before and after", None),
    "cost": ("Cost", "Cost by component, before and after", None),
    "convergence": ("Convergence", "Best loss so far and largest constraint violation against the step",
                    "Thick: the best design so far that meets every constraint. Thin: the same for each restart."),
}  # fmt: skip
_ARROWS = {
    "gradients": ("The final layout, with arrows that show where the loss falls",
                  "Arrows show which way each element would go to lower the loss, longer where that is steeper, on a "
                  "logarithmic scale. What is hollow is held back."),
    "slopes": ("For each design variable, which way and how steeply the loss falls",
               "All variables alike, also those that move nothing; without an arrow where the loss is as good as flat."),
}  # fmt: skip
_JOINT = ("Loss against the step, and largest constraint violation",
          "Thin: each step, on fresh events. Points: the design after every few steps, moved inside the constraints, on "
          "events that no step has seen. Thick: the best of these so far, which is what the search keeps.")  # fmt: skip


def write_report(run: Any) -> Path:
    """Write `figures/` and `report.html` into the folder of a run; returns the path of the page."""
    drawn = {name: figure for name, draw in FIGURES.items() if (figure := draw(run)) is not None}
    for name, figure in drawn.items():
        save(figure, run.folder / "figures", name)
    write_design(run)
    tables: dict[str, list[Markup | None]] = {
        "variables": [_variables(run.result)],
        "cost": [_cost(run.result)],
        "head": [*comparison(run.result)],
        "exposures": [exposure_table(run.result)],
        "optimum": [*optimum_tables(run.result)],
    }
    words = _words(run)
    sections = []
    for name, (heading, *_) in _SECTIONS.items():
        parts = list(tables.get(name, []))
        if name in drawn:
            parts.append(figure_of(name, drawn[name], *words[name]))
        elif name == "convergence" or (name == "resolution" and run.result.get("frame", "barrel") == "barrel"):
            missing = {"resolution": "curves", "convergence": "history"}[name]
            parts.append(tag("p", f"This run holds no {missing}.", class_="soft"))
        if name == "convergence":
            parts.insert(0, tag("p", f"After {count(run.result['steps'], 'step')}: {run.result['stopped']}"))
        if name == "layout" and (second := drawn.get("layout_without")) is not None:
            beside = figure_of("layout_without", second, *words["layout_without"])
            parts.append(tag("details", tag("summary", "Beside the optimum without the head's loss"), beside))
        if name == "optimum":
            parts[1:1] = [figure_of(n, drawn[n], *words) for n, words in _ARROWS.items() if n in drawn]
        if name == "layout" and (film := animation(run)) is not None:
            write_animation(run, film[0])
            parts.append(shown(*film))
        if any(part is not None for part in parts):
            sections.append(tag("section", tag("h2", heading), *parts))
    body = tag(
        "main",
        _asked(run.result),
        _answer(run.result),
        *sections,
        provenance(run, run.result, count(run.result["steps"], "step"), "optimise"),
        _files(run),
    )
    return write_page(run, run.result["study"], body)


def _words(run: Any) -> dict[str, tuple[str, str | None]]:
    """For each figure: what a reader who cannot see it is told, and its caption."""
    words: dict[str, tuple[str, str | None]] = {
        name: (alt or "", caption) for name, (_, alt, caption) in _SECTIONS.items()
    }
    objective = ((run.result.get("inference") or {}).get("head") or {}).get("objective")
    words["head"] = CAPTIONS.get(str(objective), words["head"])
    words["layout_without"] = ("Side view of the optimum with and without the head's loss", None)
    if "validated" in run.history.column_names:
        words["convergence"] = _JOINT
    return words


def figure_of(name: str, figure: Any, alt: str, caption: str | None) -> Markup:
    """A figure in the page, and its caption."""
    drawing = tag("div", Markup(svg(figure, name, alt)), class_="scroll", tabindex=0)
    files = Markup(f"Also as <code>figures/{name}.pdf</code> and <code>.png</code>.")
    return tag("figure", drawing, tag("figcaption", caption, " " if caption else "", files))


def write_page(run: Any, title: str, body: Markup) -> Path:
    """Write report.html; the old one stands until the new one is complete."""
    path = run.folder / "report.html"
    part = path.with_suffix(".part")
    part.write_text(_document(title, body), encoding="utf-8")
    os.replace(part, path)
    return path


def _document(title: str, body: Markup) -> str:
    style = Markup(Path(__file__).with_name("page.css").read_text(encoding="utf-8"))
    head = [
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<link rel="icon" href="data:,">'),
        tag("title", f"{title}: detopt report"),
        tag("style", style),
    ]
    return "<!doctype html>\n" + tag(
        "html", tag("head", *head), tag("body", body, tag("script", Markup(_COPY))), lang="en"
    )


def _asked(result: dict[str, Any]) -> Markup:
    final, n = result["final"], len(result.get("variables") or [])
    goals = [f"{o.get('goal', 'minimise')} {o.get('title') or name}" for name, o in final["objectives"].items()]
    limits = [c.get("title") or name for name, c in (final.get("constraints") or {}).items()]
    goals, limits = (list(dict.fromkeys(words)) for words in (goals, limits))
    sentence = f"Change {count(n, 'design variable')} of {result['detector']} to {_listed(goals)}"
    sentence += f", with {_listed(limits)}." if limits else ", without constraints."
    description = (result.get("description") or "").strip()
    return tag(
        "header",
        tag("h1", result["study"]),
        tag("p", sentence, class_="asked"),
        tag("p", description, class_="soft") if description else None,
    )


def _answer(result: dict[str, Any]) -> Markup:
    old, new, other = result["initial"], result["final"], result.get("without") or {}
    rows, said = [], []
    sampled = any(number(o.get("error")) > 0 for score in (old, new) for o in score["objectives"].values())
    third = [DESIGNS["without"]] if other else []
    paired = pairs(result, "initial")
    for name, after in new["objectives"].items():
        before = old["objectives"].get(name, {})
        unit, title = after.get("display_unit") or after.get("unit") or "", after.get("title") or name
        texts = [quantity(s.get("value"), unit, s.get("error")) for s in (before, after)]
        change, word = _change(before, after, paired.get(name))
        named = tag("span", title, " ", tag("span", after.get("goal", ""), class_="soft"))
        more = [quantity(o.get("value"), unit, o.get("error")) for o in [(other.get("objectives") or {}).get(name, {})]]
        apart = [sigmas(before, after, paired.get(name))] if sampled else []
        rows.append([named, *texts, percent(change), *apart, _verdict(word), *more[: len(third)]])
        said.append(tag("li", f"{title}: {texts[0]} → {texts[1]} ({percent(change)}, ", _verdict(word), ")"))
        if number(after.get("statistics_only")) > 0:
            alone = [number(o.get("statistics_only")) for o in (before, after)]
            shown = [quantity(v, unit) for v in alone]
            blank = [""] * (len(apart) + 1 + len(more[: len(third)]))
            rows.append(["the same with statistics alone", *shown, percent(alone[1] / alone[0] - 1), *blank])
    columns = ["before", "after", "change", *(["in errors"] if sampled else []), "verdict", *third]
    tables = [table("Objectives", ["objective", *columns], rows)]
    limits = new.get("constraints") or {}
    if limits:
        met = [name for name, c in limits.items() if number(c.get("value")) <= 0]
        every = "all constraints are met"
        if len(met) < len(limits):
            every = f"{len(met)} of {count(len(limits), 'constraint')} met"
        said.append(tag("li", _verdict(every, len(met) == len(limits))))
        head = ["constraint", "limit", "before", "after", "verdict", *third]
        checked = []
        for name, c in limits.items():
            before, more = ((score.get("constraints") or {}).get(name, {}) for score in (old, other))
            checked.append([*_constraint(name, before, c), *[_actual(more)][: len(third)]])
        tables.append(table("Constraints", head, checked))
    else:
        tables.append(tag("p", "The study sets no constraints.", class_="soft"))
    if (choices := result.get("choices")) is not None:
        said.append(tag("li", "chosen: ", _listed([f"{name} {option}" for name, option in choices["chosen"].items()])))
        tables.append(_choices(choices))
    if (rivals := _rivals(result)) is not None:
        tables.append(rivals)
    costs = [number((score.get("cost") or {}).get("total")) for score in (old, new)]
    if has_prices(new) and math.isfinite(costs[1]):
        said.append(tag("li", f"total cost: {_money(costs[0])} → {_money(costs[1])}"))
    errors = "Computed without sampling: the values have no statistical error."
    if sampled:
        errors = "Errors are statistical, one standard deviation."
    if result.get("inference"):
        errors += " They hold the spread between heads."
    if paired:
        errors += " All designs see the same random numbers: differences are surer than the errors of their parts say, "
        errors += "and “in errors” counts that."
    note = tag("p", errors, class_="soft")
    return tag("section", tag("h2", "The answer"), tag("ul", *said), audit(result), *tables, note, class_="answer")


def _choices(choices: dict[str, Any]) -> Markup:
    """The best combinations of options, each after a short search of its own."""
    best, names = choices["best"], list(choices["chosen"])
    rows = [
        [*(c["chosen"][n] for n in names), percent(math.expm1(c["loss"] - best[0]["loss"])) if i else "best"]
        for i, c in enumerate(best)
    ]
    tried, total = choices["tried"], choices["combinations"]
    some = f"All {total}" if tried == total else f"{tried} of the {total}"
    return table(f"{some} combinations were tried; the best", [*names, "weighted objectives, against the best"], rows)


def _rivals(result: dict[str, Any]) -> Markup | None:
    """The optimum against other designs that the study names."""
    rows = []
    for rival, score in (result.get("rivals") or {}).items():
        paired = pairs(result, rival)
        missed = [n for n, c in (score.get("constraints") or {}).items() if not number(c.get("value")) <= 0]
        limits = _verdict(f"misses {_listed(missed)}", False) if missed else _verdict("met", True)
        for name, before in score["objectives"].items():
            after = result["final"]["objectives"].get(name, {})
            unit, title = after.get("display_unit") or after.get("unit") or "", after.get("title") or name
            change, word = _change(before, after, paired.get(name))
            score, apart = (
                quantity(before.get("value"), unit, before.get("error")),
                sigmas(before, after, paired.get(name)),
            )
            rows.append([rival, title, score, percent(change), apart, _verdict(word), limits])
    head = ["rival", "objective", "its score", "change to after", "in errors", "verdict", "its constraints"]
    return table("The optimum against other designs", head, rows) if rows else None


def _change(before: dict[str, Any], after: dict[str, Any], paired: dict[str, Any] | None = None) -> tuple[float, str]:
    """The relative change and what it means, given the goal and the errors."""
    old, new = number(before.get("value")), number(after.get("value"))
    if not (math.isfinite(old) and math.isfinite(new)):
        return math.nan, "unknown"
    _, error = difference(before, after, paired)
    change = (new - old) / abs(old) if old else math.nan
    if abs(new - old) <= 1e-9 * abs(old):
        return change, "unchanged"
    if abs(new - old) < 2 * error:
        return change, "same within errors"
    goal = after.get("goal")
    if goal not in ("minimise", "maximise"):
        return change, "changed"
    return change, "better" if (new < old) == (goal == "minimise") else "worse"


def _verdict(word: str, good: bool | None = None) -> Markup:
    good = word == "better" if word in ("better", "worse") else good
    return tag("span", word, class_=None if good is None else "good" if good else "bad")


def _constraint(name: str, before: dict[str, Any], after: dict[str, Any]) -> list[Any]:
    unit, value = after.get("display_unit") or after.get("unit") or "", number(after.get("value"))
    texts = [_actual(s) for s in (before, after)]
    named = tag("span", after.get("title") or name, " ", tag("span", name, class_="soft"))
    if not math.isfinite(value):
        verdict = _verdict("unknown", False)
    elif value > 0:
        verdict = _verdict(f"not met, by {percent(value).lstrip('+')}", False)
    else:
        room = f"{percent(-value).lstrip('+')} to spare" if value < -1e-4 else "at the limit"
        verdict = _verdict(f"met, {room}", True)
    return [named, quantity(after.get("limit"), unit, digits=5), *texts, verdict]


def _actual(constraint: dict[str, Any]) -> str:
    unit = constraint.get("display_unit") or constraint.get("unit") or ""
    return quantity(constraint.get("actual"), unit, digits=5)


def _variables(result: dict[str, Any]) -> Markup | None:
    rows, listed = [], result.get("variables") or []
    designs = ["initial", "final", *(["without"] if any("without" in v for v in listed) else [])]
    for v in listed:
        values = (quantity(v.get(key), v.get("display_unit", "")) for key in (*designs, "lower", "upper"))
        tied = tag("span", f" and {', '.join(v['tied'])}", class_="soft") if v.get("tied") else None
        at = v.get("at_bound")
        rows.append([tag("span", v["name"], tied), *values, tag("strong", f"at the {at} bound") if at else "no"])
    head = ["variable", *(DESIGNS[key] for key in designs), "lower bound", "upper bound", "at a bound?"]
    return table("What the search could change", head, rows) if rows else None


def _cost(result: dict[str, Any]) -> Markup | None:
    if not has_prices(result["final"]):
        return None
    before, after, other = ((result.get(which) or {}).get("cost") or {} for which in DESIGNS)
    rows, third = [], [DESIGNS["without"]] if other else []
    for key in sorted({**before, **after, **other}, key=lambda key: key == "total"):
        old, new = (number(c.get(key, 0.0)) for c in (before, after))
        change = "same" if abs(new - old) <= 1e-5 * abs(old) else ("−" if new < old else "+") + _money(abs(new - old))
        shown = change if math.isfinite(new - old) else MISSING
        rows.append(
            [
                key.replace("_", " "),
                _money(old),
                _money(new),
                shown,
                *(_money(number(other.get(key, 0.0))) for _ in third),
            ]
        )
    return table("What the detector costs", ["item", "before", "after", "change", *third], rows)


def provenance(run: Any, result: dict[str, Any], search: str, command: str) -> Markup:
    """Where the numbers come from, and how to get them again."""
    m = run.manifest
    packages = ", ".join(f"{name} {version}" for name, version in (m.get("packages") or {}).items())
    facts = {
        "command": tag("code", m.get("command") or MISSING),
        "seed": m.get("seed", result.get("seed", MISSING)),
        "search": f"{search} in {_duration(result.get('seconds'))}, mode {result.get('mode')}",
        "stopped because": result.get("stopped") or MISSING,
        "whole run": f"{_duration(m.get('seconds'))}, {_clock(m.get('started'))} to {_clock(m.get('finished'))}",
        "detopt": f"{m.get('detopt') or MISSING}, commit {m.get('commit') or 'unknown'}",
        "python": f"{m.get('python') or MISSING}; {packages}",
        "platform": m.get("platform") or MISSING,
    }
    listed = table("Where these numbers come from", ["what", "value"], [[*fact] for fact in facts.items()])
    again = [f"git checkout {m['commit']}"] if m.get("commit") else [f"pip install detopt=={m.get('detopt', '')}"]
    again += [f"detopt {command} {shlex.quote(str(run.folder / 'study.yaml'))} --seed {m.get('seed', 0)}"]
    return tag(
        "section",
        tag("h2", "Provenance"),
        tag("div", listed, class_="note"),
        tag("h2", "How to reproduce"),
        tag("p", Markup("<code>study.yaml</code> in the run folder holds the whole study, nothing else is needed:")),
        _copyable("\n".join(again)),
    )


def _files(run: Any) -> Markup | None:
    parts = []
    titles = {"study.yaml": "The study, resolved", "detector.yaml": "The detector that was found",
              "design.tex": "Tables for a paper"}  # fmt: skip
    if run.result.get("without"):
        titles["detector_without_head.yaml"] = "The optimum without the head's loss"
    for name, title in titles.items():
        try:
            text = design_tex(run.result) if name == "design.tex" else run.text(name)
        except RunError:  # it did not get that far
            continue
        parts.append(tag("details", tag("summary", f"{title} ({name})"), _copyable(text)))
    return tag("section", tag("h2", "Files"), *parts) if parts else None


def _copyable(text: str) -> Markup:
    return tag("div", tag("button", "Copy", type="button"), tag("pre", tag("code", text), tabindex=0), class_="copy")


def _money(value: float) -> str:
    return quantity(value, "kEUR", digits=5)


def _clock(time: str | None) -> str:
    return (time or MISSING).replace("T", " ")


def _duration(seconds: Any) -> str:
    seconds = number(seconds)
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "nothing"
