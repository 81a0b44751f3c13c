"""The best of many combinations of discrete options, each of which takes long to score.

Where there is time for all of them, all are scored: that is a certificate. Else a Gaussian process over combinations learns
from those that were, and those come next which promise most by their expected improvement (Jones, Schonlau and Welch, J.
Global Optim. 13 (1998) 455). Its covariance is a sum over the choices, each of which has an effect of its own, and a product
over them, for what they do together: two combinations have more in common the more options they share.
"""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

__all__ = ["AT_ONCE", "search_combinations"]

AT_ONCE = 6  # combinations between two looks at what was learned
_CANDIDATES = 20_000  # that are looked at, where there are more
_TOGETHER = (0.03, 0.1, 0.3, 0.6)  # share of the variance that is not a sum over choices
_UNLIKE = (0.15, 0.3, 0.5, 0.7)  # correlation that is left where one option differs
_JITTER = 1e-6

Combination = tuple[int, ...]
Score = Callable[[list[Combination]], Sequence[float]]


def search_combinations(sizes: Sequence[int], score: Score, most: int, seed: int) -> dict[Combination, float]:
    """Score combinations until they are all known, or so many.

    Args:
        sizes: how many options each choice has.
        score: what to make small, of at most `AT_ONCE` combinations; not finite where one cannot be had. An empty answer
            ends the search.
        most: combinations that are scored.
        seed: of the first ones, and of those that are looked at.

    Returns:
        All that were scored.
    """
    total = int(np.prod([float(s) for s in sizes]))
    if total <= most:
        every = list(product(*(range(s) for s in sizes)))
        return _scored(every, score)
    rng = np.random.default_rng([seed, *b"combinations"])
    known: dict[Combination, float] = {}
    wanted = _balanced(sizes, max(most // 3, min(most, 2 * max(sizes))), rng)
    while wanted:
        found = _scored(wanted, score)
        known |= found
        if len(found) < len(wanted):
            break
        wanted = _promising(known, sizes, min(AT_ONCE, most - len(known)), rng) if len(known) < most else []
    return known


def _scored(wanted: list[Combination], score: Score) -> dict[Combination, float]:
    """Some at a time, until there is no answer."""
    known: dict[Combination, float] = {}
    for i in range(0, len(wanted), AT_ONCE):
        some = wanted[i : i + AT_ONCE]
        if not (found := score(some)):
            break
        known |= dict(zip(some, map(float, found), strict=True))
    return known


def _balanced(sizes: Sequence[int], number: int, rng: np.random.Generator) -> list[Combination]:
    """The first options of all choices, and others among which each option comes as often."""
    columns = [rng.permutation(np.arange(number) % size) for size in sizes]
    rows = [(0,) * len(sizes), *map(tuple, np.stack(columns, axis=1)[1:].tolist())]
    return list(dict.fromkeys(rows))


def _promising(
    known: dict[Combination, float], sizes: Sequence[int], number: int, rng: np.random.Generator
) -> list[Combination]:
    """Some that are not known yet; each as if those before it had turned out as expected."""
    x, y = np.array(list(known)), np.array(list(known.values()))
    finite = np.isfinite(y)
    if not finite.any():
        return _unknown(known, sizes, rng)[:number]
    y = np.where(finite, y, y[finite].max())
    # What is far worse than the best says little about the best.
    middle = float(np.median(y))
    y = np.minimum(y, middle + 3 * (middle - y.min()) + 1e-12)
    scale = y.std() or 1.0
    z, best = (y - y.mean()) / scale, (y.min() - y.mean()) / scale
    together, unlike = max(((t, u) for t in _TOGETHER for u in _UNLIKE), key=lambda h: _likelihood(x, z, *h))
    candidates = _unknown(known, sizes, rng)
    chosen: list[Combination] = []
    others = np.array(candidates)
    while candidates and len(chosen) < number:
        factor = cho_factor(_covariance(x, x, together, unlike) + _JITTER * np.eye(len(x)))
        cross = _covariance(others, x, together, unlike)
        mean = cross @ cho_solve(factor, z)
        width = np.sqrt(np.maximum(1 - np.einsum("cx,xc->c", cross, cho_solve(factor, cross.T)), 1e-12))
        gain = (best - mean) / width
        improvement = width * (gain * ndtr(gain) + np.exp(-(gain**2) / 2) / np.sqrt(2 * np.pi))
        improvement[[candidates.index(c) for c in chosen]] = -1.0
        pick = int(np.argmax(improvement))
        chosen.append(candidates[pick])
        x, z = np.concatenate([x, others[pick][None]]), np.append(z, mean[pick])
    return chosen


def _unknown(known: dict[Combination, float], sizes: Sequence[int], rng: np.random.Generator) -> list[Combination]:
    """All that are not known, or many: the neighbours of the best, and others at random."""
    if np.prod([float(s) for s in sizes]) <= _CANDIDATES:
        every = map(tuple, np.array(list(product(*(range(s) for s in sizes)))).tolist())
        return [c for c in every if c not in known]
    near = [
        (*c[:j], option, *c[j + 1 :])
        for c in sorted(known, key=known.__getitem__)[:10]
        for j, size in enumerate(sizes)
        for option in range(size)
    ]
    drawn = np.stack([rng.integers(0, s, _CANDIDATES) for s in sizes], axis=1)
    return [c for c in dict.fromkeys([*near, *map(tuple, drawn.tolist())]) if c not in known]


def _covariance(
    a: Int[np.ndarray, "n c"], b: Int[np.ndarray, "m c"], together: float, unlike: float
) -> Float[np.ndarray, "n m"]:
    same = (a[:, None] == b[None]).mean(-1)
    return (1 - together) * same + together * unlike ** (a.shape[1] * (1 - same))


def _likelihood(x: Int[np.ndarray, "n c"], z: Float[np.ndarray, " n"], together: float, unlike: float) -> float:
    """Logarithm of the density of the known scores, but for a constant."""
    (lower, low) = cho_factor(_covariance(x, x, together, unlike) + _JITTER * np.eye(len(x)), lower=True)
    square = float(z @ cho_solve((lower, low), z))
    # With the best overall variance.
    return -np.log(np.diag(lower)).sum() - len(z) / 2 * np.log(square)
