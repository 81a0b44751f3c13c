"""The study of the inner layers for tagging beauty: what it gains, and where the layers go."""

import pytest

import detopt
from detopt.backend import jax, jnp
from detopt.study.evaluate import array_space, make_evaluator


@pytest.fixture(scope="module")
def path(root):
    return root / "studies/b_tagging.yaml"


def test_the_start_and_where_it_leads(path):
    """As built; nearer to the beam, finer and lighter is better."""
    study = detopt.load(path)
    start = study.evaluate()["objectives"]["mistag"]
    assert start["title"] == "mistag rate at 90 % efficiency"
    assert start["value"] == pytest.approx(0.00754, rel=0.01)
    space, evaluate = array_space(study), make_evaluator(study)
    slope = jax.jit(jax.grad(lambda u: jnp.log(evaluate(space.place(u)).values[0])))(jnp.asarray(space.init))
    slopes = dict(zip(space.names, slope.tolist(), strict=True))
    assert all(slopes[f"L0.{number}"] > 0.1 for number in ("radius", "pitch.rphi", "x_over_X0"))
    assert slopes["L2.radius"] < 0  # a lever arm


@pytest.mark.slow
def test_four_times_fewer_mistags(path, tmp_path):
    run = detopt.load(path).optimise(out=tmp_path / "run")
    initial, final = run.result["initial"], run.result["final"]
    assert all(c["value"] <= 0 for c in final["constraints"].values())
    assert final["objectives"]["mistag"]["value"] < 0.27 * initial["objectives"]["mistag"]["value"]
    design = {v["name"]: v["final"] for v in run.result["variables"]}
    # As near to the beam as allowed; the second layer leaves it a lever arm.
    assert design["L0.radius"] == pytest.approx(22.0, abs=0.01)
    assert 40 < design["L1.radius"] < 70
    assert design["L1.radius"] < design["L2.radius"]
    # Finer than as built, not as fine as allowed: services would weigh too much.
    assert 0.011 < design["L0.pitch.rphi"] < 0.018
    assert 0.0036 < design["L0.x_over_X0"] < 0.006
