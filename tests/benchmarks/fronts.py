"""`make bench-pareto`: the front of a tracker with 18 variables and 4 objectives, against pymoo's NSGA-II and NSGA-III.

The tracker is the one that tests/systems/test_tracker_front.py writes down in NumPy and scores with detopt; here it is in
JAX. A value counts as one evaluation, a value with one gradient as five. The hypervolume is a share of that of the best
front known.
"""

import sys
import time
from functools import partial

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.core.problem import Problem
from pymoo.optimize import minimize
from pymoo.util.ref_dirs import get_reference_directions

from detopt.backend import jax, jnp
from detopt.search.fronts import best_subset, hypervolume
from detopt.search.pareto import FrontSearcher, Plan
from detopt.search.stationarity import residuals

N = 6
IDEAL = np.array([-3.0694729266849654, -2.304288467216356, -4.529387130498295, 0.51470699799444])
NADIR = np.array([-2.6731164711861024, -1.2812000174532303, -4.275465192809753, 1.6227473012252935])
BEST = 0.933  # hypervolume of the best front known, up to 1.1 on every axis
MARKS = (0.80, 0.82, 0.90, 0.95)
ROWS = 64


def decode(z):
    """z: (18,) in the unit box -> radii (m), hit resolutions (m), material of each layer (x/X0)."""
    u, s, m = z[:N], z[N : 2 * N], z[2 * N :]
    t = 1 - jnp.cumprod((1 - u * (1 - 1e-9)) ** (1 / np.arange(N, 0, -1)))
    radius = 0.03 + 0.01 * np.arange(N) + (1.07 - 0.01 * (N - 1)) * t
    sigma = 5e-6 * 12.0**s
    floor = 0.002 + 0.004 * (10e-6 / sigma) ** 2
    return radius, sigma, floor + (0.03 - floor) * m**2


def covariance(radius, sigma, x, p):
    """Of d0, phi and curvature at one momentum: a parabola with the whole scattering covariance."""
    r, thickness = jnp.append(0.022, radius), jnp.append(0.003, x)
    theta = 13.6e-3 / p * jnp.sqrt(thickness) * (1 + 0.038 * jnp.log(thickness))
    lever = jnp.maximum(radius[:, None] - r[None, :], 0.0) * theta[None]
    a = jnp.stack([jnp.ones_like(radius), radius, radius**2 / 2], 1)
    return jnp.linalg.inv(a.T @ jnp.linalg.inv(jnp.diag(sigma**2) + lever @ lever.T) @ a)


def objectives(z):
    """Four logarithms, scaled so that the front is between 0 and 1; less 1.1, the reference."""
    radius, sigma, x = decode(z)
    low, high = covariance(radius, sigma, x, 1.0), covariance(radius, sigma, x, 100.0)
    return scaled(radius, sigma, x, jnp.sqrt(low[2, 2]), jnp.sqrt(high[2, 2]), jnp.sqrt(low[0, 0]))


def scaled(radius, sigma, x, slow, fast, d0):
    """The same of a design's layers, and the errors of its tracks: curvature at both momenta, and d0."""
    area, k = 4 * np.pi * radius * (0.25 + 0.9 * radius), 0.299792458 * 3.8
    money = jnp.sum(0.2 * area + 1e-9 * area / (12 * sigma**2) + 0.0005 * area / x) + 0.3 * N
    found = jnp.stack([slow / k, fast * 100 / k, d0, money])
    return (jnp.log10(found) - IDEAL) / (NADIR - IDEAL) - 1.1


def in_batches(f):
    """Any number of rows, compiled once."""

    def call(*columns):
        found = []
        for i in range(0, len(columns[0]), ROWS):
            part = [np.asarray(c[i : i + ROWS]) for c in columns]
            missing = ROWS - len(part[0])
            full = [jnp.asarray(np.concatenate([c, np.repeat(c[:1], missing, axis=0)])) for c in part]
            found.append(np.asarray(f(*full))[: ROWS - missing])
        return np.concatenate(found)

    return call


VALUES = in_batches(jax.jit(jax.vmap(objectives)))
SLOPES = in_batches(jax.jit(jax.vmap(lambda z, w: jax.grad(lambda z: jnp.sum(w * objectives(z)))(z))))
JACOBIANS = in_batches(jax.jit(jax.vmap(jax.jacrev(objectives))))
REFERENCE = np.zeros(4)


def share(values):
    """Of the best hypervolume known."""
    return hypervolume(values, REFERENCE) / BEST


def ours(seed, evaluations):
    """Evaluations and shares after each round, and everything that was scored."""
    search = FrontSearcher(
        lambda u, key: VALUES(u),
        lambda u, weights, key: SLOPES(u, weights),
        None,
        np.full((1, 18), 0.5),
        Plan.of(evaluations),
        seed,
    )
    state, track = search.init(), []
    while not search.done(state):
        state = search.step(state)
        track.append((state.spent, share(state.archive.values)))
    return track, state.archive.u, state.archive.values


class _Tracker(Problem):
    def __init__(self, scores):
        super().__init__(n_var=18, n_obj=4, xl=0.0, xu=1.0)
        self.scores = scores
        self.u, self.values, self.track = [], [], []

    def _evaluate(self, x, out, *args, **kwargs):
        out["F"] = self.scores(x)
        self.u.append(x.copy())
        self.values.append(out["F"])
        if len(self.values) % 10 == 0:
            seen = np.concatenate(self.values)
            self.track.append((len(seen), share(seen)))


def evolution(algorithm, seed, evaluations, scores=VALUES):
    """The same of one of pymoo's."""
    problem = _Tracker(scores)
    minimize(problem, algorithm(), ("n_eval", evaluations), seed=seed)
    return problem.track, np.concatenate(problem.u), np.concatenate(problem.values)


def main(seeds, evaluations):
    """A table of medians."""
    expected = [-2.49189395, -1.67767037, -3.74636279, 1.25915764]
    known = (VALUES(np.full((1, 18), 0.5))[0] + 1.1) * (NADIR - IDEAL) + IDEAL
    np.testing.assert_allclose(known, expected, atol=1e-7)
    directions = get_reference_directions("energy", 4, 200, seed=1)
    rivals = {
        "detopt": ours,
        "NSGA-III": partial(evolution, lambda: NSGA3(directions)),
        "NSGA-II": partial(evolution, lambda: NSGA2(200)),
    }
    print(f"{seeds} seeds, {evaluations} evaluations each; medians")
    head = [f"to {m:g}" for m in MARKS]
    print(f"{'':10}" + "".join(f"{h:>9}" for h in (*head, "share", "best 100", "KKT", "seconds")))
    for name, search in rivals.items():
        rows = []
        for seed in range(seeds):
            started = time.perf_counter()
            track, u, values = search(seed, evaluations)
            seconds = time.perf_counter() - started
            chosen = best_subset(values, 100, REFERENCE)
            kkt = float(np.median(residuals(JACOBIANS(u[chosen]), u[chosen])))
            reached = [next((spent for spent, s in track if s >= mark), np.inf) for mark in MARKS]
            rows.append([*reached, track[-1][1], share(values[chosen]), kkt, seconds])
        middle = np.median(np.array(rows), axis=0)
        shown = [f"{x:9.0f}" if np.isfinite(x) else f"{'never':>9}" for x in middle[: len(MARKS)]]
        print(
            f"{name:10}" + "".join(shown) + "".join(f"{x:9.3f}" for x in middle[len(MARKS) : -1]) + f"{middle[-1]:9.0f}"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, int(sys.argv[2]) if len(sys.argv) > 2 else 13_000)
