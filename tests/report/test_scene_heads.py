"""What a head found out about scenes, in tables and figures."""

from types import SimpleNamespace

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.inference.pictures import Pictures
from detopt.inference.questions import Grid, Question
from detopt.inference.voxel_network import make_voxel_network
from detopt.report.head import comparison, head
from detopt.study.compare_scenes import compare_scenes

GRID = Grid((-300.0, -200.0, -100.0), (600.0, 400.0, 300.0), (4, 3, 2), 4)
QUESTIONS = {
    "detection": Question("presence", "block"),
    "estimate": Question("number", "pool.height", 100.0, 500.0, "mm"),
    "image": Question("map"),
}


def pictures(number, question, seed):
    """Sums that know something: dense voxels scatter more."""
    random = np.random.default_rng(seed)
    answers = 24 if question.kind == "map" else 1
    truth = random.uniform(size=(number, answers))
    truth = (truth > 0.5) * 1.0 if question.kind == "presence" else truth
    signal = truth.reshape(number, 2, 4, 3, 1) if answers == 24 else truth.reshape(number, 1, 1, 1, 1)
    sums = random.poisson(2 + 6 * signal * np.linspace(0, 1, 8), (number, 2, 4, 3, 8)) / 500
    return Pictures(jnp.asarray(sums), jnp.full(number, 500.0), jnp.asarray(truth), jnp.zeros((number, 0)))


@pytest.mark.parametrize("objective", QUESTIONS)
def test_tables_and_figure(objective):
    question = QUESTIONS[objective]
    sample, known = pictures(300, question, 1), pictures(400, question, 2)
    network = make_voxel_network(GRID, question, 8, 1, 0, jax.random.key(0), jnp.float64).normalised(known)
    found = compare_scenes(network.calibrated(known), sample, known, GRID)
    if objective == "detection":
        assert found["baselines"][0]["area"]["value"] > 0.9
    else:
        # The baseline is fitted to what there is to know, the head is not trained.
        assert found["rms"]["baseline"]["value"] < 0.9 * found["rms"]["head"]["value"]
        assert abs(found["pull_width"]["value"] - 1) < 0.2
    result = {
        "inference": {
            "head": {"objective": objective, "name": "asked"},
            "budget": {},
            "designs": {"initial": found, "final": found},
        }
    }
    tables = "".join(str(part) for part in comparison(result))
    assert "on the same scenes" not in tables
    grown = {**result, "after_minus": {"initial": {"area": {"value": 0.012, "error": 0.002}}}}
    told = "is larger by 0.0120 ± 0.0020 (6.0 standard errors), on the same scenes."
    assert (told in "".join(str(part) for part in comparison(grown))) == (objective == "detection")
    assert "points of closest approach" in tables
    assert ("mm" in tables) == (objective == "estimate")
    figure = head(SimpleNamespace(result=result))
    labels = {ax.get_xlabel() for ax in figure.axes} | {ax.get_ylabel() for ax in figure.axes}
    expected = {
        "detection": "objects that are found [%]",
        "estimate": "value, true [mm]",
        "image": "X0 [mm]",
    }
    assert expected[objective] in labels
