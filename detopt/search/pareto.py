"""The search for a whole front: hypervolume ascent that is led by a learned emulator of the scores.

A first sample covers the box. Then, in rounds: an emulator is fitted to all that is known; a population climbs on it, along
the slopes of its hypervolume; where it arrives is scored by the simulator. As soon as the emulator is good enough to tell
where the front is, the simulator's gradients come in as well: one for each design, of the combination of objectives that its
part of the hypervolume depends on. They teach the emulator, and where scores are exact they correct it to first order.
Where scores have errors, the emulator takes these out, and designs are chosen by what it says.

A round is a pure function of the state, so that a run can be stopped and resumed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from detopt.backend import jax, jnp
from detopt.search.emulator import (
    Anchors,
    Emulator,
    anchored,
    examples,
    fit,
    new_emulator,
    predicted,
    weighed,
)
from detopt.search.fronts import best_subset, directions, ranks
from detopt.search.options import OptionCodes
from detopt.search.problem import in_order
from detopt.simulation.streams import stream

__all__ = ["GRADIENT", "Archive", "Forgotten", "FrontSearcher", "Plan", "Population", "Scores", "State"]

GRADIENT = 5  # evaluations that a value and one gradient count as
FAR = 2.0  # beyond the reference, in units of the scale: all the same
_LEAST = 16  # designs in a round
_CLIMB = 60  # steps of a population on the emulator
_LONGEST, _SHORTEST = 0.03, 5e-4  # of its steps, in the unit box
_TRUST = 0.15  # how far around known designs an emulator is believed
_SCATTER = 0.03  # by which starts of the climb are moved at random
_OTHERS = 3  # points with another option that are looked at, for each that is known to be good


class Forgotten(Exception):
    """A search cannot go on from where it was."""


class Plan(NamedTuple):
    """How the evaluations are spent."""

    evaluations: int
    first: int  # designs of the first sample
    batch: int  # designs of a round without gradients
    learned: int  # evaluations after which gradients come in
    population: int  # designs of a round with gradients

    @classmethod
    def of(cls, evaluations: int, gradients: bool = True, choices: bool = False) -> "Plan":
        """Shares that did well with 600, 6 000 and 13 000 evaluations; with choices these are settled before gradients."""
        first = max(evaluations // 16, _LEAST)
        learned = evaluations // (2 if choices else 6) if gradients else evaluations
        batch = max(evaluations // (64 if gradients else 32), _LEAST)
        return cls(evaluations, first, batch, learned, max(evaluations // 90, _LEAST))


class Archive(NamedTuple):
    """All that was evaluated. Values are scaled, see `FrontSearcher`."""

    u: Float[np.ndarray, "rows n"]
    values: Float[np.ndarray, "rows m"]
    at: Float[np.ndarray, "slopes n"]
    along: Float[np.ndarray, "slopes m"]
    slope: Float[np.ndarray, "slopes n"]


class Population(NamedTuple):
    """Designs of one round, with a gradient of each."""

    u: Float[np.ndarray, "p n"]
    values: Float[np.ndarray, "p m"]
    along: Float[np.ndarray, "p m"]
    slope: Float[np.ndarray, "p n"]


class State(NamedTuple):
    """Between two rounds."""

    archive: Archive
    emulator: Emulator | None
    current: Population | None  # of the last round, where it took gradients
    rounds: int
    spent: int  # evaluations


Scores = Callable[[Float[np.ndarray, "p n"], jax.Array], Float[np.ndarray, "p m"]]
Slopes = Callable[[Float[np.ndarray, "p n"], Float[np.ndarray, "p m"], jax.Array], Float[np.ndarray, "p n"]]


class FrontSearcher:
    """The search of one problem.

    All values are to be small, and are scaled by whoever gives them: so that 0 is the worst of interest, the reference of
    the hypervolume, and that they vary by about 1 over what is of interest. NaN is a design that could not be scored.
    """

    def __init__(
        self,
        scores: Scores,
        slopes: Slopes | None,
        inside: Callable[[Float[np.ndarray, "p n"]], Any] | None,
        start: Float[np.ndarray, "s n"],
        plan: Plan,
        seed: int,
        noisy: bool = False,
        groups: list[list[int]] | None = None,
        codes: OptionCodes | None = None,
    ) -> None:
        """
        Args:
            scores: scaled values of many points of the unit box; the key draws events.
            slopes: gradients of weighted sums of the same values; None to search by values alone.
            inside: moves points inside the constraints; None where there are none.
            start: points to begin with.
            plan: how many evaluations, and for what.
            seed: of all random choices.
            noisy: whether values have errors.
            groups: variables that are interchangeable, see `random_starts`.
            codes: which coordinates are options of choices; none where it is not given.
        """
        self.scores, self.slopes, self.inside, self.start = scores, slopes, inside, start
        self.plan, self.noisy, self.groups = plan, noisy, groups or []
        self.seed, self.key = seed, jax.random.key(seed)
        self.codes = OptionCodes(start.shape[1]) if codes is None else codes

    def init(self) -> State:
        """The first sample: a Latin hypercube, and the points to begin with."""
        rng, size = np.random.default_rng([self.seed, *b"first"]), self.start.shape[1]
        number = self.plan.first
        cells = np.stack([rng.permutation(number) for _ in range(self.codes.continuous)], axis=1)
        u = in_order((cells + rng.uniform(size=cells.shape)) / number, self.groups)
        u = self._within(self.codes.with_codes(u, self.codes.balanced(number, rng)))
        u[: len(self.start)] = self.start
        values = self.scores(u, stream(self.key, "first"))
        nothing = np.zeros((0, size)), np.zeros((0, values.shape[1])), np.zeros((0, size))
        archive = Archive(u, values, *nothing)
        return State(archive, None, None, 0, number)

    def done(self, state: State) -> bool:
        """Whether the evaluations are spent."""
        return state.spent > self.plan.evaluations - (1 if self.slopes is None else GRADIENT)

    def step(self, state: State) -> State:
        """One round."""
        rng = np.random.default_rng([self.seed, state.rounds, *b"round"])
        emulator = self.learn(state)
        left = self.plan.evaluations - state.spent
        steep = self.slopes is not None and state.spent >= self.plan.learned and left >= GRADIENT
        number = min(self.plan.population, left // GRADIENT) if steep else min(self.plan.batch, left)
        if steep and state.current is not None:
            u = self._climb(emulator, state.current.u, state.current)[:number]
        else:
            known = self.believed(state._replace(emulator=emulator))
            u = state.archive.u[best_subset(known, number, np.zeros(known.shape[1]))]
            u = self._climb(emulator, self._scattered(u, rng), None)
            if self.codes.sizes and not steep:
                u = self._with_others(emulator, u, rng)
        key = stream(self.key, f"round {state.rounds}")
        values = self.scores(u, key)
        spent = state.spent + len(u) * (GRADIENT if steep else 1)
        archive, current = state.archive, state.current
        if steep:
            assert self.slopes is not None
            said = np.asarray(predicted(emulator, _small(u)), float) if self.noisy else values
            weights = directions(_finite(said), np.zeros(values.shape[1]))
            slope = self.slopes(u, weights, key)
            good = np.isfinite(slope).all(axis=1) & np.isfinite(values).all(axis=1)
            current = Population(u[good], values[good], weights[good], slope[good])
            archive = archive._replace(
                at=np.concatenate([archive.at, current.u]),
                along=np.concatenate([archive.along, current.along]),
                slope=np.concatenate([archive.slope, current.slope]),
            )
            if not good.any():
                current = None  # the next round begins with the best that are known
        archive = archive._replace(u=np.concatenate([archive.u, u]), values=np.concatenate([archive.values, values]))
        return State(archive, emulator, current, state.rounds + 1, spent)

    def _scattered(self, u: Float[np.ndarray, "p n"], rng: np.random.Generator) -> Float[np.ndarray, "p n"]:
        """The same points, moved a little at random."""
        return self._within(np.clip(u + self.codes.moves * _SCATTER * rng.normal(size=u.shape), 0.0, 1.0))

    def _with_others(
        self, emulator: Emulator, u: Float[np.ndarray, "p n"], rng: np.random.Generator
    ) -> Float[np.ndarray, "p n"]:
        """Of these points and of others with another option each, those that promise most together; some of both kinds."""
        others = np.concatenate([self.codes.mutated(u, rng) for _ in range(_OTHERS)])
        others = self._climb(emulator, self._scattered(others, rng), None)
        half = len(u) // 2

        def best(of: Float[np.ndarray, "p n"], number: int) -> Float[np.ndarray, "q n"]:
            said = np.asarray(predicted(emulator, _small(of)), float)
            return of[best_subset(said, number, np.zeros(said.shape[1]))]

        return np.concatenate([best(u, len(u) - half), best(others, half)])

    def believed(self, state: State) -> Float[np.ndarray, "rows m"]:
        """The values of all designs; where these have errors, as soon as there is an emulator, as that has it."""
        emulator, archive = state.emulator, state.archive
        if emulator is None or not self.noisy:
            return archive.values
        said = np.asarray(predicted(emulator, _small(archive.u)), float)
        return np.where(np.isfinite(archive.values).all(axis=1, keepdims=True), said, np.nan)

    def learn(self, state: State) -> Emulator:
        """The emulator of all that is known."""
        archive, emulator, first = state.archive, state.emulator, state.emulator is None
        values = _finite(archive.values)
        if emulator is None:
            emulator = new_emulator(values, archive.u.shape[1], stream(self.key, "weights"))
        # What is close to the front counts most; by what the last emulator says where luck would decide.
        rank = ranks(_finite(self.believed(state)))
        weight = 0.02 + 1 / (1 + (rank / max(float(np.median(rank)), 1.0)) ** 2)
        rows = self.plan.evaluations + self.plan.first
        known = examples(
            archive.u, values, weight / weight.mean(), archive.at, archive.along, archive.slope, rows, self.codes.moves
        )
        for i in range(6 if first else 1):
            key = stream(self.key, f"fit {state.rounds} {i}")
            emulator = fit(emulator, known, key, 3e-3 if first else 1.5e-3 if not len(archive.at) else 1e-3)
        return emulator

    def _climb(
        self, emulator: Emulator, u: Float[np.ndarray, "p n"], known: Population | None
    ) -> Float[np.ndarray, "p n"]:
        """Where a population gets to on the emulator, by Adam on the slopes of the hypervolume."""
        here, size = _small(u), len(u)
        reach = _TRUST * self.codes.moves
        low, high = np.maximum(u - reach, 0.0), np.minimum(u + reach, 1.0)
        outputs = emulator.middle.shape[0]
        anchors = Anchors(
            here, jnp.zeros((size, outputs), here.dtype), jnp.zeros((size, outputs, u.shape[1]), here.dtype)
        )
        if known is not None:
            values = np.asarray(predicted(emulator, here), float) if self.noisy else known.values
            anchors = anchored(emulator, here, *map(_small, (values, known.along, known.slope, self.codes.moves)))
        reference = np.zeros(outputs)
        first, second, at = np.zeros_like(u), np.zeros_like(u), u
        said = np.asarray(weighed(emulator, here, anchors.shift, anchors)[0], float)
        for i in range(_CLIMB):
            weights = directions(said, reference)
            said, slope = (np.asarray(x, float) for x in weighed(emulator, _small(at), _small(weights), anchors))
            first, second = 0.8 * first + 0.2 * slope, 0.95 * second + 0.05 * slope**2
            step = first / (1 - 0.8 ** (i + 1)) / np.sqrt(second / (1 - 0.95 ** (i + 1)) + 1e-10)
            length = _LONGEST * (_SHORTEST / _LONGEST) ** (i / _CLIMB)
            at = self._within(np.clip(at - length * step, low, high))
        return at

    def _within(self, u: Float[np.ndarray, "p n"]) -> Float[np.ndarray, "p n"]:
        return u if self.inside is None else np.array(self.inside(u))


def _finite(values: Float[np.ndarray, "p m"]) -> Float[np.ndarray, "p m"]:
    """What could not be scored is far from the front."""
    return np.minimum(np.nan_to_num(values, nan=FAR, posinf=FAR, neginf=FAR), FAR)


def _small(array: np.ndarray) -> jax.Array:
    return jnp.asarray(array, jnp.float32)
