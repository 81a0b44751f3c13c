"""`evaluate` of portals whose head looks at exposures: each with a scene of its own, drawn at random.

The head's loss is no sum over muons. Where a decision flips, one muon of its exposure changes: to first order the loss
follows the sums that the head looks at, by its slope, which is one number for each flip; for a random few of them the loss
is taken with that muon and without it, and what the first order missed there stands for all.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.random_scenes import RandomFilling
from detopt.gradients.flips import Flip, with_flips
from detopt.inference.heads import Momentum
from detopt.inference.muon_columns import MUON_COLUMNS, columns_of_muon
from detopt.inference.pictures import Crowds, Pictures, Series
from detopt.inference.portal_network import PortalNetwork
from detopt.inference.questions import Grid, Question
from detopt.inference.voxel_sums import mean_sums
from detopt.scoring.beam_sampled import BeamEvaluator
from detopt.scoring.evaluate import HeadLoss
from detopt.scoring.score import Score
from detopt.simulation.beam_event import Line, undecided
from detopt.simulation.landing import spread
from detopt.simulation.scene_draws import by_layers, draw_scene, filled
from detopt.simulation.streams import stream

__all__ = ["PortalEvaluator"]

EXACT = 2  # flips of an exposure for which the head's loss is taken with and without the muon


class _Sums(NamedTuple):
    """Means over muons, and over exposures for the head."""

    muons: Float[Array, "*n k"]
    head: Float[Array, "*n 2"]


class PortalEvaluator(BeamEvaluator):
    """See `ChunkedEvaluator`."""

    def __init__(
        self,
        *study: Any,
        scenes: RandomFilling,
        question: Question,
        grid: Grid,
        momentum: Momentum = "unknown",
        muon_by_muon: bool = False,
        **more: Any,
    ) -> None:
        """
        Args:
            study: what `BeamEvaluator` takes, as far as `arms`; and `more`.
            scenes: of the only volume.
            question: that the head is asked.
            grid: that it looks at.
            momentum: what it is told of that of each muon; where it is measured, `more` has the `momenta` to try.
            muon_by_muon: whether it learns from muons, and not from sums on the grid.
        """
        super().__init__(*study, columns=lambda muon: columns_of_muon(muon, grid.middle, momentum), **more)
        self.scenes, self.question, self.grid, self.muon_by_muon = scenes, question, grid, muon_by_muon

    # -- exposures ---------------------------------------------------------------------------------------------------------

    def _looked_into(self, line: Line, key: jax.Array) -> tuple[Line, Float[Array, " answers"]]:
        """The detector around a random scene, and the true answer."""
        dtype = line.stops.middle.dtype
        scene = draw_scene(self.scenes, stream(key, "scene"), dtype)
        if self.question.kind == "map":
            x0 = np.array([m.X0 for m in self.scenes.scene.materials])
            truth = by_layers(jnp.asarray(np.log(x0), dtype)[scene.cells])
        else:
            truth = jnp.asarray(scene.truth[self.question.of], dtype)[None]
        return eqx.tree_at(lambda s: s.stops, line, filled(line.stops, self.scenes, scene.cells)), truth

    def _muons(
        self, line: Line, key: jax.Array, number: int | None = None
    ) -> tuple[Float[Array, "M k"], Float[Array, "M f"]]:
        """The muons of one exposure: their statistics, and what a head looks at."""
        number = self.exposure if number is None else number
        draws = self.muons.draws(stream(key, "muons"), number, line.stops.middle.dtype, evenly=False)
        decided = undecided(line)
        both = jax.vmap(lambda d: self.muons.statistics(line, d, decided), in_axes=-1)(draws)
        return both[:, :-MUON_COLUMNS], both[:, -MUON_COLUMNS:]

    def exposures(self, design: Detector, key: jax.Array, number: int) -> Pictures | Crowds:
        """Fresh exposures, as heads learn from them, of so many muons or some more."""
        if not self.muon_by_muon:
            return self.series(design, key, number, 1, 1).first(1)
        condition, line = self._condition(design), self.muons.line(self._cast(design))

        def one(key: jax.Array) -> tuple[Array, Array]:
            inside, truth = self._looked_into(line, key)
            return self._muons(inside, key)[1], truth

        columns, truth = jax.lax.map(one, jax.random.split(key, math.ceil(number / self.exposure)))
        return Crowds(columns, truth, jnp.broadcast_to(condition, (len(truth), len(condition))))

    def series(self, design: Detector, key: jax.Array, number: int, longest: int, parts: int) -> Series:
        """Exposures that last `longest` times the usual one, in so many parts; of so many muons altogether, or some more."""
        condition, line = self._condition(design), self.muons.line(self._cast(design))
        part = math.ceil(longest * self.exposure / parts)

        def one(key: jax.Array) -> tuple[Array, Array]:
            inside, truth = self._looked_into(line, key)
            columns = self._muons(inside, key, parts * part)[1].reshape(parts, part, MUON_COLUMNS)
            return jax.lax.map(lambda each: mean_sums(each, self.grid), columns), truth

        keys = jax.random.split(key, math.ceil(number / (parts * part)))
        sums, truth = jax.lax.map(one, keys)
        muons = jnp.full(len(keys), part, sums.dtype)
        return Series(sums, muons, truth, jnp.broadcast_to(condition, (len(keys), len(condition))))

    def _pictures(self, sums: Array, truth: Array, condition: Array) -> Pictures:
        number = len(truth)
        muons = jnp.full(number, self.exposure, sums.dtype)
        return Pictures(sums, muons, truth, jnp.broadcast_to(condition, (number, len(condition))))

    # -- the score ---------------------------------------------------------------------------------------------------------

    def _sums(self, design: Detector, head: Any, key: jax.Array) -> _Sums:
        small, condition = self._cast(design), self._condition(design)
        chunk = with_flips(self._exposed, self._flips, shown=True)

        def step(_: None, key: jax.Array) -> tuple[None, _Sums]:
            return None, chunk((small, condition), head, key)

        return jax.lax.scan(step, None, jax.random.split(key, self.chunks))[1]

    def _keys(self, key: jax.Array) -> jax.Array:
        return jax.random.split(key, self.chunk // self.exposure)

    def _exposed(
        self, moving: tuple[Detector, Array], head: PortalNetwork, key: jax.Array
    ) -> tuple[_Sums, Float[Array, "exposures M f"]]:
        """The sums of a chunk, and what the head saw of its muons."""
        design, condition = moving
        line = self.muons.line(design)

        def one(key: jax.Array) -> tuple[_Sums, Array]:
            inside, truth = self._looked_into(line, key)
            statistics, columns = self._muons(inside, key)
            losses = head.scores(self._pictures(head.reduced(columns)[None], truth[None], condition))
            return _Sums(statistics.mean(0), jnp.concatenate(losses)), columns

        sums, columns = jax.vmap(one)(self._keys(key))
        return jax.tree.map(lambda x: x.mean(0), sums), columns

    def _flips(
        self, seen: Array, moving: tuple[Detector, Array], head: PortalNetwork, key: jax.Array
    ) -> tuple[Flip, ...]:
        """Flips of muons in the exposures of a chunk, of which `seen` is what the head saw."""
        design, condition = moving
        line, condition = self.muons.line(design), jax.lax.stop_gradient(condition)
        keys = self._keys(key)

        def one(columns: Array, key: jax.Array) -> tuple[Flip, Flip]:
            inside, truth = self._looked_into(line, key)
            every = self.flips.on(inside, stream(key, "flips"))
            flips = jax.tree.map(lambda *each: jnp.concatenate(each), *every)

            def losses(sums: Array) -> Float[Array, " 2"]:
                return jnp.concatenate(head.scores(self._pictures(sums[None], truth[None], condition)))

            return self._of_head(head, flips, losses, columns, stream(key, "exact"))

        # A mean over exposures.
        return tuple(
            jax.tree.map(_in_a_row, f._replace(weight=f.weight / len(keys))) for f in jax.vmap(one)(seen, keys)
        )

    def _of_head(
        self, head: PortalNetwork, flips: Flip, losses: Any, columns: Array, key: jax.Array
    ) -> tuple[Flip, Flip]:
        """Flips of the muons of an exposure as flips of the sums, and their corrections."""
        muons, count = len(columns), len(flips.weight)
        sums = head.reduced(columns)
        (on, seen_on), (off, seen_off) = ((x[:, :-MUON_COLUMNS], x[:, -MUON_COLUMNS:]) for x in (flips.on, flips.off))
        _, back = jax.vjp(losses, sums)
        slopes = jax.vmap(lambda unit: back(unit)[0])(jnp.eye(2, dtype=sums.dtype))
        both = jnp.concatenate([seen_on, seen_off])
        added = jax.vmap(lambda slope: head.projected(slope, both))(slopes).T
        first_order = added[:count] - added[count:]
        some = min(EXACT, count)
        # Any of the muons may stand back for the flipped one: they are alike.
        rows = spread(jnp.full(count, 1 / count), key, some)

        def exact(one: Array, other: Array) -> Float[Array, " 2"]:
            return losses(sums + (head.reduced(one[None]) - head.reduced(other[None])) / muons)

        swapped = jax.vmap(exact)(
            jnp.concatenate([seen_on[rows], seen_off[rows]]), jnp.concatenate([columns[:some], columns[:some]])
        )
        missed = muons * (swapped[:some] - swapped[some:]) - first_order[rows]
        nothing = jnp.zeros_like(first_order)
        return (
            Flip(_Sums(on, first_order), _Sums(off, nothing), flips.weight, flips.handle),
            Flip(
                _Sums(jnp.zeros_like(on[rows]), missed), _Sums(jnp.zeros_like(on[rows]), nothing[:some]),
                flips.weight[rows] * count / some, flips.handle[rows],
            ),
        )  # fmt: skip

    def _readout(self, design: Detector, mean: Any) -> Score:
        squared = mean.head[1] * self.question.range**2
        return self._scored(design, mean.muons, HeadLoss(mean.head[0], squared))


def _in_a_row(x: Array) -> Array:
    return x.reshape(-1, *x.shape[2:])
