"""The waist: what `evaluate(design, head, key)` returns, and all that a search needs to know."""

import equinox as eqx
from jaxtyping import Array, Float

__all__ = ["Score"]


class Score(eqx.Module):
    """Named values with statistical errors, constraints (feasible when <= 0), and the cost breakdown."""

    objective_names: tuple[str, ...] = eqx.field(static=True)
    values: Float[Array, " objectives"]  # base units
    errors: Float[Array, " objectives"]
    constraint_names: tuple[str, ...] = eqx.field(static=True)  # one name may hold several rows: a gap for each pair
    excess: Float[Array, " rows"]  # relative: 0.02 is 2 % beyond the limit
    excess_errors: Float[Array, " rows"]
    cost_names: tuple[str, ...] = eqx.field(static=True)
    costs: Float[Array, " items"]  # kEUR
