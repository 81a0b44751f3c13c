"""The search for a front on problems whose front is known."""

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.search.constraints import Inside
from detopt.search.emulator import anchored, examples, fit, new_emulator, weighed
from detopt.search.fronts import best_subset, hypervolume, nondominated
from detopt.search.options import OptionCodes
from detopt.search.pareto import FrontSearcher, Plan

pytestmark = pytest.mark.usefixtures("small_networks")

A, B = np.array([0.2, 0.3, 0.6, 0.5]), np.array([0.8, 0.7, 0.4, 0.5])
REFERENCE = np.zeros(2)
# On the segment from A to B, at t of its length 0.872: f = t^2 L^2, (1 - t)^2 L^2, both minus 1.
L2 = float(np.sum((A - B) ** 2))


def both(u):
    return jnp.stack([jnp.sum((u - A) ** 2), jnp.sum((u - B) ** 2)]) - 1.0


VALUES = jax.jit(jax.vmap(both))
SLOPES = jax.jit(jax.vmap(lambda u, w: jax.grad(lambda u: jnp.sum(w * both(u)))(u)))


def exact(points=4000):
    t = np.linspace(0, 1, points)
    return hypervolume(np.stack([t**2 * L2, (1 - t) ** 2 * L2], 1) - 1, REFERENCE)


def searcher(seed=1, evaluations=600, inside=None, noise=0.0):
    def scores(u, key):
        found = np.asarray(VALUES(jnp.asarray(u)))
        return found + noise * np.asarray(jax.random.normal(key, found.shape))

    def slopes(u, weights, key):
        return np.asarray(SLOPES(jnp.asarray(u), jnp.asarray(weights)))

    plan = Plan.of(evaluations, gradients=not noise)
    return FrontSearcher(scores, None if noise else slopes, inside, np.full((1, 4), 0.9), plan, seed, noisy=noise > 0)


def run(search, rounds=10**6):
    state = search.init()
    while not search.done(state) and state.rounds < rounds:
        state = search.step(state)
    return state


@pytest.fixture(scope="module")
def found(small_networks):
    return run(searcher())


def test_finds_the_front(found):
    archive = found.archive
    assert found.spent <= 600
    assert archive.u[0].tolist() == [0.9] * 4  # the initial design is scored first
    assert hypervolume(archive.values, REFERENCE) > 0.98 * exact()
    best = archive.u[nondominated(archive.values)]
    # Between A and B, and close to the segment.
    along = (best - A) @ (B - A) / L2
    off = np.linalg.norm(best - A - along[:, None] * (B - A), axis=1)
    assert np.median(off) < 0.05


def test_same_seed_same_front_and_stopped_in_between(found):
    halfway = run(searcher(), rounds=3)
    rest = searcher()
    while not rest.done(halfway):
        halfway = rest.step(halfway)
    np.testing.assert_array_equal(halfway.archive.u, found.archive.u)
    np.testing.assert_array_equal(halfway.archive.values, found.archive.values)


def test_constraints_hold_for_every_design():
    inside = Inside(lambda u: jnp.stack([u[0] - 0.5, 0.35 - u[1]]))
    archive = run(searcher(inside=inside), rounds=4).archive
    assert (archive.u[1:, 0] <= 0.5).all()  # the first is the initial design as it is
    assert (archive.u[1:, 1] >= 0.35).all()


def test_a_failure_is_data():
    """Designs that cannot be scored do not end the search, nor draw it."""
    plain = searcher()

    def scores(u, key):
        return np.where(u[:, :1] > 0.6, np.nan, np.asarray(VALUES(jnp.asarray(u))))

    search = FrontSearcher(scores, plain.slopes, None, np.full((1, 4), 0.3), Plan.of(600), 1)
    archive = run(search, rounds=6).archive
    assert np.isnan(archive.values).any()
    late = archive.values[-60:]
    assert np.isfinite(late).all(axis=1).mean() > 0.5
    assert hypervolume(archive.values, REFERENCE) > 0.5 * exact()


def test_noise_is_not_believed():
    """The designs that an emulator names are nearly as good as they should be, though scores have large errors."""
    search = searcher(noise=0.1)
    state = run(search)
    told = search.believed(state._replace(emulator=search.learn(state)))
    chosen = state.archive.u[best_subset(told, 20, REFERENCE)]
    truth = np.asarray(VALUES(jnp.asarray(chosen)))
    assert hypervolume(truth, REFERENCE) > 0.93 * exact()
    naive = hypervolume(state.archive.values, REFERENCE)
    assert naive > 1.05 * exact()
    assert abs(hypervolume(told[best_subset(told, 20, REFERENCE)], REFERENCE) / exact() - 1) < 0.1


