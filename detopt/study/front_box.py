"""The unit box that a search for a front works in: the study's variables, and behind them the options of its choices."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from detopt.search.options import OptionCodes
from detopt.study.studies import Study
from detopt.study.variants import Variants

__all__ = ["FrontBox", "at_row", "values_of", "variant_of"]


class FrontBox:
    """Points of the box, and the studies that they are designs of: one for each combination of options."""

    def __init__(self, study: Study) -> None:
        self.study, self.variant = study, Variants(study)
        self.codes = OptionCodes(len(study.space), self.variant.sizes)

    @property
    def start(self) -> Float[np.ndarray, "1 n"]:
        """The design as drawn, with the first options."""
        return self.codes.with_codes(np.array([self.study.space.init]), np.zeros((1, len(self.codes.sizes)), int))

    def columns(self, variant: Study) -> Int[np.ndarray, " c"]:
        """Where the variables of a variant stand in the box."""
        return np.array([_owner(self.study, name) for name in variant.space.names], int)

    def variants(self, u: Float[np.ndarray, "p n"]) -> Iterator[tuple[np.ndarray, Study]]:
        """The rows of the points of each combination, and its study, if there is one."""
        options = self.codes.options(u)
        for combination in np.unique(options, axis=0):
            if (variant := self.variant(tuple(combination.tolist()))) is not None:
                yield np.flatnonzero((options == combination).all(axis=1)), variant

    def table(self, u: Float[np.ndarray, "p n"]) -> dict[str, Any]:
        """Options and variables as columns of a table; a variable that a combination does not have is NaN."""
        options, exists = self.codes.options(u), np.zeros((len(u), self.codes.continuous), bool)
        for rows, variant in self.variants(u):
            exists[np.ix_(rows, self.columns(variant))] = True
        chosen = [self.variant.chosen(tuple(row)) for row in options.tolist()]
        names = {name: [c[name] for c in chosen] for name in self.study.choices}
        values = {
            v.name: np.where(exists[:, i], np.asarray(v.value(u[:, i])), np.nan)
            for i, v in enumerate(self.study.space.variables)
        }
        return {**names, **values}


def _owner(study: Study, name: str) -> int:
    """Which variable of a study moves a number: in a variant the first of those that are left has another name."""
    return next(i for i, v in enumerate(study.space.variables) if name in v.names)


def variant_of(study: Study, row: Mapping[str, Any]) -> Study:
    """The combination of options that a row of the table is of. Raises KeyError."""
    chosen = {name: row[name] for name in study.choices}
    return study.variant(chosen) if chosen else study


def values_of(study: Study, variant: Study, row: Mapping[str, Any]) -> dict[str, float]:
    """The values of a combination's variables in a row of the table. Raises KeyError."""
    return {n: row[study.space.variables[_owner(study, n)].name] for n in variant.space.names}


def at_row(study: Study, row: Mapping[str, Any]) -> tuple[Study, dict[str, float]]:
    """The combination that a row of the table is of, and the values of its variables. Raises KeyError."""
    variant = variant_of(study, row)
    return variant, values_of(study, variant, row)
