"""YAML text to plain data with line and column; whatever cannot be read is a BadInput and nothing else."""

import pytest

from detopt.study.document import Document
from detopt.study.faults import BadInput


@pytest.fixture
def document(tmp_path):
    def read(text):
        path = tmp_path / "file.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Document(path)

    return read


def at(document, *place, key=False):
    document.faults.clear()
    document.fault(place, "here", key=key)
    return document.faults[0].line, document.faults[0].column


def test_scalars_stay_text(document):
    read = document("a: 1e-3\nb: on\nc: 012\nd: ~\ne: 'null'\nf: 2020-01-01\ng: \"80 um\"\nh:\n")
    assert read.data == {
        "a": "1e-3", "b": "on", "c": "012", "d": None, "e": "null", "f": "2020-01-01", "g": "80 um", "h": None,
    }  # fmt: skip
    assert not read.faults


def test_line_and_column(document):
    read = document("top: 1\nlist:\n  - {name: L0, pitch: {rphi: 27 um}}\n  - name: L1\n    radius: 3 mm\n")
    assert at(read) == (1, 1)
    assert at(read, "top") == (1, 6)
    assert at(read, "top", key=True) == (1, 1)
    assert at(read, "list", 0) == (3, 5)
    assert at(read, "list", 0, "pitch", "rphi") == (3, 30)
    assert at(read, "list", 0, "pitch", "rphi", key=True) == (3, 24)
    assert at(read, "list", 1, "radius") == (5, 13)
    assert at(read, "list", 1, "absent", "deep") == (4, 5), "falls back to what is there"
    assert at(read, "list", 7) == (3, 3)


def test_places_in_words(document):
    read = document("elements:\n  - {name: L0, pitch: {rphi: 1}}\n  - {radius: 2}\n  - name: [no, text]\n")
    assert read.where(("elements", 0, "pitch")) == "L0"
    assert read.where(("elements", 0, "pitch", "rphi")) == "L0.pitch"
    assert read.where(("elements", 0)) == "L0"
    assert read.where(("elements", 1, "radius")) == "elements[1]"
    assert read.where(("elements", 2)) == "elements[2]"
    assert read.where(()) == ""


def test_duplicate_keys(document):
    read = document("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert [(f.line, f.column) for f in read.faults] == [(2, 11), (3, 1)]
    assert "duplicate key 'a' (first on line 1)" in read.faults[1].message
    assert read.data == {"a": "1", "b": {"c": "1"}}


@pytest.mark.parametrize(
    ("text", "column"),
    [("a: !!python/object:os.system x", 4), ("a: !include b.yaml", 4), ("a: !!binary aGk=", 4), ("a: !!set {b, c}", 4)],
)
def test_tags(document, text, column):
    read = document(text)
    assert [(f.line, f.column) for f in read.faults] == [(1, column)]
    assert "tags" in read.faults[0].message


def test_aliases_stand_for_their_anchor(document):
    read = document("a: &pixel {rphi: 27 um}\nb: *pixel\n")
    assert read.data == {"a": {"rphi": "27 um"}, "b": {"rphi": "27 um"}}
    assert not read.faults


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"", None, "empty"),
        (b"# only a comment\n", None, "empty"),
        (b"\xef\xbb\xbf", None, "empty"),
        (b"a: \xff\xfe", None, "UTF-8"),
        (b"a: 1\nb: \x80abc", None, "UTF-8"),
        ("a: 1".encode("utf-16"), None, "UTF-8"),
        (b"a: \x00", None, "not valid YAML"),
        (b"a: {b: 1\nc: 2\n", 2, "not valid YAML"),
        (b"a: [1, 2\n", 2, "not valid YAML"),
        (b"a: b: c\n", 1, "not valid YAML"),
        (b"a: 'open\n", 2, "not valid YAML"),
        (b"a: 1\n\tb: 2\n", 2, "not valid YAML"),
        (b"a:\n\t- 1\n", 2, "not valid YAML"),
        (b"a: 1\n  b: 2\n", 2, "not valid YAML"),
        (b"a: *nowhere\n", 1, "not valid YAML"),
        (b"---\na: 1\n---\nb: 2\n", 3, "not valid YAML"),
        (b"%YAML 9.9\n---\na: 1\n", 1, "not valid YAML"),
        (b"a: @b\n", 1, "not valid YAML"),
        (b"&a [*a]", 1, "deep"),
        (b"a: &a {b: *a}", 1, "deep"),
        (b"[" * 60 + b"]" * 60, 1, "deep"),
        (b"[" * 20_000, None, "not valid YAML"),
        (b"{a: " * 20_000, None, "not valid YAML"),
        (b"- " * 20_000, None, "not valid YAML"),
        (b"? " * 5_000, None, "not valid YAML"),
        (BOMB.encode(), None, "deep"),
    ],
)
@pytest.mark.timeout(20)
def test_unreadable(document, text, line, message):
    with pytest.raises(BadInput, match=message) as refused:
        document(text)
    (fault,) = refused.value.faults
    assert fault.file.endswith("file.yaml")
    assert "\n" not in fault.message
    if line is not None:
        assert fault.line == line


def test_byte_order_mark_and_line_ends(document):
    read = document(b"\xef\xbb\xbfschema: 1\r\na: 2\r\n")
    assert read.data == {"schema": "1", "a": "2"}
    assert at(read, "a", key=True) == (2, 1)
    assert at(read, "schema", key=True) == (1, 1)


def test_tabs(document):
    """Inside text and comments they are ordinary characters; elsewhere they are refused where they stand."""
    read = document("a: 'x\ty'\nb: [1, 2] #\tc\n")
    assert read.data == {"a": "x\ty", "b": ["1", "2"]}
    assert at(read, "b", 1) == (2, 8)
    with pytest.raises(BadInput, match="not valid YAML") as refused:
        document("a: 1\nb:\t2\n")
    assert (refused.value.faults[0].line, refused.value.faults[0].column) == (2, 3)


def test_keys_that_are_no_words(document):
    assert document("{a: 1}: 2\n? [b]\n: 3\n1: 4\nnull: 5\n").data["1"] == "4"


def test_no_such_file_and_folder(tmp_path):
    for path, message in ((tmp_path / "absent.yaml", "no such file"), (tmp_path, "cannot be read")):
        with pytest.raises(BadInput, match=message):
            Document(path)


def test_excerpt_points_at_the_column(document):
    read = document("a: 1\nlong: " + "x" * 200 + " \n")
    read.fault(("a",), "here")
    read.fault(("long",), "there")
    for fault in read.faults:
        text, caret = fault.excerpt().splitlines()
        assert text[caret.index("^")] == ("1" if fault.line == 1 else "x")


def test_anchor_used_twice(document):
    """YAML allows it, and a warning with a Python path is no answer to a user: read, or refused as a fault."""
    try:
        read = document("a: &x 1\nb: &x 2\nc: *x\n")
    except BadInput as refused:
        assert refused.faults[0].line == 2
    else:
        assert read.faults or read.data == {"a": "1", "b": "2", "c": "2"}
