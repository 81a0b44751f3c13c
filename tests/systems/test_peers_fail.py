"""The check tells right gradients from those in common use, and from our own when they are broken on purpose."""

from collections.abc import Callable
from typing import Any, NamedTuple

import efficiency
import numpy as np
import peers
import pytest
import telescope

from detopt.backend import jax, jnp
from detopt.gradients.check import Budget, Row, check
from detopt.gradients.flips import with_flips

MUONS = 100_000


class System(NamedTuple):
    """A detector with one free number."""

    mean: Callable[[Any, Any], Any]  # the simulation: (design, draws) -> score, hard edges and all
    draw: Callable[[jax.Array], Any]
    design: float
    low: float
    high: float

    def judge(self, *values: Callable[[Any, Any], Any], keys: int = 240) -> list[Row]:
        """What the check says of the gradients of (design, draws) -> score."""

        def evaluate(u, key):
            draws = self.draw(key)
            return jnp.stack([value(self.low + u[0] * (self.high - self.low), draws) for value in values])

        point = np.array([(self.design - self.low) / (self.high - self.low)])
        return check(evaluate, point, sampled=True, budget=Budget(keys=keys))

    def with_gradient(self, gradient: telescope.Gradient) -> Callable[[Any, Any], Any]:
        """The hard-edged score with somebody's gradient: an optimiser sees nothing else."""

        @jax.custom_vjp
        def value(design, draws):
            return self.mean(design, draws)

        def forward(design, draws):
            return value(design, draws), (design, draws)

        def backward(seen, cotangent):
            return cotangent * jnp.mean(gradient(*seen)), None

        value.defvjp(forward, backward)
        return value

    def judge_gradients(self, gradients: dict[str, telescope.Gradient]) -> dict[str, Row]:
        """By name."""
        return dict(zip(gradients, self.judge(*map(self.with_gradient, gradients.values())), strict=True))


def sampled(lever, muons):
    return jnp.mean(telescope.score(lever, muons))


def beam(key):
    return telescope.draw(key, (MUONS,))


def narrow_beam(key):
    """Hardly a muon misses panel 2."""
    return telescope.draw(key, (MUONS,), spread=0.05)


def planes(key):
    return efficiency.draw(key, MUONS // 2)


WIDE = System(sampled, beam, 300.0, 210.0, 1110.0)
NARROW = System(sampled, narrow_beam, 300.0, 210.0, 1110.0)
PLANES = System(efficiency.mean_sampled, planes, 0.8, 0.5, 0.99)

BREAKS = {"dropped": 0.0, "sign": -1.0, "half": 0.5}


def broken(statistics, flips, factor: float) -> telescope.Gradient:
    """Our own gradient, with the weights of its flips multiplied."""

    def wrong(design, draws):
        flip = flips(design, draws)
        return flip._replace(weight=factor * flip.weight)

    return telescope.each(with_flips(statistics, wrong))


def passes(row: Row) -> bool:
    return row.verdict == "ok" and abs(row.bias) < 3 * row.bias_error


def test_flips_pass_at_an_edge():
    assert passes(WIDE.judge(telescope.mean_score)[0])
    assert passes(NARROW.judge(telescope.mean_score)[0])


def test_flips_and_patterns_pass_for_an_efficiency():
    enumerated = PLANES.with_gradient(efficiency.enumerated)
    assert all(map(passes, PLANES.judge(efficiency.mean_score, enumerated)))


# Biases of the lesson.
EDGES = {
    "plain": (peers.plain(), 1.14),
    "soft 50 mm": (peers.soft_edges(50.0), 0.154),
    "fit 50 mm": (peers.fit_weights(50.0), 0.46),
    "fit 20 mm": (peers.fit_weights(20.0), 0.18),
}
HITS = {
    "Concrete": (peers.concrete(0.5), 0.073),
    "straight-through 1": (peers.straight_through(1.0), -0.80),
    "straight-through 0.5": (peers.straight_through(0.5), -0.53),
    "straight-through 0.25": (peers.straight_through(0.25), -0.61),
}


@pytest.fixture(scope="module")
def edges() -> dict[str, Row]:
    wrong = {name: broken(sampled, telescope.edge, factor) for name, factor in BREAKS.items()}
    return WIDE.judge_gradients(wrong | {name: gradient for name, (gradient, _) in EDGES.items()})


@pytest.fixture(scope="module")
def hits() -> dict[str, Row]:
    wrong = {
        name: broken(efficiency.mean_sampled, efficiency.plane_by_plane, factor) for name, factor in BREAKS.items()
    }
    return PLANES.judge_gradients(wrong | {name: gradient for name, (gradient, _) in HITS.items()})


@pytest.mark.parametrize("name", BREAKS)
def test_broken_flips_fail(edges, hits, name):
    assert edges[name].verdict == "fail"
    assert hits[name].verdict == "fail"


@pytest.mark.parametrize("name", EDGES)
def test_edges_of_peers_fail(edges, name):
    row = edges[name]
    assert row.verdict == "fail"
    assert row.bias / row.scale == pytest.approx(EDGES[name][1], abs=0.05)


@pytest.mark.parametrize("name", HITS)
def test_hits_of_peers_fail(hits, name):
    row = hits[name]
    assert row.verdict == "fail"
    assert row.bias / row.scale == pytest.approx(HITS[name][1], abs=0.02)


def test_detached_hits_fail():
    (row,) = NARROW.judge(NARROW.with_gradient(peers.detached_hits()))
    assert row.verdict == "fail"
    assert row.bias / row.scale == pytest.approx(-1.1, abs=0.1)


def test_noise_of_unbiased_estimators():
    """REINFORCE and narrow edges need several times as many muons as the flip, detached hits a thousand times."""
    muons = telescope.draw(jax.random.key(5), (400_000,))
    noise = {
        name: float(jnp.var(jax.jit(gradient)(jnp.asarray(300.0), muons)))
        for name, gradient in {
            "flip": telescope.with_the_flip,
            "reinforce": peers.reinforce(30.0),
            "narrow": peers.soft_edges(1.0),
            "detached": peers.detached_hits(),
        }.items()
    }
    assert noise["narrow"] > 4 * noise["flip"]
    assert noise["reinforce"] > 15 * noise["flip"]
    assert noise["detached"] > 1000 * noise["flip"]


def test_concrete_search_ends_elsewhere():
    gradient = telescope.averaged(peers.concrete(0.5), lambda key: efficiency.draw(key, 10_000))
    found = telescope.ascend(gradient, 0.8, efficiency.BOUNDS, 0.01)[-1]
    assert found - efficiency.BEST == pytest.approx(0.018, abs=0.002)


def test_fit_weights_are_exploited():
    gradient = telescope.averaged(peers.fit_weights(20.0), lambda key: telescope.draw(key, (20_000,)))
    found = telescope.ascend(gradient, 300.0, telescope.BOUNDS, 20.0)[-1]
    assert found / telescope.BEST - 1 == pytest.approx(0.26, abs=0.05)


def test_nothing_in_the_package_imports_peers(root):
    assert not [path for path in (root / "detopt").rglob("*.py") if "import peers" in path.read_text()]
