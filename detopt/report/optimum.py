"""What the optimum rests on, in words: what holds it, at which price, and how exactly it must be built."""

import math
from typing import Any

from detopt.report.markup import Markup, table, tag
from detopt.report.text import MISSING, number, per, percent, quantity, signed

__all__ = ["optimum_tables"]

_HARDLY = 1e-4  # of an objective, over the whole range of a variable
_FREE = 0.03  # of the gradient that nothing holds: a design that could still be improved


def optimum_tables(result: dict[str, Any]) -> list[Markup]:
    """Sentences and tables; none for a run that does not tell."""
    optimum = result.get("optimum") or {}
    if not optimum.get("gradients"):
        return []
    objectives = result["final"]["objectives"]
    known = {v["name"]: v for v in result.get("variables") or []}
    parts = [_how_stationary(optimum), _prices(optimum, objectives), _slopes(optimum, objectives, known)]
    return [part for part in [*parts, *_tolerances(optimum, known, result.get("mode"))] if part is not None]


def _unit(entry: dict[str, Any]) -> str:
    return str(entry.get("display_unit") or entry.get("unit") or "")


def _title(name: str, objective: dict[str, Any]) -> str:
    return str(objective.get("title") or name)


def _how_stationary(optimum: dict[str, Any]) -> Markup | None:
    residual = number(optimum.get("residual"))
    if not math.isfinite(residual):
        return None
    left, noise = percent(residual).lstrip("+"), number(optimum.get("noise"))
    said = f"Bounds and constraints hold all of the loss's gradient but {left} of its length"
    if noise > 0:
        said += f"; its statistical errors alone would leave about {percent(noise).lstrip('+')}."
    elif residual < _FREE:
        said += ": no small step within them improves the design."
    else:
        said += ": the design is not quite there yet."
    if optimum.get("unique") is False:
        said += " Some of them hold in the same direction: how they share a price is not unique."
    return tag("p", said)


def _prices(optimum: dict[str, Any], objectives: dict[str, Any]) -> Markup | None:
    """Dearest first."""
    listed = [p for p in optimum.get("prices") or [] if math.isfinite(number((p.get("loss") or {}).get("value")))]
    if not listed:
        return None
    split = [n for n in objectives if any((p.get("objectives") or {}).get(n) is not None for p in listed)]
    several = len(objectives) > 1
    rows = []
    for p in sorted(listed, key=lambda p: number(p["loss"]["value"])):
        change, error = (number(p["loss"].get(key)) for key in ("value", "error"))
        each = p.get("objectives") or {}
        rows.append([_gives_way(p), *([_loss(change, error)] if several or not split else []),
                     *(_share(number(each.get(n))) for n in split)])  # fmt: skip
    head = ["if this gave way", *(["weighted objectives"] if several or not split else [])]
    head += [_title(n, objectives[n]) for n in split]
    return table("Shadow prices: by how much the optimum would improve, to first order", head, rows)


def _loss(change: float, error: float) -> str:
    """A change of the loss as one of the weighted objectives."""
    return signed(change, "%", error) if error > 0 else _share(change)


def _share(change: float) -> str:
    """Per cent; what rounds to nothing is 0, without a sign."""
    return "0" if abs(change) < 5e-5 else percent(change)


def _gives_way(price: dict[str, Any]) -> Markup:
    """ "cost: 100 kEUR more"."""
    symbol, sense = _unit(price), price.get("sense")
    step = quantity(price.get("step"), symbol)
    if price.get("kind") == "bound":
        what = (
            f"{sense} bound {quantity(price.get('limit'), symbol)}, {step} {'lower' if sense == 'lower' else 'higher'}"
        )
    elif sense in ("max", "min"):
        what = f"limit {quantity(price.get('limit'), symbol, digits=5)}, {step} {'more' if sense == 'max' else 'less'}"
    else:
        what = f"{quantity(price.get('step'), '%')} looser"
    title = price.get("title")
    known = tag("span", price["name"], " ", tag("span", what, class_="soft"))
    return (
        tag("span", known, tag("span", f" ({title})", class_="soft"))
        if title and sense not in ("max", "min")
        else known
    )


def _slopes(optimum: dict[str, Any], objectives: dict[str, Any], known: dict[str, dict[str, Any]]) -> Markup | None:
    """In natural units."""
    split = [n for n in objectives if any(n in (g.get("objectives") or {}) for g in optimum["gradients"])]
    rows = []
    for g in optimum["gradients"]:
        variable = known.get(g["variable"], {})
        cells = [_slope((g.get("objectives") or {}).get(n) or {}, objectives[n], variable) for n in split]
        along = g.get("per_range") or {}
        range_ = signed(number(along.get("value")) / 100, "%", number(along.get("error")) / 100)
        rows.append(
            [
                g["variable"],
                *cells,
                range_,
                ", ".join(g.get("held_by") or []) or _nothing(g),
            ]
        )
    head = ["variable", *(_title(n, objectives[n]) for n in split), "loss, for 1 % of the range", "held by"]
    caption = "Gradients at the optimum, all else fixed"
    caption += "" if split else "; of the weighted objectives, which the search differentiates together"
    return table(caption, head, rows) if rows else None


def _slope(slope: dict[str, Any], objective: dict[str, Any], variable: dict[str, Any]) -> str:
    """In the units of both; 0 where the whole range hardly matters."""
    value, error = (number(slope.get(key)) for key in ("value", "error"))
    whole = abs(value * (number(variable.get("upper")) - number(variable.get("lower"))))
    if not error > 0 and whole < _HARDLY * abs(number(objective.get("value"))):
        return "≈ 0"
    return signed(value, per(_unit(objective), _unit(variable)), error)


def _nothing(gradient: dict[str, Any]) -> str:
    """Why nothing holds a variable."""
    if gradient.get("free"):
        return "nothing"
    along = gradient.get("per_range") or {}
    return "within its error" if number(along.get("error")) > 0 else "flat"


def _tolerances(optimum: dict[str, Any], known: dict[str, dict[str, Any]], mode: Any) -> list[Markup | None]:
    listed = optimum.get("tolerances")
    if not listed:
        why = "Tolerances are not computed in sampled mode: gradients there have no second derivatives."
        return [tag("p", why, class_="soft")] if mode == "sampled" else []
    rows = []
    for t in listed:
        variable, room = known.get(t["variable"], {}), t.get("room") or [None, None]
        unit = _unit(variable)
        ends = [_end(t.get(key), space, unit) for key, space in zip(("minus", "plus"), room, strict=True)]
        rows.append([t["variable"], quantity(variable.get("final"), unit), *ends])
    caption = "Tolerances: how far each variable may move by itself until the loss is 1 % worse, constraints aside"
    return [table(caption, ["variable", "after", "down", "up"], rows)]


def _end(distance: Any, room: Any, unit: str) -> str:
    """A distance, or what stands in the way."""
    if math.isfinite(number(distance)):
        return quantity(distance, unit, digits=3)
    if not math.isfinite(number(room)):
        return MISSING
    return f"beyond {quantity(room, unit, digits=3)} (bound)" if number(room) > 0 else "at the bound"
