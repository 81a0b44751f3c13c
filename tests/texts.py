"""Texts that tests write to files."""

from collections.abc import Iterable


def changed(text: str, changes: Iterable[tuple[str, str]]) -> str:
    """The text with some replacements, each of which has to be there once."""
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    return text