def test_anchored_emulator_agrees_with_what_is_known():
    rng = np.random.default_rng(0)
    u, weights = rng.uniform(size=(16, 4)), np.full((16, 2), 2**-0.5)
    values, slope = np.asarray(VALUES(u)), np.asarray(SLOPES(u, weights))
    emulator = new_emulator(values, 4, jax.random.key(0))  # untrained
    columns = [jnp.asarray(x, jnp.float32) for x in (u, values, weights, slope)]
    said, slopes = weighed(emulator, columns[0], columns[2], anchored(emulator, *columns, jnp.ones(4, jnp.float32)))
    np.testing.assert_allclose(said, values, atol=1e-5)
    np.testing.assert_allclose(slopes, slope, atol=1e-5)


def test_slopes_teach():
    """With the slopes of few designs, an emulator is better than without."""
    rng = np.random.default_rng(2)
    u, weights = rng.uniform(size=(40, 4)), np.tile([1.0, 0.0], (40, 1))
    values, slope = np.asarray(VALUES(u)), np.asarray(SLOPES(u, weights))
    fresh = rng.uniform(size=(200, 4))
    errors = []
    for known in (0, 40):
        listed = examples(u, values, np.ones(40), u[:known], weights[:known], slope[:known], 64, np.ones(4))
        emulator = new_emulator(values, 4, jax.random.key(1))
        for i in range(3):
            emulator = fit(emulator, listed, jax.random.key(i), 3e-3)
        said = jax.vmap(emulator)(jnp.asarray(fresh, jnp.float32))
        errors.append(float(np.std(np.asarray(said)[:, 0] - np.asarray(VALUES(fresh))[:, 0])))
    assert errors[1] < 0.7 * errors[0]


# Three choices of three options shift both values; what the second and third do best depends on the first.
SHIFTS = np.array(
    [
        [
            [
                [0.1 * (b != a) - 0.15 * (a == 0), 0.1 * (c != (a + 1) % 3) + 0.15 * (a == 0) + 0.3 * (a == 2)]
                for c in range(3)
            ]
            for b in range(3)
        ]
        for a in range(3)
    ]
)
CODES = OptionCodes(4, (3, 3, 3))


def exact_with_options(points=2000):
    t = np.linspace(0, 1, points)
    front = np.stack([t**2 * L2, (1 - t) ** 2 * L2], 1) - 1
    return hypervolume((front[:, None] + SHIFTS.reshape(-1, 2)[None]).reshape(-1, 2), REFERENCE)


def with_options(seed=1):
    def shift(u):
        return SHIFTS[tuple(CODES.options(u).T)]

    def scores(u, key):
        return np.asarray(VALUES(jnp.asarray(u[:, :4]))) + shift(u)

    def slopes(u, weights, key):
        found = np.asarray(SLOPES(jnp.asarray(u[:, :4]), jnp.asarray(weights)))
        return np.concatenate([found, np.zeros((len(u), 9))], axis=1)

    start = CODES.with_codes(np.full((1, 4), 0.9), np.zeros((1, 3), int))
    return FrontSearcher(scores, slopes, None, start, Plan.of(1000, choices=True), seed, codes=CODES)


def test_options_are_found_and_stay_what_they_are():
    archive = run(with_options()).archive
    codes = archive.u[:, 4:].reshape(-1, 3, 3)
    assert np.isin(codes, (0.0, 1.0)).all()
    assert (codes.sum(-1) == 1).all()
    assert hypervolume(archive.values, REFERENCE) > 0.97 * exact_with_options()
    best = CODES.options(archive.u[nondominated(archive.values)])
    # Two of the 27 combinations make the front: the first option with its companions, the second with its.
    assert {tuple(row) for row in best[len(best) // 10 :].tolist()} >= {(0, 0, 1), (1, 1, 2)}


def test_codes():
    options = np.array([[0, 2, 1], [1, 0, 0]])
    u = CODES.with_codes(np.zeros((2, 4)), options)
    assert u.shape == (2, 13)
    assert CODES.moves.tolist() == [True] * 4 + [False] * 9
    np.testing.assert_array_equal(CODES.options(u), options)
    changed = CODES.options(CODES.mutated(np.repeat(u, 50, axis=0), np.random.default_rng(0)))
    assert ((changed != np.repeat(options, 50, axis=0)).sum(axis=1) == 1).all()
    balanced = CODES.balanced(30, np.random.default_rng(0))
    assert (np.apply_along_axis(np.bincount, 0, balanced) == 10).all()
