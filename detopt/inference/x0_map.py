"""Maps of a volume from muons that it scattered: where they were bent most, and the most likely 1 / X0 of every voxel.

A muon of momentum p that crosses voxel j, with T still to go to the plane where it leaves, is turned by an angle and moved
aside at that plane. Both are Gaussian, with a covariance that is linear in the voxels' lambda = 1 / X0:

    V = E + c sum_j lambda_j W_j,   W_j = integral over the way in the voxel of [[1, -T], [-T, T^2]] dl

for slopes of a muon that comes down, E that of the tracks, and c = (13.6 MeV / beta p)^2 with Highland's logarithm (PDG eq.
34.16 and section 34.3). The likelihood of all muons is that of Schultz et al. (IEEE Trans. Image Process. 16 (2007) 1985);
it is maximised by multiplicative steps, lambda_j times the ratio of the two sums in its derivative. Single hard scatters,
which no Gaussian knows, are pulled in to where 2 % of Gaussian muons begin. Where only the spectrum of the momenta is known,
c takes each of a few values of it, by how likely each makes what is seen of the muon (expectation maximisation).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from detopt.backend import jnp
from detopt.simulation.scattering import beta, bracket, unit_width

__all__ = ["Box", "Scatters", "likelihood_map", "poca_map", "unit_widths"]

_CLIP = -2 * np.log(0.02)  # of chi2 with two degrees of freedom: 2 % are beyond
_KEPT = 1 - 0.02  # the mean of what is left, over that of all: 1 - exp(-clip / 2)
_BEFORE = 2.0  # measurements that each voxel starts with
_THINNEST = 1e-7  # lambda in 1/mm: less than a gas has
_SHALLOWEST = 1e-6  # X0 on the way of a muon, for the logarithm


class Box(NamedTuple):
    """A volume of voxels, in mm."""

    corner: Float[np.ndarray, " 3"]
    size: Float[np.ndarray, " 3"]
    voxels: tuple[int, int, int]


class Scatters(NamedTuple):
    """N muons with a track above the volume and one below. Lengths in mm, momenta in GeV."""

    above: Float[np.ndarray, "N 3"]  # where it enters through the top
    below: Float[np.ndarray, "N 3"]  # where it leaves through the bottom
    slope: Float[np.ndarray, "N 2"]  # dx/dz, dy/dz above
    turned: Float[np.ndarray, "N 2"]  # the slope below minus that above
    aside: Float[np.ndarray, "N 2"]  # at the bottom, from where it would be
    error: Float[np.ndarray, "N 2 2 2"]  # covariance of turned and aside, for x and for y
    momentum: Float[np.ndarray, "N 2"]  # on entering and on leaving; where `spectrum` is given that of any muon
    spectrum: Float[np.ndarray, " K"] | None = None  # equally likely c of a muon, over that of its `momentum`


class _Ways(NamedTuple):
    """Which voxels the muons cross: M pieces of their ways."""

    muon: Int[np.ndarray, " M"]
    voxel: Int[np.ndarray, " M"]
    length: Float[np.ndarray, " M"]
    weight: Float[np.ndarray, "M 3"]  # of turned, of both, of aside: c W / f, with the momentum where it is


def likelihood_map(
    scatters: Scatters, box: Box, steps: int = 60, progress: Callable[[float], None] | None = None
) -> Float[np.ndarray, "x y z"]:
    """The most likely 1 / X0 of every voxel, in 1/mm; NaN where no muon passed."""
    ways, number = _ways(scatters, box), int(np.prod(box.voxels))
    muons = len(scatters.turned)
    crossed = np.bincount(ways.voxel, minlength=number) > 0
    oblique = _oblique(scatters.slope)
    data = np.stack([scatters.turned, scatters.aside], axis=-1)  # (N, 2 projections, 2)
    velocity = np.sqrt(np.mean(np.asarray(beta(jnp.asarray(scatters.momentum))) ** 2, axis=1))
    usual = _start(scatters, ways, oblique)
    density = np.full(number, usual)
    # A spectrum has slow muons for what scatters far.
    robust, choices = (True, np.ones(1)) if scatters.spectrum is None else (False, scatters.spectrum)
    for step in range(steps):
        deep = np.bincount(ways.muon, ways.length * density[ways.voxel], muons)
        logarithm = np.asarray(bracket(jnp.maximum(deep, _SHALLOWEST), jnp.asarray(velocity))) ** 2
        parts = [np.bincount(ways.muon, ways.weight[:, k] * density[ways.voxel], muons) for k in range(3)]
        sums = [
            [
                _derivative(logarithm * c * oblique[:, axis], parts, scatters.error[:, axis], data[:, axis], robust)
                for axis in (0, 1)
            ]
            for c in choices
        ]
        fit = np.array([x[2] + y[2] for x, y in sums])
        share = np.exp(fit - fit.max(0))
        share /= share.sum(0)
        up, down = (
            np.bincount(ways.voxel, np.sum(ways.weight * term[ways.muon], axis=1), number)
            for term in (
                sum(w[:, None] * (x[i] + y[i]) for w, (x, y) in zip(share, sums, strict=True)) for i in range(2)
            )
        )
        # As if each voxel had been measured before, twice, and found like the whole: a few muons make no lead of air.
        ratio = (up + _BEFORE * usual / density**2) / (down + _BEFORE / density)
        density = np.where(crossed, np.maximum(density * ratio, _THINNEST), _THINNEST)
        if progress is not None:
            progress((step + 1) / steps)
    density[~crossed] = np.nan
    return density.reshape(box.voxels)


_CELLS = ((0, 0), (0, 1), (1, 1))


def _derivative(
    factor: Float[np.ndarray, " N"],
    parts: list[Float[np.ndarray, " N"]],
    error: Float[np.ndarray, "N 2 2"],
    data: Float[np.ndarray, "N 2"],
    robust: bool,
) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3"], Float[np.ndarray, " N"]]:
    """By what each part of W asks for a larger, and for a smaller lambda; and the logarithm of the likelihood."""
    a, b, d = (factor * p + error[:, i, j] for p, (i, j) in zip(parts, _CELLS, strict=True))
    determinant = np.maximum(a * d - b * b, 1e-300)
    first, second = data.T
    inverse = (d / determinant, -b / determinant, a / determinant)
    pull = (inverse[0] * first + inverse[1] * second, inverse[1] * first + inverse[2] * second)
    chi2 = pull[0] * first + pull[1] * second
    kept = factor * np.minimum(1.0, _CLIP / np.maximum(chi2, 1e-12)) / _KEPT if robust else factor
    seen = np.stack([kept * pull[0] ** 2, 2 * kept * pull[0] * pull[1], kept * pull[1] ** 2], axis=-1)
    due = np.stack([factor * inverse[0], 2 * factor * inverse[1], factor * inverse[2]], axis=-1)
    return seen, due, -0.5 * (np.log(determinant) + chi2)


def poca_map(scatters: Scatters, box: Box) -> Float[np.ndarray, "x y z"]:
    """1 / X0 in 1/mm as if each muon scattered once, where its two tracks come closest; NaN where no muon passed."""
    ways, number = _ways(scatters, box), int(np.prod(box.voxels))
    one = _unit(scatters.slope)
    other = _unit(scatters.slope + scatters.turned)
    between = scatters.below - scatters.above
    cosine = np.sum(one * other, axis=1)
    apart = np.maximum(1 - cosine**2, 1e-15)
    along = (np.sum(between * one, axis=1) - cosine * np.sum(between * other, axis=1)) / apart
    back = (cosine * np.sum(between * one, axis=1) - np.sum(between * other, axis=1)) / apart
    at = (scatters.above + along[:, None] * one + scatters.below + back[:, None] * other) / 2
    cell, inside = _cells(at, box)
    oblique = _oblique(scatters.slope)
    noise = scatters.error[:, :, 0, 0]
    unit = 1 / np.mean(1 / unit_widths(scatters.momentum), axis=1)
    deep = np.mean((scatters.turned**2 - noise) / oblique, axis=1) / unit**2
    found = np.bincount(cell[inside], deep[inside], number)
    length = np.bincount(ways.voxel, ways.length, number)
    density = np.where(length > 0, np.maximum(found, 0) / np.where(length > 0, length, 1.0), np.nan)
    return density.reshape(box.voxels)


def _oblique(slope: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
    """Variance of a slope over that of the angle: it changes by more where the track is oblique."""
    return (1 + slope**2) * (1 + np.sum(slope**2, axis=1))[:, None]


def unit_widths(momentum: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """13.6 MeV / (beta p) of muons."""
    p = jnp.asarray(momentum)
    return np.asarray(unit_width(p, beta(p)))


def _unit(slope: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 3"]:
    """Directions, downwards."""
    down = -np.column_stack([slope, np.ones(len(slope))])
    return down / np.linalg.norm(down, axis=1, keepdims=True)


def _cells(at: Float[np.ndarray, "*n 3"], box: Box) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the voxels of some points, and whether these lie in the volume."""
    share = np.floor((at - box.corner) / box.size * np.array(box.voxels)).astype(int)
    inside = ((share >= 0) & (share < np.array(box.voxels))).all(-1)
    x, y, z = np.moveaxis(np.clip(share, 0, np.array(box.voxels) - 1), -1, 0)
    return (x * box.voxels[1] + y) * box.voxels[2] + z, inside


