"""What the points of closest approach tell without a network: baselines that a head of a portal has to beat. NumPy only."""

import numpy as np
from jaxtyping import Float

from detopt.inference.questions import Grid
from detopt.inference.voxel_sums import LARGEST, SMALLEST

__all__ = ["closest_density", "fitted", "layer_profile"]

_FEW = 3.0  # muons that a voxel is taken to have seen beside those that it has

Sums = Float[np.ndarray, "exposures z x y channels"]


def closest_density(counts: Sums, grid: Grid) -> Float[np.ndarray, "exposures z x y"]:
    """Mean squared scattering angle of a voxel, of muons whose tracks come closest in it, over all that cross it.

    For thin and isolated objects it is in proportion to 1/X0 (Schultz et al., NIM A519 (2004) 687).
    """
    middles = np.exp(np.linspace(np.log(SMALLEST), np.log(LARGEST), grid.bins)) ** 2
    crossed = counts[..., : grid.bins].sum(-1)
    return (counts[..., grid.bins :] * middles).sum(-1) / (crossed + _FEW)


def layer_profile(counts: Sums, grid: Grid) -> Float[np.ndarray, "exposures columns"]:
    """Of each layer, the log of the mean density of closest approach and the share of muons in each bin."""
    density = np.log(closest_density(counts, grid).mean((2, 3)) + 1e-9)
    layers = counts[..., : grid.bins].sum((2, 3))
    shares = layers / (layers.sum(-1, keepdims=True) + _FEW)
    return np.concatenate([density, shares.reshape(len(counts), -1)], axis=1)


def fitted(
    columns: Float[np.ndarray, "n c"], truth: Float[np.ndarray, " n"], asked: Float[np.ndarray, "m c"]
) -> Float[np.ndarray, " m"]:
    """Linear regression, with a ridge that is chosen on a fifth of the exposures."""
    mean, width = columns.mean(0), columns.std(0) + 1e-9

    def table(x: np.ndarray) -> np.ndarray:
        return np.concatenate([np.ones((len(x), 1)), (x - mean) / width], axis=1)

    def solved(x: np.ndarray, y: np.ndarray, ridge: float) -> np.ndarray:
        return np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y)

    known, held = table(columns), max(len(truth) // 5, 1)
    losses = {
        ridge: ((known[:held] @ solved(known[held:], truth[held:], ridge) - truth[:held]) ** 2).mean()
        for ridge in np.geomspace(0.1, 1e5, 13)
    }
    return table(asked) @ solved(known, truth, min(losses, key=losses.__getitem__))
