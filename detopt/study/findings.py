"""What is wrong with a class from outside, gathered so that all of it is told at once."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from detopt.parameters import quantities
from detopt.study.plugins import PluginError, contract_faults
from detopt.study.schema import model

__all__ = ["Findings", "broken"]


def broken(subject: str, lines: Sequence[str]) -> str:
    """All findings, a line each."""
    return f"{subject} breaks its contract:" + "".join(f"\n  - {line}" for line in lines)


class Findings:
    """What is wrong, gathered."""

    def __init__(self, subject: str) -> None:
        self.subject, self.lines = subject, list[str]()

    def add(self, *messages: str) -> None:
        self.lines += [m for m in messages if m not in self.lines]

    def attempt(self, what: str, check: Callable[[], None]) -> None:
        """Run a check; an exception in it is a finding as well."""
        try:
            check()
        except Exception as error:
            first = " ".join(str(error).split("\n")[0].split())
            self.add(f"{what}: {type(error).__name__}: {first}")

    def settle(self) -> None:
        """Raise AssertionError where anything was found."""
        if self.lines:
            raise AssertionError(broken(self.subject, self.lines))

    def of_class(self, cls: type, what: str) -> None:
        """What is wrong with how an element, objective or source is declared."""
        self.add(*contract_faults(cls, what))
        try:
            model(cls)
        except PluginError as error:
            self.add(str(error))
        for name, declared in quantities(cls).items():
            if not declared.doc.strip():
                self.add(f"{name} has no doc, which `detopt check` and reports show")
            default = next(f.default for f in dataclasses.fields(cls) if f.name == name)
            for value in default if isinstance(default, tuple) else (default,):
                if isinstance(value, float | int) and (wrong := declared.fault(value)):
                    self.add(f"{name}: its default {wrong}, and is {value:g}")

    def of_value(self, thing: Any) -> None:
        """Whether it can be copied, compared and hashed."""
        copy: Any = dataclasses.replace(thing)
        if copy != thing or hash(copy) != hash(thing):
            self.add("a copy of it is not equal to it")
