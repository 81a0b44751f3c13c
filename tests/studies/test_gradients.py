"""The gradient of every shipped study, to every free parameter, against central differences."""

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.study.evaluate import array_space, make_evaluator
from detopt.study.library import shipped_files
from detopt.study.studies import load_study

STEP = 1e-4  # of the unit box; two steps are combined, so that the error is of fourth order


EXPECTED = [p for p in shipped_files("studies") if "mode: sampled" not in p.read_text()]


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: path.stem)
def test_gradients_of_shipped_studies(path):
    study = load_study(path)
    evaluate, space = make_evaluator(study), array_space(study)

    def scores(u):
        score = evaluate(space.place(u), None, None)
        return jnp.concatenate([score.values, score.excess, score.costs])

    # A point of its own: the initial design lies on bounds, where a difference would leave the box.
    u = np.clip(space.init, 0.05, 0.95) + np.random.default_rng(1).uniform(-0.02, 0.02, len(space))
    jacobian = np.asarray(jax.jit(jax.jacrev(scores))(jnp.asarray(u)))
    steps = np.concatenate([sign * scale * STEP * np.eye(len(u)) for scale in (1, 2) for sign in (1, -1)])
    value = np.asarray(jax.jit(scores)(jnp.asarray(u)))
    moved = np.asarray(jax.jit(jax.vmap(scores))(jnp.asarray(u + steps))).reshape(4, len(u), -1)
    one, two = (moved[0] - moved[1]) / (2 * STEP), (moved[2] - moved[3]) / (4 * STEP)
    difference = ((4 * one - two) / 3).T
    scale = np.maximum(np.abs(difference), 0.02 * np.abs(value)[:, None])  # the box is one unit wide
    np.testing.assert_array_less(np.abs(jacobian - difference), 1e-6 * scale + 1e-12)
