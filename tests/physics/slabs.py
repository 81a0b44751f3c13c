"""Muons through slabs, as the tests of matter need them, and the figures that these are compared in."""

from functools import lru_cache
from itertools import pairwise

import numpy as np

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.elements import Slab
from detopt.detector.stops import stops
from detopt.detector.surfaces import as_arrays
from detopt.materials import material
from detopt.simulation.flight import Muon
from detopt.simulation.physics import Physics
from detopt.simulation.truth import beam_flight, beam_truth

MUON = 0.1056583755


def slabs(name, thickness, pieces=1, slices=0):
    """A block of a material from z = 0 on, in equal pieces that touch, each in so many slices (0: as many as it needs)."""
    ends = np.linspace(0.0, thickness, pieces + 1).tolist()
    elements = tuple(
        Slab(name=f"slab_{i}", material=material(name), z=(a, b), slices=slices)
        for i, (a, b) in enumerate(pairwise(ends))
    )
    return Detector(name="block", frame="beamline", elements=elements)


@lru_cache
def _compiled(physics, dtype):
    def run(design, momentum, key):
        listed = stops(design)
        start = jnp.broadcast_to(jnp.asarray([0.0, 0.0, -1.0], dtype), (len(momentum), 3))
        muons = Muon(start, -start * jnp.asarray([0, 0, 1], dtype)[None], momentum, jnp.ones(len(momentum), bool))
        muons = muons._replace(direction=jnp.broadcast_to(jnp.asarray([0.0, 0.0, 1.0], dtype), start.shape))
        legs = beam_flight(listed, muons, -jnp.ones(len(momentum), dtype), physics, key)
        return beam_truth(listed, legs)

    return jax.jit(run)


def through(detector, momentum, count, physics=None, seed=0, dtype=jnp.float64):
    """Truth of so many muons along z at each momentum: NumPy arrays, first axis the momenta."""
    design, momenta = as_arrays(detector, dtype), np.repeat(np.atleast_1d(momentum), count)
    truth = _compiled(physics or Physics(), dtype)(design, jnp.asarray(momenta, dtype), jax.random.key(seed))
    return jax.tree.map(lambda x: np.asarray(x, float).reshape(-1, count, *x.shape[1:]), truth)


def figures(position, direction, momentum, p):
    """Of muons that left a block into which they came along z with momentum p; as in the reference's columns.

    Core: the central 98 %; both projections together. Angles in mrad, lengths in mm, energies in MeV.
    """
    angle = 1e3 * np.arctan2(direction[:, :2], direction[:, 2:]).ravel()
    aside = position[:, :2].ravel()
    q68 = np.quantile(np.abs(angle), 0.6827)
    core_angle = np.abs(angle) <= np.quantile(np.abs(angle), 0.98)
    core = np.abs(aside) <= np.quantile(np.abs(aside), 0.98)
    lost = 1e3 * (np.hypot(p, MUON) - np.hypot(momentum, MUON))
    return {
        "q68": q68,
        "tail3": np.mean(np.abs(angle) > 3 * q68),
        "tail5": np.mean(np.abs(angle) > 5 * q68),
        "disp": aside[core].std() / 0.9346,
        "rho": np.corrcoef(aside[core & core_angle], angle[core & core_angle])[0, 1],
        "median": np.median(lost),
    }


def left(truth, row=0):
    """Position, direction and momentum of the muons of one momentum behind the last piece."""
    out = truth.left[row, :, -1] > 0
    momentum = truth.exit_momentum[row, out, -1]
    size = np.linalg.norm(momentum, axis=-1)
    return truth.exit_position[row, out, -1], momentum / size[:, None], size
