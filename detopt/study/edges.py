"""Edges that `expected` cannot handle: a track that gains or loses a layer, within a source's range or a study's bounds.

The score jumps where a layer is gained or lost. Over a range of angles a quadrature misses such jumps, and over the design
box their gradient is not pathwise. Both are looked for on samples and refused.
"""

import numpy as np
from jaxtyping import Float

from detopt.backend import jax
from detopt.detector.surfaces import as_arrays
from detopt.parameters import Space
from detopt.reconstruction.expected import crossed_surfaces
from detopt.scoring.beam_sampled import BeamEvaluator
from detopt.scoring.sampled import SampledEvaluator
from detopt.study.faults import BadInput, Fault
from detopt.study.studies import Study

__all__ = ["check_bounds", "check_ranges", "check_sampled_bounds"]

_ANGLES, _MOMENTA = 181, 7  # points of a range
_MUONS, _DESIGNS = 256, 64  # sampled: muons of each kind; random corners, and inner points
_SAMPLES, _SCAN = 2048, 65  # corners and inner points of the box each; points along each variable


def check_ranges(study: Study) -> None:
    """Refuse a range of angles or momenta within which the initial design gains or loses a layer. Raises BadInput."""
    detector, faults = as_arrays(study.detector), []
    for grid in _ranges(study):
        found = np.asarray(crossed_surfaces(detector, grid, study.source.charge, study.physics))
        for i, surface in enumerate(study.detector.surfaces()):
            changes = np.flatnonzero(found[1:, i] != found[:-1, i])
            if len(changes):
                p, theta = grid[changes[0]]
                message = (
                    f"tracks cross {surface.name} at some angles or momenta of this range and miss it at others (near "
                    f"{p:.4g} GeV, {np.degrees(theta):.4g} deg). Edges inside a range are not in this version: give "
                    "the objectives a momentum and a theta of their own, or narrow the range"
                )
                faults.append(Fault(str(study.path), *study.document.position(("source",)), "source", message))
    if faults:
        raise BadInput(faults)


def _ranges(study: Study) -> list[Float[np.ndarray, "N 2"]]:
    """For each range that a term averages over: points along the angles, at several momenta."""
    grids = {}
    for term in (*study.objectives.values(), *study.constraints.values()):
        if not hasattr(term, "momentum"):
            continue
        low, high = study.source.momentum if term.momentum is None else (term.momentum,) * 2
        first, last = study.source.theta if term.theta is None else (term.theta,) * 2
        if (low, first) != (high, last):
            momenta = np.geomspace(low, high, _MOMENTA if low < high else 1)
            angles = np.linspace(first, last, _ANGLES if first < last else 1)
            # A boustrophedon: neighbours in the list are neighbours in the range.
            rows = [(p, t) for i, p in enumerate(momenta) for t in (angles if i % 2 == 0 else angles[::-1])]
            grids[low, high, first, last] = np.array(rows)
    return list(grids.values())


def check_bounds(study: Study, space: Space, particles: Float[np.ndarray, "N 2"]) -> None:
    """Refuse bounds within which a track gains or loses a layer.

    Args:
        study: says which layers and variables there are.
        space: around a detector of arrays.
        particles: momentum and angle of the tracks that are scored.

    Raises:
        BadInput: naming the layers, and what can be done.
    """
    if not len(particles):
        return
    ends = [(p, t) for p in study.source.momentum for t in study.source.theta]
    tracks = np.concatenate([particles, ends]) if study.source.theta[0] < study.source.theta[1] else particles

    @jax.jit
    @jax.vmap
    def crossed(u: jax.Array) -> jax.Array:
        return crossed_surfaces(space.place(u), tracks, study.source.charge, study.physics)

    found = np.asarray(crossed(_samples(space)))  # (designs, tracks, surfaces), the initial design first
    faults = []
    for i, surface in enumerate(study.detector.surfaces()):
        differs = (found[:, :, i] != found[:1, :, i]).any(axis=0)
        if differs.any():
            p, theta = tracks[int(np.argmax(differs))]
            own = [n for n in space.names if n.split(".")[0] in (surface.name, "field")] or list(space.names)
            message = (
                f"a track of {p:.4g} GeV at {np.degrees(theta):.4g} deg crosses {surface.name} for some values within the "
                f"bounds of {', '.join(own)}, and misses it for others. The score jumps there, and the gradient of such an "
                "edge is not in this version: narrow these bounds, or choose other angles or momenta"
            )
            faults.append(Fault(str(study.path), *study.document.position(("variables", own[0])), "variables", message))
    if faults:
        raise BadInput(faults)


