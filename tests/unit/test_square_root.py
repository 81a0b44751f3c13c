"""The sequential fit against least squares with the full covariance matrix, and its derivative three ways."""

from functools import partial

import numpy as np
import pytest

from detopt.backend import jax
from detopt.reconstruction.square_root import _filter, least_squares

N, K = 5, 3  # surfaces, parameters
PROBLEMS = 12
compiled = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def problem(seed):
    """Hits, kicks and held of a random track; some hits are missing, some surfaces do not scatter."""
    rng = np.random.default_rng(seed)
    hits = rng.normal(size=(N, 2, K + 1))
    kicks = rng.normal(size=(N, 2, K)) * rng.uniform(0, 1.5, size=(N, 1, 1))
    held = np.zeros(K)
    if seed % 3 == 1:
        hits[rng.integers(N), 0] = 0.0
        hits[rng.integers(N)] = 0.0
        kicks[rng.integers(N)] = 0.0
    if seed % 3 == 2:  # nothing measures the last parameter
        hits[:, :, 2] = 0.0
        kicks[:, :, 2] = 0.0
        held[2] = 1.0
    return hits, kicks, held


def dense(hits, kicks, held):
    """Parameters, covariance and chi2 with V = R + L L^T: R the resolutions (1), L what each kick does to each hit."""
    used = np.abs(hits).sum(-1).ravel() > 0
    # A kick on surface j moves what is measured on surfaces further out.
    later = np.arange(N)[:, None] > np.arange(N)[None, :]
    L = np.einsum("iap,jbp,ij->iajb", hits[:, :, :K], kicks, later).reshape(2 * N, 2 * N)[used]
    H, y = hits.reshape(2 * N, K + 1)[used][:, :K], hits.reshape(2 * N, K + 1)[used][:, K]
    V = np.eye(len(y)) + L @ L.T
    H, y = np.vstack([H, np.diag(held)]), np.append(y, np.zeros(K))
    weight = np.zeros((len(y), len(y)))
    weight[: len(V), : len(V)] = np.linalg.inv(V)
    weight[len(V) :, len(V) :] = np.eye(K)
    C = np.linalg.inv(H.T @ weight @ H)
    p = C @ H.T @ weight @ y
    return p, C, (y - H @ p) @ weight @ (y - H @ p)


BATCH = jax.tree.map(lambda *x: np.stack(x), *[problem(seed) for seed in range(PROBLEMS)])
RNG = np.random.default_rng(99)
COTANGENTS = (RNG.normal(size=(PROBLEMS, K)), RNG.normal(size=(PROBLEMS, K, K)), RNG.normal(size=PROBLEMS))


@compiled
@jax.vmap
def value(hits, kicks, held):
    return least_squares(hits, kicks, held)


def pulled(fit):
    return jax.vmap(lambda inputs, cotangents: jax.vjp(fit, *inputs)[1](cotangents))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_against_dense_least_squares(dtype):
    """float32 to 1e-3 of the errors."""
    tolerance = 1e-10 if dtype == np.float64 else 1e-3
    found = [np.asarray(x) for x in value(*(x.astype(dtype) for x in BATCH))]
    assert all(x.dtype == dtype for x in found)
    for seed in range(PROBLEMS):
        p, C, chi2 = dense(*problem(seed))
        sigma = np.sqrt(np.diag(C))
        assert np.abs(found[0][seed] - p).max() < tolerance * np.abs(p / sigma).max() * sigma.max()
        assert (np.abs(found[0][seed] - p) / sigma).max() < tolerance * max(1, np.abs(p / sigma).max())
        assert np.abs((found[1][seed] - C) / np.outer(sigma, sigma)).max() < tolerance
        assert abs(found[2][seed] - chi2) < tolerance * max(1, chi2)


def test_what_is_held_stays():
    """Parameters that nothing measures come out as 0 +- 1 / held; all others as without them."""
    hits, kicks, held = (x[2::3] for x in BATCH)
    solution, covariance, _ = (np.asarray(x) for x in value(*BATCH))
    assert np.abs(solution[2::3, 2:]).max() == 0
    np.testing.assert_allclose(covariance[2::3, 2:, 2:], np.ones((4, 1, 1)), atol=1e-12)
    for i in range(4):
        inside = np.delete(hits[i], 2, axis=2)
        H, y = inside.reshape(-1, 3)[:, :2], inside.reshape(-1, 3)[:, 2]
        later = np.arange(N)[:, None] > np.arange(N)
        L = np.einsum("iap,jbp,ij->iajb", inside[:, :, :2], kicks[i][:, :, :2], later).reshape(2 * N, 2 * N)
        W = np.linalg.inv(np.eye(2 * N) + L @ L.T)
        np.testing.assert_allclose(solution[2::3][i, :2], np.linalg.solve(H.T @ W @ H, H.T @ W @ y), rtol=1e-9)
    assert held[:, 2:].all()


def test_a_missing_hit_is_no_hit():
    """A row of zeros at a surface that does not scatter may as well not be there; without any hit, chi2 is 0."""
    hits, kicks, held = (x.copy() for x in BATCH)
    hits[:, 2], kicks[:, 2] = 0.0, 0.0
    first = [np.asarray(x) for x in value(hits, kicks, held)]
    order = [2, 0, 1, 3, 4]  # the empty surface goes inside
    second = [np.asarray(x) for x in value(hits[:, order], kicks[:, order], held)]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)
    solution, covariance, chi2 = (np.asarray(x) for x in value(0 * hits, kicks, np.ones_like(held)))
    assert (solution == 0).all()
    assert (chi2 == 0).all()
    assert np.isfinite(covariance).all()


def test_the_derivative():
    """By the implicit function theorem as through the rotations, and as central differences (of fourth order)."""
    implicit = compiled(pulled(least_squares))(BATCH, COTANGENTS)
    plain = compiled(pulled(lambda *inputs: _filter(*inputs)[:3]))(BATCH, COTANGENTS)
    scales = [np.abs(np.asarray(b)).reshape(PROBLEMS, -1).max(1) for b in plain]
    for a, b, scale in zip(implicit, plain, scales, strict=True):
        a, b = np.asarray(a).reshape(PROBLEMS, -1), np.asarray(b).reshape(PROBLEMS, -1)
        # Rotations of rows that are zero have no derivative: those are compared with differences only.
        finite = np.isfinite(b)
        assert finite[0::3].all()
        assert np.isfinite(a).all()
        assert (np.abs(a - b)[0::3] <= 1e-9 * np.maximum(scale, 1e-300)[0::3, None]).all()

    def total(inputs):
        outputs = [np.asarray(x) for x in value(*inputs)]
        return sum((c * x).reshape(PROBLEMS, -1).sum(1) for c, x in zip(COTANGENTS, outputs, strict=True))

    rng = np.random.default_rng(3)
    for _ in range(8):
        # Where nothing is measured, nothing is moved: there the fit has an edge.
        step = [rng.normal(size=x.shape) * (x != 0) for x in BATCH]
        h = 1e-4
        low2, low, high, high2 = (
            total([x + k * h * s for x, s in zip(BATCH, step, strict=True)]) for k in (-2, -1, 1, 2)
        )
        difference = (8 * (high - low) - (high2 - low2)) / (12 * h)
        exact = sum((np.asarray(g) * s).reshape(PROBLEMS, -1).sum(1) for g, s in zip(implicit, step, strict=True))
        size = sum(np.abs(np.asarray(g) * s).reshape(PROBLEMS, -1).sum(1) for g, s in zip(implicit, step, strict=True))
        assert (np.abs(difference - exact) < 1e-7 * size).all(), np.abs(difference - exact) / size
