"""Evolutionary searches for a front, by pymoo (Blank and Deb, IEEE Access 8 (2020) 89497), to hold detopt's own against.

A generation is scored at once. Constraints go to the algorithm as constraints; options of choices are the nearest ones.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.util.ref_dirs import get_reference_directions

from detopt.backend import jax
from detopt.search.options import OptionCodes
from detopt.search.pareto import FAR, Forgotten, FrontSearcher, Plan, Scores, State
from detopt.simulation.streams import stream

__all__ = ["EVOLUTIONS", "EvolutionSearcher"]

EVOLUTIONS: dict[str, Callable[[int, int], Any]] = {  # of so many designs and objectives
    "nsga2": lambda size, outputs: NSGA2(size),
    "nsga3": lambda size, outputs: NSGA3(get_reference_directions("energy", outputs, size, seed=1), size),
    "sms_emoa": lambda size, outputs: SMSEMOA(size),
}
_GENERATIONS = 60
_SMALLEST, _LARGEST = 20, 200  # population

Excess = Callable[[Float[np.ndarray, "p n"]], Float[np.ndarray, "p rows"]]


class EvolutionSearcher(FrontSearcher):
    """One of pymoo's algorithms as a search of one problem; see `FrontSearcher`.

    What pymoo keeps is not written down: a search that goes on is played again up to there, from the scores it has had.
    """

    def __init__(
        self,
        algorithm: str,
        excess: Excess | None,
        evaluations: int,
        scores: Scores,
        start: Float[np.ndarray, "s n"],
        seed: int,
        noisy: bool = False,
        codes: OptionCodes | None = None,
    ) -> None:
        """
        Args (beside those of `FrontSearcher`):
            algorithm: of `EVOLUTIONS`.
            excess: by how much designs miss each constraint, met where it is <= 0; None where there are none.
            evaluations: how many there are at most.
        """
        size = int(np.clip(evaluations // _GENERATIONS, _SMALLEST, _LARGEST))
        plan = Plan(evaluations, first=size, batch=size, learned=evaluations, population=size)
        super().__init__(scores, None, None, start, plan, seed, noisy=noisy, codes=codes)
        self.named, self.excess = algorithm, excess
        self.algorithm: Any = None  # of pymoo, as soon as it begins

    def step(self, state: State) -> State:
        """One generation. Raises Forgotten where pymoo, asked again, does not do what it did."""
        archive = state.archive
        if self.algorithm is None:
            self._begin(state)
        born = self.algorithm.ask()
        u = self._snapped(born.get("X"))[: self.plan.evaluations - state.spent]
        values = self.scores(u, stream(self.key, f"round {state.rounds}"))
        self._tell(born[: len(u)], values)
        archive = archive._replace(u=np.concatenate([archive.u, u]), values=np.concatenate([archive.values, values]))
        return State(archive, None, None, state.rounds + 1, state.spent + len(u))

    def _begin(self, state: State) -> None:
        """Where the algorithm is after all that has been scored."""
        u, values = state.archive.u, state.archive.values
        rows = 0 if self.excess is None else self.excess(u[:1]).shape[1]
        problem = Problem(n_var=u.shape[1], n_obj=values.shape[1], n_ieq_constr=rows, xl=0.0, xu=1.0)
        self.algorithm = EVOLUTIONS[self.named](self.plan.population, values.shape[1])
        self.algorithm.initialization.sampling = Population.new("X", u[: self.plan.first])
        self.algorithm.setup(problem, termination=NoTermination(), seed=int(_seed(self.seed)))
        done = 0
        while done < len(u):
            born = self.algorithm.ask()
            if not np.array_equal(self._snapped(born.get("X"))[: len(u) - done], u[done : done + len(born)]):
                raise Forgotten("pymoo does not find again what it has found: this is another version of it")
            self._tell(born, values[done : done + len(born)])
            done += len(born)

    def _tell(self, born: Population, values: Float[np.ndarray, "p m"]) -> None:
        u = self._snapped(born.get("X"))
        born.set("X", u)
        born.set("F", np.minimum(np.nan_to_num(values, nan=FAR, posinf=FAR, neginf=FAR), FAR))
        if self.excess is not None:
            born.set("G", np.clip(self.excess(u), -1.0, 1e3))
        for one in born:
            one.evaluated.update({"F", "G", "H"})
        self.algorithm.tell(infills=born)

    def _snapped(self, u: Float[np.ndarray, "p n"]) -> Float[np.ndarray, "p n"]:
        return self.codes.with_codes(u[:, : self.codes.continuous], self.codes.options(u))


def _seed(seed: int) -> Any:
    """pymoo's seeds are of 32 bits."""
    return jax.random.key_data(jax.random.key(seed))[-1]
