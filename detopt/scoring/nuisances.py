"""What is not known exactly of the expected counts: names, sizes, and which samples they act on. Plain Python, no JAX."""

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["Nuisances"]


@dataclass(frozen=True)
class Nuisances:
    """The uncertainties of one channel. Hashable, so that compiled code may depend on it.

    Args:
        samples: names; the first is the signal.
        with_errors: for each sample, whether the statistical error of its simulation counts (HistFactory's staterror).
        normalisations: names of log-normal uncertainties (normsys): a sample is multiplied by (1 + size)^alpha, where
            alpha is measured to be 0 +- 1.
        sizes: for each of these the size in each sample: 0.05 is 5 %, 0 does not act, a negative one acts the other way.
        free: names of free normalisations (normfactor), which start from 1 and which only the data constrain.
        scaled: for each of these, whether it multiplies each sample.
        shapes: names of shape uncertainties (histosys), in the order of the templates' `low` and `high`.

    Raises:
        ValueError: lengths that do not fit, a size of -100 % or less, or a name used twice.
    """

    samples: tuple[str, ...]
    with_errors: tuple[bool, ...]
    normalisations: tuple[str, ...] = ()
    sizes: tuple[tuple[float, ...], ...] = ()
    free: tuple[str, ...] = ()
    scaled: tuple[tuple[bool, ...], ...] = ()
    shapes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.samples)
        if not count or len(set(self.samples)) < count or len(self.with_errors) != count:
            raise ValueError(
                f"samples {self.samples} need different names, and as many entries of with_errors as there are"
            )
        for kind, names, rows in (
            ("normalisation", self.normalisations, self.sizes),
            ("free normalisation", self.free, self.scaled),
        ):
            if len(names) != len(rows) or any(len(row) != count for row in rows):
                raise ValueError(f"each {kind} of {names} needs one entry for each of the {count} samples: {rows}")
        if any(not size > -1 for row in self.sizes for size in row):
            raise ValueError(f"a normalisation cannot vary by -100 % or more: {self.sizes}")
        names = ("mu", *self.names)
        if len(set(names)) < len(names):
            raise ValueError(f"two nuisances of the same name, or one that is called mu: {self.names}")

    @property
    def names(self) -> tuple[str, ...]:
        """Of all nuisances, in the order in which the fit holds them; the errors of the simulation are not among them."""
        return (*self.normalisations, *self.free, *self.shapes)

    @property
    def responses(self) -> np.ndarray:
        """d ln(counts) / d parameter, for each normalisation and then each free one (rows), of each sample.

        A free normalisation is held as its logarithm, which keeps it positive.
        """
        sizes = np.log1p(np.reshape(np.asarray(self.sizes, dtype=float), (-1, len(self.samples))))
        return np.concatenate([sizes, np.reshape(np.asarray(self.scaled, dtype=float), (-1, len(self.samples)))])

    @property
    def constrained(self) -> np.ndarray:
        """One for each nuisance that a measurement elsewhere constrains to 0 +- 1, zero for a free normalisation."""
        return np.array([1.0] * len(self.normalisations) + [0.0] * len(self.free) + [1.0] * len(self.shapes))

    @property
    def counted_errors(self) -> np.ndarray:
        """`with_errors` as zeros and ones, a column."""
        return np.asarray(self.with_errors, dtype=float)[:, None]

    def without_systematics(self, errors: bool = False, free: bool = False) -> "Nuisances":
        """Statistics only: no normalisation and no shape uncertainty.

        Args:
            errors: keep the statistical errors of the simulation.
            free: keep the free normalisations, whose price is the statistics of the data.
        """
        kept = replace(self, normalisations=(), sizes=(), shapes=())
        kept = kept if errors else replace(kept, with_errors=(False,) * len(self.samples))
        return kept if free else replace(kept, free=(), scaled=())
