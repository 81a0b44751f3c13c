"""The pages of docs/: what they show is well formed, and what they name exists."""

import json
import re
import shlex
import subprocess
import sys

import pytest
import typer.main
from ruamel.yaml import YAML

import detopt
from detopt.cli import app

PAGES = ["index", "getting-started", "concepts", "gradients", "physics", "trust", "comparison", "lessons"]
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def pages(root):
    """Text by path."""
    return {str(p.relative_to(root / "docs")): p.read_text() for p in sorted((root / "docs").rglob("*.md"))}


def blocks(pages, kind):
    return [(name, code) for name, text in pages.items() for word, code in BLOCK.findall(text) if word == kind]


def test_there_are_blocks(pages):
    assert {f"{p}.md" for p in PAGES} <= set(pages)
    assert len(blocks(pages, "sh")) > 10
    assert len(blocks(pages, "yaml")) > 8


def test_yaml_can_be_read(pages):
    for _, code in blocks(pages, "yaml"):
        assert YAML(typ="safe", pure=True).load(code)


def test_whole_files_load(pages, root, tmp_path, monkeypatch, cli):
    """Those that say which schema they follow; what they name is made as their page says."""
    monkeypatch.chdir(tmp_path)
    (table,) = [code for _, code in blocks(pages, "csv")]
    (tmp_path / "layers.csv").write_text(table)
    assert cli("new", "--from-csv", "layers.csv", "--field", "2 T").code == 0
    whole = [(n, c) for n, c in blocks(pages, "yaml") if re.search(r"^schema: 1", c, re.MULTILINE) and "./" not in c]
    assert len(whole) >= 3
    for name, code in whole:
        (tmp_path / "file.yaml").write_text(code)
        assert detopt.load("file.yaml"), name


def test_python_compiles(pages):
    for name, code in blocks(pages, "python"):
        compile(code, name, "exec")


def test_commands_exist(pages):
    """Each `detopt …` of a page has a command of that name, with those options."""
    group = typer.main.get_command(app)
    seen = 0
    for name, code in blocks(pages, "sh"):
        for line in code.splitlines():
            words = shlex.split(line, comments=True)
            if not words or words[0] != "detopt":
                continue
            command, rest = group.commands[words[1]], words[2:]
            if hasattr(command, "commands"):
                command, rest = command.commands[rest[0]], rest[1:]
            known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
            assert [w for w in rest if w.startswith("-") and w not in known] == [], f"{name}: {line}"
            seen += 1
    assert seen > 20


def test_files_that_are_named_exist(pages, root):
    named = [
        (page, file)
        for page, text in pages.items()
        for file in re.findall(r"\b((?:tests|studies|detectors|detopt)/[\w/]+\.(?:py|yaml))\b", text)
    ]
    assert named
    written_by_the_reader = {"detectors/mine.yaml", "detectors/layers.yaml", "studies/mine.yaml"}
    assert [n for n in named if n[1] not in written_by_the_reader and not (root / n[1]).exists()] == []


@pytest.fixture(scope="module")
def site(root, tmp_path_factory):
    """The site, built as `make docs` builds it: any broken link is an error."""
    pytest.importorskip("mkdocs", reason="needs detopt[docs]")
    out = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(out)]
    built = subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    return out


def test_the_site_needs_no_network(site):
    """No page takes a script, style, font or picture from elsewhere; links may lead there."""
    found = []
    for file in site.rglob("*.html"):
        text = file.read_text()
        found += [(file.name, m) for m in re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(https?:|//)", text)]
        for link in re.findall(r"<link\s[^>]*>", text):
            if re.search(r"href=\"?(https?:|//)", link) and "canonical" not in link:
                found.append((file.name, link))
    for file in site.rglob("*.css"):
        found += [
            (file.name, m) for m in re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)\"']*", file.read_text())
        ]
    assert found == []


def test_every_command_and_type_is_in_the_reference(site):
    from detopt.study.json_schema import KINDS

    commands = (site / "reference" / "command-line.html").read_text()
    assert [c for c in typer.main.get_command(app).commands if f"detopt {c}" not in commands] == []
    types = (site / "reference" / "yaml.html").read_text()
    shown = ("element", "field", "source", "objective", "constraint", "head", "search")
    assert [w for kind in shown for w in KINDS[kind] if f"<code>{w}</code>" not in types] == []
    assert json.loads((site / "search" / "search_index.json").read_text())["docs"]
    assert (site / "search" / "search_index.js").is_file()  # what is read where pages are opened from disk
