"""The final design as LaTeX, ready to be put into a paper: design.tex in the run folder, with tables in booktabs' style."""

import re
from pathlib import Path
from typing import Any

from detopt.report.text import MISSING, number, quantity

__all__ = ["design_tex", "write_design"]

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\textquotedbl{}", "µ": r"\textmu{}", "±": r"$\pm$", "−": "$-$", "×": r"$\times$", "²": r"$^2$", "³": r"$^3$",
    "°": r"$^\circ$", "‰": r"\textperthousand{}", MISSING: "--", "…": r"\ldots{}", "σ": r"$\sigma$", "θ": r"$\theta$",
}  # fmt: skip


_NAMED = {"x_over_X0": "$x/X_0$", "rphi": r"$r\varphi$", "z": "$z$"}


def escaped(text: Any) -> str:
    """Text on one line, in which nothing is a command. What no font of pdflatex has is a question mark."""
    line = " ".join(str(text).split())
    return "".join(_SPECIAL.get(c, c if c.isascii() or c in _LATIN else "?") for c in line)


_LATIN = "".join(chr(code) for code in range(0xC0, 0x180))  # letters with accents, which T1 has


def write_design(run: Any) -> Path:
    """Write design.tex into the folder of a run; returns its path."""
    path = Path(run.folder) / "design.tex"
    part = path.with_suffix(".part")
    part.write_text(design_tex(run.result), encoding="utf-8")
    part.replace(path)
    return path


def design_tex(result: dict[str, Any]) -> str:
    r"""The tables, to be read with \input."""
    study = escaped(result["study"])
    parts = [
        "% The design that detopt found, and what it is worth.\n"
        "% \\input{design} after \\usepackage{booktabs,textcomp} and \\usepackage[T1]{fontenc}.\n"
    ]
    design = _design_rows(result)
    if design:
        caption = f"Free parameters of {escaped(result['detector'])} before and after the search {study}."
        parts.append(
            _table("llrrrr", ["element", "parameter", "before", "after", "lower", "upper"], design, caption, "design")
        )
    if objectives := _objective_rows(result):
        caption = f"Objectives of {study} before and after the search."
        parts.append(_table("lrr", ["objective", "before", "after"], objectives, caption, "objectives"))
    if limits := _limit_rows(result):
        caption = f"Constraints of {study} and what the design has."
        parts.append(_table("lrrr", ["constraint", "limit", "before", "after"], limits, caption, "constraints"))
    return "\n".join(parts)


def _table(columns: str, head: list[str], rows: list[list[str]], caption: str, label: str) -> str:
    lines = [" & ".join(row) + r" \\" for row in rows]
    inside = "\n    ".join([r"\toprule", " & ".join(head) + r" \\", r"\midrule", *lines, r"\bottomrule"])
    return (
        "\\begin{table}\n  \\centering\n"
        f"  \\caption{{{caption}}}\n  \\label{{tab:{label}}}\n"
        f"  \\begin{{tabular}}{{{columns}}}\n    {inside}\n  \\end{{tabular}}\n\\end{{table}}\n"
    )


def _design_rows(result: dict[str, Any]) -> list[list[str]]:
    """An element after the other, each named once; those that share a number are named together."""
    rows: dict[str, list[list[str]]] = {}
    for v in result.get("variables") or []:
        names = [v["name"], *(v.get("tied") or [])]
        element = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
        unit = v.get("display_unit") or v.get("unit") or ""
        values = [_value(v.get(key), unit) for key in ("initial", "final", "lower", "upper")]
        mine = rows.setdefault(element, [])
        mine.append(["" if mine else escaped(element), _parameter(v["name"]), *values])
    return [row for mine in rows.values() for row in mine]


def _parameter(name: str) -> str:
    """A number of an element, as a paper would call it."""
    words = re.sub(r"^[^.]*\.", "", name).split(".")
    return " ".join(_NAMED.get(word, escaped(word.replace("_", " "))) for word in words)


def _objective_rows(result: dict[str, Any]) -> list[list[str]]:
    rows = []
    for name, after in result["final"]["objectives"].items():
        before, unit = (
            result["initial"]["objectives"].get(name, {}),
            after.get("display_unit") or after.get("unit") or "",
        )
        scores = [_value(o.get("value"), unit, o.get("error")) for o in (before, after)]
        rows.append([escaped(after.get("title") or name), *scores])
        if number(after.get("statistics_only")) > 0:
            rows.append(["\\quad statistics alone", *(_value(o.get("statistics_only"), unit) for o in (before, after))])
    return rows


def _limit_rows(result: dict[str, Any]) -> list[list[str]]:
    rows = []
    for name, after in (result["final"].get("constraints") or {}).items():
        before = (result["initial"].get("constraints") or {}).get(name, {})
        unit = after.get("display_unit") or after.get("unit") or ""
        if after.get("limit") is None:
            word = "met" if number(after.get("value")) <= 0 else "not met"
            rows.append([escaped(after.get("title") or name), "", "", word])
            continue
        values = (after.get("limit"), before.get("actual"), after.get("actual"))
        rows.append([escaped(after.get("title") or name), *(_value(v, unit, digits=5) for v in values)])
    return rows


def _value(value: Any, unit: str, error: Any = 0.0, digits: int = 4) -> str:
    return escaped(quantity(value, unit, error, digits)).replace(" ", "~")
