"""What makes a statistical model meaningless, in words. NumPy, outside of compiled code."""

from collections.abc import Iterable

import numpy as np

from detopt.scoring.likelihood import NOTHING, Templates, information
from detopt.scoring.nuisances import Nuisances

__all__ = ["faults"]


def faults(templates: Templates, nuisances: Nuisances, background: bool = True) -> list[str]:
    """What was seen and what to do about it, one text each; empty for a sound model.

    Args:
        templates: expected counts.
        nuisances: the uncertainties.
        background: there is to be some wherever there is signal.
    """
    nominal, error = np.asarray(templates.nominal), np.asarray(templates.error)
    low, high = np.asarray(templates.low), np.asarray(templates.high)
    shape = (len(nuisances.samples), nominal.shape[1])
    shapes = (len(nuisances.shapes), *shape)
    if nominal.shape != shape or error.shape != shape or low.shape != shapes or high.shape != shapes:
        return [
            f"templates of shapes {nominal.shape}, {low.shape}, {high.shape} and {error.shape} do not fit "
            f"{len(nuisances.samples)} samples and {len(nuisances.shapes)} shape uncertainties"
        ]
    if not all(np.isfinite(values).all() for values in (nominal, low, high, error)):
        return ["the templates hold numbers that are not finite"]
    return [
        *_negative(nominal, low, high, nuisances),
        *_empty(nominal, nuisances, background),
        *_unmeasured(templates, nuisances),
    ]


def _negative(nominal: np.ndarray, low: np.ndarray, high: np.ndarray, nuisances: Nuisances) -> list[str]:
    found = [
        f"sample {sample!r} has negative counts in {_bins(counts < 0)}: use wider bins or more simulated events"
        for sample, counts in zip(nuisances.samples, nominal, strict=True)
        if (counts < 0).any()
    ]
    for sign, varied in (("-", low), ("+", high)):
        for name, templates in zip(nuisances.shapes, varied, strict=True):
            for sample, counts in zip(nuisances.samples, templates, strict=True):
                if (counts < 0).any():
                    found.append(
                        f"shape uncertainty {name!r} at {sign}1 sigma makes sample {sample!r} negative in "
                        f"{_bins(counts < 0)}: make it smaller, or the bins wider"
                    )
    return found


def _empty(nominal: np.ndarray, nuisances: Nuisances, needed: bool) -> list[str]:
    signal, background = nominal[0], nominal[1:].sum(axis=0)
    if not (signal > NOTHING).any():
        return [f"the signal {nuisances.samples[0]!r} has no events: nothing can be said of it"]
    alone = (signal > NOTHING) & (background <= NOTHING)
    if not (needed and alone.any()):
        return []
    return [
        f"signal without any background in {_bins(alone)}: the significance would be infinite. Use wider bins, or simulate "
        "more events of the background"
    ]


def _unmeasured(templates: Templates, nuisances: Nuisances) -> list[str]:
    """Groups of parameters that neither the data nor a constraint tells apart, at the Asimov point of mu = 1."""
    names = ("mu", *nuisances.names)
    whole = np.asarray(information(templates, nuisances))
    scale = np.sqrt(np.diag(whole))
    nothing = scale <= np.sqrt(NOTHING)
    found = [
        f"{_quoted([name])} acts on nothing that is counted, so that the data cannot measure it: leave it out"
        for name, none in zip(names[1:], nothing[1:], strict=True)
        if none
    ]
    seen = np.flatnonzero(~nothing)
    values, vectors = np.linalg.eigh(whole[np.ix_(seen, seen)] / np.outer(scale[seen], scale[seen]))
    null = vectors[:, values < 1e-10]
    projector = np.abs(null @ null.T) > 1e-3
    groups = {tuple(np.flatnonzero(row)) for row in projector if row.any()}
    for group in sorted(groups):
        found.append(
            f"the data cannot tell apart {_quoted(names[seen[i]] for i in group)}: give one of them an uncertainty instead "
            "of leaving it free, or add bins in which they differ"
        )
    return found


def _quoted(names: Iterable[str]) -> str:
    return " and ".join("the signal strength mu" if name == "mu" else repr(name) for name in names)


def _bins(chosen: np.ndarray) -> str:
    """Counted from zero, at most eight of them."""
    numbers = [str(i) for i in np.flatnonzero(chosen)]
    listed = ", ".join(numbers[:8]) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
    return f"bin {listed}" if len(numbers) == 1 else f"bins {listed}"
