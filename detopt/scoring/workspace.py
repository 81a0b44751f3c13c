"""The statistical model as HistFactory's JSON (schema 1.0.0), which pyhf, cabinetry and ROOT read."""

from typing import Any

import numpy as np

from detopt.scoring.likelihood import Templates
from detopt.scoring.nuisances import Nuisances

__all__ = ["workspace"]


def workspace(templates: Templates, nuisances: Nuisances, name: str, largest: float = 10.0) -> dict[str, Any]:
    """One channel with Asimov's data of mu = 1: plain lists and numbers, ready for json.dumps or pyhf.Workspace.

    Args:
        templates: expected counts.
        nuisances: the uncertainties.
        name: of the channel, and of the measurement.
        largest: up to where mu, and every free normalisation, may be fitted. An upper limit beyond it is not found.
    """
    nominal = np.asarray(templates.nominal, dtype=float)
    samples = [
        {"name": sample, "data": nominal[i].tolist(), "modifiers": _modifiers(templates, nuisances, i, name)}
        for i, sample in enumerate(nuisances.samples)
    ]
    acting = {modifier["name"] for sample in samples for modifier in sample["modifiers"]}
    floating = [
        {"name": factor, "inits": [1.0], "bounds": [[0.0, float(largest)]]}
        for factor in ("mu", *nuisances.free)
        if factor in acting
    ]
    return {
        "channels": [{"name": name, "samples": samples}],
        "observations": [{"name": name, "data": nominal.sum(axis=0).tolist()}],
        "measurements": [{"name": name, "config": {"poi": "mu", "parameters": floating}}],
        "version": "1.0.0",
    }


def _modifiers(templates: Templates, nuisances: Nuisances, sample: int, channel: str) -> list[dict[str, Any]]:
    """Of one sample, without those that do nothing to it."""
    nominal, error = np.asarray(templates.nominal)[sample], np.asarray(templates.error)[sample]
    factors = ["mu"] if sample == 0 else []
    factors += [factor for factor, scaled in zip(nuisances.free, nuisances.scaled, strict=True) if scaled[sample]]
    found: list[dict[str, Any]] = [{"name": factor, "type": "normfactor", "data": None} for factor in factors]
    for normalisation, sizes in zip(nuisances.normalisations, nuisances.sizes, strict=True):
        if sizes[sample] != 0:
            high = 1 + sizes[sample]
            found.append({"name": normalisation, "type": "normsys", "data": {"hi": high, "lo": 1 / high}})
    lows, highs = np.asarray(templates.low)[:, sample], np.asarray(templates.high)[:, sample]
    for shape, low, high in zip(nuisances.shapes, lows, highs, strict=True):
        if (low != nominal).any() or (high != nominal).any():
            data = {"lo_data": low.tolist(), "hi_data": high.tolist()}
            found.append({"name": shape, "type": "histosys", "data": data})
    if nuisances.with_errors[sample]:
        found.append({"name": f"staterror_{channel}", "type": "staterror", "data": error.tolist()})
    return found
