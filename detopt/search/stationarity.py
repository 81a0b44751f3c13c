"""How far designs are from where no small step improves all objectives: the residual of Karush, Kuhn and Tucker.

At such a design the multipliers say what holds it back, and by how much the loss falls where that gives way.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import nnls

__all__ = ["Multipliers", "moves", "multipliers", "residuals"]

_AT_BOUND = 1e-6  # of the range
_TIGHT = 1e3  # how much more the sum of the shares counts than what is left of the gradients


def residuals(
    gradients: Float[np.ndarray, "p m n"],
    u: Float[np.ndarray, "p n"],
    limits: Float[np.ndarray, "p rows n"] | None = None,
    active: Bool[np.ndarray, "p rows"] | None = None,
) -> Float[np.ndarray, " p"]:
    """The shortest convex combination of the gradients, in units of their mean length; 0 where no step improves all.

    Non-negative multipliers of bounds of the unit box and of active constraints take away what these hold back
    (Miettinen, Nonlinear Multiobjective Optimization, section 3.1). Solved as non-negative least squares.

    Args:
        gradients: of objectives that are to be small, scaled alike.
        u: points of the unit box.
        limits: gradients of the constraints.
        active: which of them hold as equalities.
    """
    found = np.zeros(len(u))
    for i, (g, here) in enumerate(zip(gradients, u, strict=True)):
        length = float(np.linalg.norm(g, axis=1).mean())
        if not length > 0:
            continue
        walls = np.concatenate([-np.eye(len(here))[here <= _AT_BOUND], np.eye(len(here))[here >= 1 - _AT_BOUND]])
        if limits is not None and active is not None:
            walls = np.concatenate([walls, _of_unit_length(limits[i][active[i]])[0]])
        columns = np.concatenate([g / length, walls]).T
        shares = np.concatenate([np.ones(len(g)), np.zeros(len(walls))])
        matrix = np.concatenate([columns, _TIGHT * shares[None]])
        solution, _ = nnls(matrix, np.append(np.zeros(len(here)), _TIGHT))
        found[i] = np.linalg.norm(columns @ solution) / (shares @ solution)
    return found


def _of_unit_length(
    rows: Float[np.ndarray, "rows n"],
) -> tuple[Float[np.ndarray, "rows n"], Float[np.ndarray, " rows"]]:
    """The rows, and how long they were; what has no length stays."""
    sizes = np.linalg.norm(rows, axis=1)
    sizes = np.where(sizes > 0, sizes, 1.0)
    return rows / sizes[:, None], sizes


class Multipliers(NamedTuple):
    """What holds a design back from going down the gradient: gradient + sum of multiplier x wall = `left`."""

    walls: Float[np.ndarray, "walls n"]  # outward: lower bounds, upper bounds, constraints; those that are reached
    lower: Float[np.ndarray, " n"]  # multipliers, per unit of the box; 0 away from the bound
    upper: Float[np.ndarray, " n"]
    limits: Float[np.ndarray, " rows"]  # per unit of the constraint
    errors: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " rows"]]  # of the three
    left: Float[np.ndarray, " n"]
    unique: bool  # no other multipliers would do as well


def multipliers(
    gradient: Float[np.ndarray, " n"],
    u: Float[np.ndarray, " n"],
    limits: Float[np.ndarray, "rows n"],
    active: Bool[np.ndarray, " rows"],
    at_bound: float = _AT_BOUND,
    covariance: Float[np.ndarray, "n n"] | None = None,
) -> Multipliers:
    """The non-negative multipliers of bounds and constraints that leave least of the gradient of a loss.

    Args:
        gradient: of what is to be small.
        u: a point of the unit box.
        limits: gradients of the constraints, feasible when <= 0.
        active: which of them hold as equalities.
        at_bound: how close to a bound is at it.
        covariance: of the gradient, where it has errors.
    """
    n, rows = len(u), np.flatnonzero(active)
    low, high = np.flatnonzero(u <= at_bound), np.flatnonzero(u >= 1 - at_bound)
    scaled, sizes = _of_unit_length(limits[rows])
    walls = np.concatenate([-np.eye(n)[low], np.eye(n)[high], scaled])
    found, errors = np.zeros(len(walls)), np.zeros(len(walls))
    if len(walls):
        found, _ = nnls(walls.T, -gradient)
        holds = found > 0
        if covariance is not None and holds.any():
            follows = np.linalg.pinv(walls[holds].T)  # the multipliers that count are linear in the gradient
            errors[holds] = np.sqrt(np.maximum(np.diag(follows @ covariance @ follows.T), 0.0))
    units = np.concatenate([np.ones(len(low) + len(high)), sizes])

    def apart(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        each = np.zeros(n), np.zeros(n), np.zeros(len(limits))
        for target, places, part in zip(
            each, (low, high, rows), np.split(values / units, [len(low), len(low) + len(high)]), strict=True
        ):
            target[places] = part
        return each

    unique = len(walls) == 0 or int(np.linalg.matrix_rank(walls)) == len(walls)
    return Multipliers(walls, *apart(found), apart(errors), gradient + found @ walls, unique)


def moves(curvature: Float[np.ndarray, "n n"], walls: Float[np.ndarray, "k n"]) -> Float[np.ndarray, "k n"] | None:
    """Where the optimum goes for each wall that gives way by one unit; None where that is not known.

    The walls are those that hold (with multipliers), the curvature that of the Lagrangian. To first order the new optimum
    meets the same walls (Nocedal and Wright, Numerical Optimization, section 18.1); that needs a curvature that is positive
    in every direction along them.
    """
    k, n = walls.shape
    _, sizes, directions = np.linalg.svd(walls, full_matrices=True)
    rank = int((sizes > 1e-9 * max(sizes, default=1.0)).sum())
    along = directions[rank:]
    bends = np.linalg.eigvalsh(along @ (curvature + curvature.T) @ along.T / 2)
    if rank < k or (len(bends) and not bends[0] > 1e-9 * bends[-1]):
        return None
    system = np.block([[(curvature + curvature.T) / 2, walls.T], [walls, np.zeros((k, k))]])
    return np.linalg.solve(system, np.concatenate([np.zeros((n, k)), np.eye(k)]))[:n].T