def check_sampled_bounds(study: Study, space: Space, sampler: SampledEvaluator | BeamEvaluator) -> None:
    """Refuse bounds within which a sampled track gains or loses a layer in a way that no flip covers.

    Muons that curl up or stop in front of a layer, and muons of one angle on its end. Looked for with the same muons in
    many designs, so it finds what happens to more than one muon in a thousand.
    """
    if isinstance(sampler, BeamEvaluator):
        check_beam_bounds(study, space, sampler)
        return
    key = jax.random.key(0)

    @jax.jit
    def met(designs: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.lax.map(lambda u: sampler.met(space.place(u), key, _MUONS), designs)

    random, n = np.random.default_rng(0), len(space)
    start = np.array(space.init)[None]
    ends = np.concatenate([np.where(np.eye(n, dtype=bool), e, start) for e in (0.0, 1.0)])
    corners = random.integers(0, 2, (_DESIGNS, n)).astype(float)
    designs = np.concatenate([start, ends, corners, random.uniform(size=(_DESIGNS, n))])
    crossed, would = (np.asarray(x) for x in met(designs))  # (designs, muons, surfaces)
    differs = ((crossed & ~would[:1]) | (crossed[:1] & ~would)).any(axis=0)
    faults = []
    for i, surface in enumerate(study.detector.surfaces()):
        share = float(differs[:, i].mean())
        if share > 0:
            own = [v for v in space.names if v.split(".")[0] in (surface.name, "field")] or list(space.names)
            message = (
                f"within the bounds of {', '.join(own)}, {100 * share:.2g} % of the muons get to {surface.name} in some "
                "designs and not in others: they curl up or stop in front of it, or all have one angle and pass its end "
                "together. No draw carries a single muon across, so the score has no gradient there: narrow these bounds, "
                "raise the momentum, or give the muons a range of angles"
            )
            faults.append(Fault(str(study.path), *study.document.position(("variables", own[0])), "variables", message))
    if faults:
        raise BadInput(faults)


def check_beam_bounds(study: Study, space: Space, sampler: BeamEvaluator) -> None:
    """Refuse what no estimator of a gradient can do in a beam line or portal. Raises BadInput.

    Pencils that an edge meets all at once; muons that stop, or turn back, where the design decides which.
    """
    random, n = np.random.default_rng(0), len(space)
    start = np.array(space.init)[None]
    ends = np.concatenate([np.where(np.eye(n, dtype=bool), e, start) for e in (0.0, 1.0)])
    designs = np.concatenate([start, ends, random.uniform(size=(_DESIGNS, n))])
    faults = []

    def note(place: tuple[str, ...], message: str) -> None:
        faults.append(Fault(str(study.path), *study.document.position(place), ".".join(place), message))

    if not sampler.spreads:
        crossed = np.asarray(jax.jit(jax.vmap(lambda u: sampler.quiet(space.place(u))))(designs))
        for i in np.flatnonzero((crossed != crossed[:1]).any(0)):
            note(
                ("source",),
                f"all muons of this source start alike, and {sampler.muons.names[i]} is hit in some designs within the "
                "bounds and missed in others: the score jumps there, and has no gradient. Give the beam a spot or a "
                "divergence, or the gun a range of angles",
            )
    assert sampler.flips.follows is not None
    decide = [name for name, does in zip(space.names, sampler.flips.follows.decides_loss, strict=True) if does]
    if decide:
        share = float(jax.jit(lambda u: sampler.lost(space.place(u), jax.random.key(0), 16 * _MUONS))(start[0]))
        if share > 0:
            note(
                ("variables", decide[0]),
                f"{100 * share:.2g} % of the muons stop, or turn back in the field, and {', '.join(decide)} decide which. "
                "Where a muon just stops, no draw carries it across: fix these numbers, or raise the source's momentum",
            )
    if faults:
        raise BadInput(faults)


def _samples(space: Space) -> Float[np.ndarray, "designs n"]:
    n, random = len(space), np.random.default_rng(0)
    start = np.array(space.init)
    scan = np.tile(start, (n, _SCAN, 1))
    for i in range(n):
        scan[i, :, i] = np.linspace(0, 1, _SCAN)
    corners = random.integers(0, 2, (_SAMPLES, n)).astype(float)
    return np.concatenate([start[None], corners, random.uniform(size=(_SAMPLES, n)), scan.reshape(-1, n)])
