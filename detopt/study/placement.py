"""A start from weights on a grid that are then placed.

Free positions have bad local optima; the best share of layers at each point of a grid is a convex problem where scattering
does not matter (optimal design of experiments, Pukelsheim 1993), and a good guess where it does. A share w of a layer
measures with resolution / sqrt(w) and scatters with w times the thickness, so the relaxed detector is an ordinary one.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import optax
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.elements import BarrelLayer
from detopt.detector.surfaces import as_arrays
from detopt.parameters import Space
from detopt.scoring.evaluate import Evaluator
from detopt.search.problem import Problem

__all__ = ["grid_start", "radius_groups"]

_POINTS, _STEPS = 41, 600


def radius_groups(space: Space) -> list[list[int]]:
    """Variables that are radii of barrel layers with the same bounds: their layers may stand in any order."""
    groups: dict[tuple[float, float], list[int]] = {}
    for i, v in enumerate(space.variables):
        part = space.detector.part(v.name.split(".")[0])
        if v.name.endswith(".radius") and len(v.names) == 1 and isinstance(part, BarrelLayer) and part.measures:
            groups.setdefault((v.lower, v.upper), []).append(i)
    return [group for group in groups.values() if len(group) > 1]


def grid_start(evaluator: Evaluator, space: Space, problem: Problem) -> Float[np.ndarray, " n"]:
    """The initial design with its layers placed after the best weights, at a point of the unit box.

    Only where the layers of a group stand changes. The grid's shares are of the group's first layer.

    Args:
        evaluator: of the study; its objectives on tracks are what the weights improve.
        space: around a detector of floats.
        problem: says how the objectives are weighted.
    """
    start = np.array(space.init)
    for group in radius_groups(space):
        start[group] = _placed(evaluator, space, problem, group)
    return start


def _placed(evaluator: Evaluator, space: Space, problem: Problem, group: list[int]) -> Float[np.ndarray, " layers"]:
    names = [space.variables[i].name.removesuffix(".radius") for i in group]
    grid = np.linspace(0.0, 1.0, _POINTS)
    detector: Detector = space.detector
    prototype = detector.part(names[0])
    kept = tuple(e for e in detector.elements if e.name not in names)
    radii = [space.variables[group[0]].value(g) for g in grid.tolist()]

    def relaxed(weights: Any) -> Detector:
        layers = (_share(prototype, f"grid_{i}", r, weights[i]) for i, r in enumerate(radii))
        return replace(detector, elements=(*kept, *layers))

    terms = {n: t for n, t in evaluator.objectives.items() if hasattr(t, "momentum")}
    template = relaxed(np.ones(_POINTS).tolist())
    score = Evaluator(terms, {}, evaluator.prices, evaluator.source, evaluator.physics, template, evaluator.min_hits)
    rows = np.array([n in terms for n in evaluator.objectives])
    fixed = as_arrays(template)

    @jax.jit
    @jax.value_and_grad
    def loss(logits: Float[Array, " points"]) -> Float[Array, ""]:
        weights = len(group) * jax.nn.softmax(logits)
        shares = relaxed([weights[i] for i in range(_POINTS)])
        # The shares are traced; everything else keeps its array.
        design = jax.tree.map(jnp.asarray, replace(fixed, elements=as_arrays(shares).elements))
        return problem.loss(score(design, None, None).values, rows)

    adam = optax.adam(0.1)
    logits = jnp.zeros(_POINTS)
    state = adam.init(logits)
    update = jax.jit(adam.update)
    for _ in range(_STEPS):
        _, gradient = loss(logits)
        step, state = update(gradient, state)
        logits = optax.apply_updates(logits, step)
    # Layer i stands where the running sum of the weights passes i + 1/2.
    weights = np.asarray(jax.nn.softmax(logits)) * len(group)
    middle = np.arange(len(group)) + 0.5
    return grid[np.minimum(np.searchsorted(np.cumsum(weights), middle), _POINTS - 1)]


def _share(layer: BarrelLayer, name: str, radius: Any, weight: Any) -> BarrelLayer:
    """A share of a layer: it measures and scatters less."""
    assert layer.hit_resolution is not None
    return BarrelLayer(
        name=name,
        radius=radius,
        half_length=layer.half_length,
        x_over_X0=layer.radiation_thickness * weight,
        resolution=tuple(None if r is None else r * weight**-0.5 for r in layer.hit_resolution),
    )