def _ways(scatters: Scatters, box: Box) -> _Ways:
    """The straight line from where a muon enters to where it leaves, in pieces of a fraction of a voxel."""
    pieces = 3 * max(box.voxels)
    share = (np.arange(pieces) + 0.5) / pieces
    between = scatters.below - scatters.above
    at = scatters.above[:, None] + share[:, None] * between[:, None]
    cell, inside = _cells(at, box)
    muon = np.broadcast_to(np.arange(len(between))[:, None], cell.shape)
    length = np.linalg.norm(between, axis=1)
    p = scatters.momentum[:, :1] + share * (scatters.momentum[:, 1:] - scatters.momentum[:, :1])
    strength = unit_widths(p) ** 2
    # What is moved aside counts along the plane in which the muon leaves: by how far it still goes down.
    step, left = length[:, None] / pieces, (1 - share) * -between[:, 2:]
    weight = np.stack([np.broadcast_to(step, left.shape), step * left, step * left**2], axis=-1)
    weight *= strength[..., None] * np.array([1.0, -1.0, 1.0])  # going down, a larger slope leads to smaller x
    number = int(np.prod(box.voxels))
    piece = muon[inside] * number + cell[inside]
    merged, index = np.unique(piece, return_inverse=True)
    sums = [np.bincount(index, w[inside]) for w in np.moveaxis(weight, -1, 0)]
    lengths = np.bincount(index, np.broadcast_to(step, cell.shape)[inside])
    return _Ways(merged // number, merged % number, lengths, np.stack(sums, axis=-1))


def _start(scatters: Scatters, ways: _Ways, oblique: Float[np.ndarray, "N 2"]) -> float:
    """One value for all voxels, from the median of all muons."""
    strength = np.bincount(ways.muon, ways.weight[:, 0], len(oblique))
    some = strength > 0
    ratio = (scatters.turned**2 / oblique).mean(1)[some] / strength[some]
    return float(max(np.median(ratio) / np.log(2), 1e-5))  # of a mean of two squares of normal numbers: ln 2
