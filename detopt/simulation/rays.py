"""Drawing particles in the laboratory: what `detopt simulate` sends through a detector.

Beam lines look along z, and their particles start in front of everything; in portals they come down from above everything;
in barrels they start at the origin.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.events import Rays
from detopt.simulation.cosmic_rays import Aim, draw_cosmic, expected_number
from detopt.simulation.muon_pairs import draw_pairs
from detopt.simulation.source import Beam, Cosmic, Gun, Resonance, Source, check_frame
from detopt.simulation.streams import stream

__all__ = ["Aim", "expected_number", "fraction_through", "rays"]


def rays(
    source: Source,
    key: jax.Array,
    number: int,
    frame: str,
    start_z: float = 0.0,
    aim: Aim | None = None,
    dtype: Any = jnp.float32,
) -> Rays:
    """Draw N events.

    Args:
        source: Gun, Beam, Cosmic or Resonance.
        key: random key; each number of a particle has a stream of its own.
        number: of events N.
        frame: of the detector.
        start_z: where particles start, in mm: in front of a beam line, above a portal. Barrels do not use it.
        aim: the rectangle that cosmic muons are to cross.
        dtype: of all numbers.

    Raises:
        ValueError: the source does not go with the frame, or has no aim.
    """
    if wrong := check_frame(source, frame):
        raise ValueError(wrong)
    if isinstance(source, Cosmic):
        if aim is None:
            raise ValueError("cosmic muons need a rectangle to aim at")
        return draw_cosmic(source, key, number, start_z, aim, dtype)
    height = 0.0 if frame == "barrel" else start_z
    if isinstance(source, Resonance):
        return draw_pairs(source, key, number, frame, (0.0, 0.0, height), dtype)
    ahead = -1 if frame == "portal" else 1  # sense of z along the flight
    if isinstance(source, Gun):
        return _gun(source, key, number, frame, height, ahead, dtype)
    if isinstance(source, Beam):
        return _beam(source, key, number, height, ahead, dtype)
    raise ValueError(f"{type(source).__name__} is drawn by detopt.simulation.generate")


def _gun(source: Gun, key: jax.Array, number: int, frame: str, z: float, ahead: int, dtype: Any) -> Rays:
    """From the axis, flat in log p, cos(theta) and azimuth."""

    def uniform(name: str) -> Float[Array, " N"]:
        return jax.random.uniform(stream(key, name), (number,), dtype)

    low, high = source.angles(frame)
    # 1 - cos(theta) keeps small angles in float32, the cosine would not.
    less = _versine(low) + uniform("theta") * (_versine(high) - _versine(low))
    sine, phi = jnp.sqrt(less * (2 - less)), 2 * math.pi * uniform("azimuth")
    direction = jnp.stack([sine * jnp.cos(phi), sine * jnp.sin(phi), ahead * (1 - less)], axis=-1)
    position = jnp.broadcast_to(jnp.asarray([0.0, 0.0, z], dtype), (number, 3))
    return _single(source.charge, position, direction, _flat_log(source.momentum, uniform("momentum")))


def _beam(source: Beam, key: jax.Array, number: int, z: float, ahead: int, dtype: Any) -> Rays:
    """Gaussian in position and slope, along both axes."""

    def normal(name: str, middle: Any, sigma: Any) -> Float[Array, "N 2"]:
        mean, width = (jnp.asarray(pair, dtype) for pair in (middle, sigma))
        return mean[None] + width[None] * jax.random.normal(stream(key, name), (number, 2), dtype)

    start, slope = normal("position", source.centre, source.spot), normal("slope", (0.0, 0.0), source.divergence)
    position = jnp.concatenate([start, jnp.full((number, 1), z, dtype)], axis=-1)
    direction = jnp.concatenate([slope, jnp.full((number, 1), ahead, dtype)], axis=-1)
    direction = direction / jnp.sqrt((direction**2).sum(-1, keepdims=True))
    pull = jax.random.truncated_normal(stream(key, "spread"), -4.0, 4.0, (number,), dtype)
    momentum = _flat_log(source.momentum, jax.random.uniform(stream(key, "momentum"), (number,), dtype))
    return _single(source.charge, position, direction, momentum * (1 + source.momentum_spread * pull))


def _versine(theta: float) -> float:
    return 2 * math.sin(theta / 2) ** 2


def _flat_log(limits: tuple[float, float], u: Float[Array, " N"]) -> Float[Array, " N"]:
    low, high = map(float, limits)
    return jnp.clip(low * jnp.exp(u * math.log(high / low)), low, high)


def _single(
    charge: int, position: Float[Array, "N 3"], direction: Float[Array, "N 3"], momentum: Float[Array, " N"]
) -> Rays:
    """Events of one particle, of weight 1."""
    ones = jnp.ones_like(momentum)
    return Rays(position[:, None], direction[:, None], momentum[:, None], charge * ones[:, None], ones)


def fraction_through(made: Rays, aim: Aim) -> float:
    """Weighted fraction of the events of which a particle, flying straight on, crosses the rectangle."""
    position, direction = np.asarray(made.position, float), np.asarray(made.direction, float)
    with np.errstate(divide="ignore", invalid="ignore"):  # a particle that flies along the rectangle never crosses it
        path = (aim.z - position[..., 2]) / direction[..., 2]
        at = position[..., :2] + path[..., None] * direction[..., :2]
    slack = 1e-5 * (np.abs(position).max() + max(aim.span))  # rounding of float32
    inside: Bool[np.ndarray, "N m"] = (np.abs(at - aim.centre) <= np.array(aim.span) / 2 + slack).all(-1) & (path >= 0)
    weight = np.asarray(made.weight, float)
    return float(weight[inside.any(-1)].sum() / weight.sum())
