"""Sets of points that are to be small in every coordinate: who dominates whom, hypervolume, and its slopes. No JAX.

Hypervolume: the volume that a set dominates up to a reference point (Zitzler and Thiele, IEEE Trans. Evol. Comput. 3 (1999)
257). Its slope with a coordinate of a point is the area of the facet that the point has there (Emmerich and Deutz, EVOLVE V
(2014) 197). Exact, by moocore (Fonseca, Paquete and Lopez-Ibanez, CEC 2006; Guerreiro and Fonseca, 2018).
"""

import moocore
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

__all__ = ["best_subset", "directions", "facets", "hypervolume", "inside", "nondominated", "ranks"]


_BESIDE = 1e-3  # of the extent: points that are nearly equal


def inside(points: Float[np.ndarray, "n m"], reference: Float[np.ndarray, " m"]) -> Bool[np.ndarray, " n"]:
    """Which points are better than the reference in every coordinate; one that is NaN is not."""
    return np.all(points < reference, axis=1)


def hypervolume(points: Float[np.ndarray, "n m"], reference: Float[np.ndarray, " m"]) -> float:
    """The volume between points and reference; points beyond the reference add nothing."""
    points = points[inside(points, reference)]
    return float(moocore.hypervolume(points, ref=reference)) if len(points) else 0.0


def nondominated(points: Float[np.ndarray, "n m"]) -> Bool[np.ndarray, " n"]:
    """Which points no other one beats; of equal ones the first."""
    return np.asarray(moocore.is_nondominated(points)) if len(points) else np.zeros(0, bool)


def ranks(points: Float[np.ndarray, "n m"]) -> Int[np.ndarray, " n"]:
    """0 for what nothing dominates, 1 for what only these do, and so on; NaN comes last."""
    return np.asarray(moocore.pareto_rank(np.nan_to_num(points, nan=1e9, posinf=1e9)), int)


def facets(points: Float[np.ndarray, "n m"], reference: Float[np.ndarray, " m"]) -> Float[np.ndarray, "n m"]:
    """By how much the hypervolume grows when one coordinate of one point gets smaller, for points inside the reference.

    The facet of a point along coordinate k is what it dominates in the others and no point does whose k is smaller.
    """
    slopes = np.zeros_like(points)
    for k in range(points.shape[1]):
        others = np.delete(np.arange(points.shape[1]), k)
        order = np.argsort(points[:, k], kind="stable")
        seen, limit = points[order][:, others], reference[others]
        for place, i in enumerate(order):
            before = np.maximum(seen[:place], seen[place])
            taken = hypervolume(before, limit) if len(others) else float(place > 0)
            slopes[i, k] = np.prod(limit - seen[place]) - taken
    return slopes


def directions(points: Float[np.ndarray, "n m"], reference: Float[np.ndarray, " m"]) -> Float[np.ndarray, "n m"]:
    """Unit weights of what each point should lower: the facets of the set that it is part of.

    A dominated point has no facet. It climbs with those of its own rank, as if those ahead were not there (Wang et al., EMO
    2017); outside the reference it goes back inside.
    """
    rank, weights = ranks(points), np.zeros_like(points)
    within = inside(points, reference)
    for r in np.unique(rank[within]):
        mine = (rank == r) & within
        weights[mine] = facets(points[mine], reference)
    weights[~within] = np.maximum(points[~within] - reference, 0)
    length = np.linalg.norm(weights, axis=1, keepdims=True)
    flat = np.full_like(weights, points.shape[1] ** -0.5)
    return np.where(length > 0, weights / np.where(length > 0, length, 1.0), flat)


def _apart(points: Float[np.ndarray, "n m"]) -> Bool[np.ndarray, " n"]:
    """One of each group of nearly equal points: each adds nothing to the others, and the last is worth what all were."""
    if len(points) < 2:
        return np.ones(len(points), bool)
    extent = np.ptp(points, axis=0)
    scaled = points / np.where(extent > 0, extent, 1.0)
    first, taken = np.zeros(len(points), bool), np.zeros(len(points), bool)
    for i, beside in enumerate(cKDTree(scaled).query_ball_point(scaled, _BESIDE)):
        first[i] = not taken[i]
        taken[beside] |= first[i]
    return first


def best_subset(
    points: Float[np.ndarray, "n m"], number: int, reference: Float[np.ndarray, " m"]
) -> Int[np.ndarray, " k"]:
    """So many points with much hypervolume together: whole ranks first, and of the last what adds least is dropped."""
    rank = ranks(points)
    order = np.argsort(rank, kind="stable")
    if len(points) <= number:
        return order
    last = rank[order[number - 1]]
    sure, edge = np.flatnonzero(rank < last), np.flatnonzero(rank == last)
    within = inside(points[edge], reference)
    kept, outside = edge[within], edge[~within]
    need, apart = number - len(sure), _apart(points[kept])
    kept, spare = kept[apart], kept[~apart]
    while len(kept) > need:  # a tenth of the surplus at a time: what is next to a dropped point gets worth more
        worth = np.asarray(moocore.hv_contributions(points[kept], ref=reference))
        drop = max(1, (len(kept) - need) // 10)
        kept = np.delete(kept, np.argsort(worth, kind="stable")[:drop])
    kept = np.concatenate([kept, spare[: need - len(kept)]])
    beyond = np.maximum(np.nan_to_num(points[outside], nan=1e9) - reference, 0).sum(axis=1)
    return np.concatenate([sure, kept, outside[np.argsort(beyond, kind="stable")[: need - len(kept)]]])
