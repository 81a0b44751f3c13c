"""How far designs are from where no small step improves all objectives: the residual of Karush, Kuhn and Tucker."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import nnls

__all__ = ["residuals"]

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
            rows = limits[i][active[i]]
            sizes = np.linalg.norm(rows, axis=1, keepdims=True)
            walls = np.concatenate([walls, rows / np.where(sizes > 0, sizes, 1.0)])
        columns = np.concatenate([g / length, walls]).T
        shares = np.concatenate([np.ones(len(g)), np.zeros(len(walls))])
        matrix = np.concatenate([columns, _TIGHT * shares[None]])
        solution, _ = nnls(matrix, np.append(np.zeros(len(here)), _TIGHT))
        found[i] = np.linalg.norm(columns @ solution) / (shares @ solution)
    return found
