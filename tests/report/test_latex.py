"""design.tex: what a name holds is text, and every row has as many cells as the table has columns."""

import re
from typing import Any

import pytest

from detopt.report.latex import design_tex, escaped, write_design

from .sample_run import history, sample_result, score, stand_in

EVIL = r"50 % of $\alpha$_{x} & #1 ~^ \input{secret} <a> | é 中"


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)&", row)) + 1


def rows_of(text: str) -> list[tuple[int, str]]:
    """Each row of each table, with the number of columns that it should have."""
    found = []
    for columns, inside in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.S):
        found += [(len(columns), line.strip()) for line in inside.splitlines() if line.strip().endswith(r"\\")]
    return found


def test_nothing_in_a_name_is_a_command() -> None:
    text = escaped(EVIL + "\n\\end{table}")
    assert text == (
        r"50 \% of \$\textbackslash{}alpha\$\_\{x\} \& \#1 \textasciitilde{}\textasciicircum{} "
        r"\textbackslash{}input\{secret\} \textless{}a\textgreater{} \textbar{} é ? \textbackslash{}end\{table\}"
    )


def test_the_tables() -> None:
    text = design_tex(sample_result())
    assert r"L0 & radius & 23.2~mm & 20~mm & 20~mm & 60~mm \\" in text
    assert r"L0, L1, L2 & pitch & 28~\textmu{}m & 22.1~\textmu{}m" in text
    assert r"d0 resolution at 1 GeV & 21.3~\textmu{}m & 16.8~\textmu{}m \\" in text
    assert r"cost at most 900 kEUR & 900~kEUR & 919.5~kEUR & 898.2~kEUR \\" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\begin{table}") == 3
    assert all(cells(row) == columns for columns, row in rows_of(text))


def test_awkward_names_and_missing_numbers() -> None:
    result = sample_result() | {"study": EVIL, "detector": EVIL}
    result["variables"][0] |= {"name": f"L0.{EVIL}", "final": None, "tied": [f"{EVIL}.radius"]}
    one = score(0.02, 0.01, {})["objectives"]["d0"] | {"title": EVIL, "value": None, "statistics_only": 0.01}
    result["final"]["objectives"] = {EVIL: one}
    result["final"]["constraints"] = {EVIL: {"value": None, "title": EVIL}}
    text = design_tex(result)
    assert all(cells(row) == columns for columns, row in rows_of(text))
    assert "nan" not in text.lower()
    assert "None" not in text
    body = re.sub(r"\\[{}$&#%_]", "", re.sub(r"^%.*$", "", text, flags=re.M))
    assert body.count("{") == body.count("}")
    assert body.count("$") % 2 == 0
    assert not re.search(r"[#%]", body)


@pytest.mark.parametrize("key", ["variables", "constraints"])
def test_nothing_to_list(key: str) -> None:
    result = sample_result()
    if key == "variables":
        result["variables"] = []
    else:
        result["final"]["constraints"] = {}
    assert design_tex(result).count(r"\begin{table}") == 2


def test_it_is_written(tmp_path: Any) -> None:
    run = stand_in(tmp_path, sample_result(), history(0))
    assert write_design(run).read_text(encoding="utf-8") == design_tex(run.result)
    assert [p.name for p in tmp_path.iterdir()] == ["design.tex"]
