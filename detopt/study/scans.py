"""A function of one number, compared with the integral of its derivative over a range.

Between any two values a function changes by that integral. Summed over ever shorter steps, the difference vanishes for
whatever is continuous, kinks included; at a jump it stays what it is. So rounding, steps and derivatives that are hidden
are told from what a search can follow.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.study.plugins import said_by

__all__ = ["Scan", "scan", "untraceable"]

_COARSE, _FINE = 64, 2048  # steps between the ends of a range
_STAYS = 0.5  # of the difference, when the steps are that much shorter
_ROUNDING = 1e-9  # of the largest value
_SMALL = 3e-4  # of all that a function changes by: a kink at the wrong place can look like a jump of that size
_GAUSS = 0.5 - np.sqrt(3) / 6  # two points integrate a cubic exactly


class Scan(NamedTuple):
    """m outputs along one number, from one end of its range to the other."""

    change: Float[np.ndarray, " m"]  # all ups and downs together
    jumps: Bool[np.ndarray, " m"]  # whether it changes otherwise than its derivative says
    at: Float[np.ndarray, " m"]  # where that is worst
    step: Float[np.ndarray, " m"]  # by how much it changes there, beyond what the derivative says
    finite: Bool[np.ndarray, " m"]


def scan(f: Callable[[Array], Float[Array, " m"]], lower: float, upper: float) -> Scan:
    """Compare f with the integral of its derivative, between two values of its one argument.

    Nothing is compiled: a heavy f should come as `jax.jit(f)`.
    """

    wide = lower > 0 and upper / lower >= 4  # on a logarithmic scale, as searches move it

    def at(u: Array) -> Array:
        return lower ** (1 - u) * upper**u if wide else lower * (1 - u) + upper * u

    def both(u: Array) -> tuple[Array, Array]:
        return jax.jvp(lambda u: f(at(u)), (u,), (jnp.ones_like(u),))

    nodes = jnp.linspace(0.0, 1.0, _FINE + 1)
    points = [nodes]
    for steps in (_FINE, _COARSE):
        left = nodes[: -1 : _FINE // steps]
        points += [left + _GAUSS / steps, left + (1 - _GAUSS) / steps]
    sizes = np.cumsum([len(p) for p in points])[:-1]
    found = jax.vmap(both)(jnp.concatenate(points))
    value = np.asarray(found[0])[: _FINE + 1]
    _, *slopes = np.split(np.asarray(found[1]), sizes)
    backwards = np.asarray(jax.vmap(jax.jacrev(lambda u: f(at(u))))(points[3]))  # as searches differentiate
    with np.errstate(all="ignore"):
        fine = np.diff(value, axis=0) - (slopes[0] + slopes[1]) / 2 / _FINE
        coarse = np.diff(value[:: _FINE // _COARSE], axis=0) - (slopes[2] + slopes[3]) / 2 / _COARSE
        left_over, before = np.abs(fine).sum(0), np.abs(coarse).sum(0)
        change = np.abs(np.diff(value, axis=0)).sum(0)
        rounding = _ROUNDING * np.abs(value).max(0)
    worst = np.abs(np.nan_to_num(fine)).argmax(0)
    columns = np.arange(value.shape[1])
    return Scan(
        change=np.where(change > rounding, change, 0.0),
        jumps=(left_over > _STAYS * before) & (left_over > rounding) & (left_over > _SMALL * change),
        at=np.asarray(at(nodes))[worst],
        step=fine[worst, columns],
        finite=np.isfinite(np.concatenate([value, *slopes, backwards])).all(axis=0),
    )


def untraceable(f: Callable[[Array], Any], x: float, cls: type, staged: bool = False) -> str | None:
    """Why a function of a class's number cannot be traced, or None.

    Only what follows that number is traced, so that the blame is its own; `staged`: everything is, as in a compilation.
    """
    at = jnp.asarray(x, jnp.float64)
    try:
        if staged:
            jax.make_jaxpr(f)(at)
        else:
            jax.vmap(f)(at[None])
    except _ERRORS as error:
        why = next(text for kind, text in _REASONS if isinstance(error, kind))
        return f"{why} ({said_by(error, _file(cls)).partition(': ')[0]})"
    except Exception as error:
        return f"is not taken where it is traced ({said_by(error, _file(cls))})"
    return None


def _file(cls: type) -> str | None:
    return getattr(sys.modules.get(cls.__module__), "__file__", None)


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jax.errors.TracerBoolConversionError, "is asked whether it is larger, equal or true (if, and, max, a comparison)"),
    (jax.errors.TracerIntegerConversionError, "counts or indexes something"),
    (jax.errors.TracerArrayConversionError, "is handed to NumPy, which knows no derivatives: use jax.numpy"),
    (jax.errors.ConcretizationTypeError, "is made a plain Python number (float, int, round, math.…): use jax.numpy"),
)
_ERRORS = tuple(kind for kind, _ in _REASONS)
