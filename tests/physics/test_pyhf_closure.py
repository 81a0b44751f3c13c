"""The same models in pyhf: significance, error and limit of mu, with pyhf's own likelihood, fits and CLs."""

import json

import numpy as np
import pytest

from detopt.scoring.likelihood import discovery_significance, signal_error, upper_limit
from detopt.scoring.model_faults import faults
from detopt.scoring.workspace import workspace

from .channels import CONSTRAINED, MIXED, channel, from_hessian, padded

pyhf = pytest.importorskip("pyhf", reason="pyhf is not installed: it comes with detopt[pyhf]")

# pyhf 0.7.6 asks jsonschema for something that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

# Fits in pyhf take seconds where there are many gammas.
CASES = [(MIXED, bins, True) for bins in (3, 4, 5, 6, 8, 10, 15)] + [(MIXED, 40, False)]
CASES += [(CONSTRAINED, bins, True) for bins in (1, 1, 2, 3, 4, 6, 8, 10)]
CASES += [(CONSTRAINED, bins, False) for bins in (1, 2, 3, 5, 8, 12, 20, 40)]
MANY = [(MIXED, 40, True), (CONSTRAINED, 40, True)]


@pytest.fixture(autouse=True)
def _precise_fits():
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-10, maxiter=10_000))


def in_pyhf(templates, nuisances):
    """Its model, the Asimov data of mu = 1, and those of mu = 0."""
    document = json.loads(json.dumps(workspace(templates, nuisances, "search", largest=100.0)))
    both = pyhf.Workspace(document)
    model = both.model()
    start = np.array(model.config.suggested_init())
    without = start.copy()
    without[model.config.poi_index] = 0.0
    data = both.data(model)
    np.testing.assert_allclose(data, model.expected_data(start), rtol=1e-12)
    return model, np.asarray(data), model.expected_data(without)


def compare(nuisances, bins, simulated, seed):
    """Relative deviations of Z and of the error from pyhf's, and pyhf's CLs at the limit."""
    templates = channel(nuisances, bins, seed, simulated=simulated)
    assert faults(templates, nuisances) == []
    same = padded(templates)
    Z, error, limit = (float(f(same, nuisances)) for f in (discovery_significance, signal_error, upper_limit))
    model, data, background = in_pyhf(templates, nuisances)
    config = model.config
    fit = config.suggested_init(), config.suggested_bounds(), config.suggested_fixed()
    q = pyhf.infer.test_statistics.q0(0.0, data, model, *fit)
    _, CLs = pyhf.infer.hypotest(limit, background, model, test_stat="qtilde", return_expected=True)
    print(f"{bins} bins: Z = {Z:.3f}, error of mu {error:.3f}, limit {limit:.3f}")
    return abs(Z / np.sqrt(q) - 1), abs(error / from_hessian(model, data) - 1), float(CLs)


@pytest.mark.physics
@pytest.mark.parametrize("case", range(len(CASES)))
def test_random_models_pyhf_closure(case):
    """Found: Z to 2e-8; the error to 1e-5, of pyhf's second differences; the limit to 1e-6."""
    Z, error, CLs = compare(*CASES[case], seed=case)
    assert Z < 1e-6
    assert error < 1e-4
    # d CLs / d ln(mu) is between -0.11 and -0.23: the limit agrees to 1e-4.
    assert CLs == pytest.approx(0.05, abs=1e-5)


@pytest.mark.physics
@pytest.mark.slow
@pytest.mark.parametrize("case", range(len(MANY)))
def test_many_simulated_bins_pyhf_closure(case):
    Z, error, CLs = compare(*MANY[case], seed=100 + case)
    assert Z < 1e-6
    assert error < 1e-4
    assert CLs == pytest.approx(0.05, abs=1e-5)


@pytest.mark.physics
def test_upper_limit_found_by_a_scan_pyhf_closure():
    nuisances = CONSTRAINED
    templates = channel(nuisances, bins=2, seed=17, simulated=False)
    model, _, background = in_pyhf(templates, nuisances)
    scan = pyhf.infer.intervals.upper_limits.toms748_scan
    _, expected = scan(background, model, 0.5, 6.0, rtol=1e-4, test_stat="qtilde")
    assert float(upper_limit(padded(templates), nuisances)) == pytest.approx(float(expected[2]), rel=2e-4)


def test_workspace_says_what_the_model_says_pyhf_closure():
    """Untouched samples have no modifier, and the free normalisation has its bounds."""
    document = workspace(channel(MIXED, 3, 0), MIXED, "search", largest=50.0)
    pyhf.schema.validate(document, "workspace.json")
    assert document["version"] == "1.0.0"
    signal, flat, falling = document["channels"][0]["samples"]
    assert [(m["name"], m["type"]) for m in signal["modifiers"]] == [
        ("mu", "normfactor"), ("luminosity", "normsys"), ("resolution", "histosys"), ("staterror_search", "staterror"),
    ]  # fmt: skip
    assert flat["modifiers"][1]["data"] == {"hi": 1.3, "lo": 1 / 1.3}
    assert [m["name"] for m in falling["modifiers"]] == ["falling_rate", "luminosity", "flat_rate", "slope"]
    config = document["measurements"][0]["config"]
    assert config["poi"] == "mu"
    assert config["parameters"][1] == {"name": "falling_rate", "inits": [1.0], "bounds": [[0.0, 50.0]]}
