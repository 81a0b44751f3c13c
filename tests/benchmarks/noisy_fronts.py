"""`make bench-pareto`, second part: the same front from scores with 5 % noise, 20 000 of them with all that the audit takes.

A score is that of 200 simulated tracks at each momentum. The front that is published is judged by its true hypervolume, and
what it claims by whether its interval holds that.
"""

import sys
import time
from functools import partial

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.util.ref_dirs import get_reference_directions

from detopt.backend import jax, jnp
from detopt.search.belief import audited, with_interval
from detopt.search.fronts import best_subset
from detopt.search.pareto import FrontSearcher, Plan
from detopt.simulation.streams import stream
from tests.benchmarks.fronts import (
    BEST,
    IDEAL,
    NADIR,
    REFERENCE,
    VALUES,
    covariance,
    decode,
    evolution,
    in_batches,
    scaled,
    share,
)

TRACKS = 200
SEARCH = 14_000  # evaluations; the rest is for the audit
CANDIDATES, LOOKS = 400, 6  # these are looked at so many times
POINTS, AGAIN = 300, 12  # of these, as many at most are published, after so many fresh looks at each
AUDITS = 14  # of the same search, to see how often the interval holds the truth


def noisy(z, key):
    """`objectives`, the resolutions as the RMS error of some tracks."""
    radius, sigma, x = decode(z)
    low, high = covariance(radius, sigma, x, 1.0), covariance(radius, sigma, x, 100.0)
    slow, fast = jax.random.normal(jax.random.wrap_key_data(key), (2, TRACKS, 3))

    def rms(covariance, normals, i):
        width = jnp.sqrt(jnp.diagonal(covariance))  # of very different units
        root = jnp.linalg.cholesky(covariance / (width[:, None] * width[None])) * width[:, None]
        return jnp.sqrt(jnp.mean((normals @ root.T)[:, i] ** 2))

    return scaled(radius, sigma, x, rms(low, slow, 2), rms(high, fast, 2), rms(low, slow, 0))


_VALUES = in_batches(jax.jit(jax.vmap(noisy)))
_SLOPES = in_batches(jax.jit(jax.vmap(lambda z, w, k: jax.grad(lambda z: jnp.sum(w * noisy(z, k)))(z))))


def _keys(key, number):
    return np.asarray(jax.random.key_data(jax.random.split(key, number)))


def scores(u, key):
    return _VALUES(u, _keys(key, len(u)))


def slopes(u, weights, key):
    return _SLOPES(u, weights, _keys(key, len(u)))


def audit(u, purpose, key):
    """Means of some scores of each point, and their errors: sd(ln s) of N tracks is 1 / sqrt(2 N)."""
    looks = LOOKS if purpose == "choose" else AGAIN
    values = np.mean([scores(u, stream(key, f"{purpose} {i}")) for i in range(looks)], axis=0)
    width = np.array([1.0, 1.0, 1.0, 0.0]) / (NADIR - IDEAL)
    return values, np.tile(width / np.log(10) / np.sqrt(2 * TRACKS * looks), (len(u), 1))


def ours(seed):
    """Published points, their values, and what is claimed of them, for some audits of one search; and what all cost."""
    plan = Plan.of(SEARCH)
    search = FrontSearcher(scores, slopes, None, np.full((1, 18), 0.5), plan, seed, noisy=True)
    state = search.init()
    while not search.done(state):
        state = search.step(state)
    told = search.believed(state._replace(emulator=search.learn(state)))
    candidates = state.archive.u[best_subset(told, CANDIDATES, REFERENCE)]
    found = []
    for i in range(AUDITS):
        key = stream(jax.random.key(seed), f"audit {i}")
        u, values, errors = audited(candidates, partial(audit, key=key), POINTS, i)
        found.append((u, values, with_interval(values, errors, REFERENCE, i)))
    return found, state.spent + CANDIDATES * LOOKS + POINTS * AGAIN


class _Keys:
    """Fresh events for every call of pymoo's."""

    def __init__(self, seed):
        self.key, self.calls = jax.random.key(seed), 0

    def __call__(self, u):
        self.calls += 1
        return scores(u, stream(self.key, f"call {self.calls}"))


def main(seeds):
    directions = get_reference_directions("energy", 4, 200, seed=1)
    print(f"{seeds} seeds, {SEARCH + CANDIDATES * LOOKS + POINTS * AGAIN} noisy evaluations each; medians")
    print(f"{'':10}{'points':>9}{'true':>9}{'of 100':>9}{'claimed':>9}{'seconds':>9}")
    rows, held, widths = [], [], []
    for seed in range(seeds):
        started = time.perf_counter()
        found, spent = ours(seed)
        assert spent <= 20_000
        seconds = time.perf_counter() - started
        for i, (u, values, volume) in enumerate(found):
            true = VALUES(u)
            held.append(volume.low <= share(true) * BEST <= volume.high)
            widths.append((volume.high - volume.low) / volume.value)
            if i == 0:
                best = best_subset(values, 100, REFERENCE)
                rows.append([len(u), share(true), share(true[best]), volume.value / BEST, seconds])
    _tell("detopt", rows)
    for name, algorithm in {"NSGA-III": lambda: NSGA3(directions), "NSGA-II": lambda: NSGA2(200)}.items():
        rows = []
        for seed in range(seeds):
            started = time.perf_counter()
            _, u, values = evolution(algorithm, seed, 20_000, _Keys(seed))
            chosen = best_subset(values, POINTS, REFERENCE)
            true = VALUES(u[chosen])
            best = best_subset(values[chosen], 100, REFERENCE)
            rows.append([POINTS, share(true), share(true[best]), share(values[chosen]), time.perf_counter() - started])
        _tell(name, rows)
    print(f"the 95 % interval of detopt's hypervolume holds the truth in {sum(held)} of {len(held)} audits; its width is "
          f"{100 * np.mean(widths):.1f} %")  # fmt: skip


def _tell(name, rows):
    middle = np.median(np.array(rows), axis=0)
    print(f"{name:10}{middle[0]:9.0f}" + "".join(f"{x:9.3f}" for x in middle[1:-1]) + f"{middle[-1]:9.0f}")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
