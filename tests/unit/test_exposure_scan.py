"""Shorter and longer exposures: parts that make them, how long one must look, and what errors that has."""

from types import SimpleNamespace

import equinox as eqx
import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.inference.exposure_times import FALSE_ALARMS, FOUND, exposure_scan, exposures_differ
from detopt.inference.pictures import Series
from detopt.inference.questions import Grid, Question
from detopt.inference.training import batch
from detopt.inference.voxel_network import make_voxel_network
from detopt.report.exposures import exposure_table, exposures

PARTS, PER_PART = 8, 100.0


class Counter(eqx.Module):
    """Where something is there, a part has one more count on average; what is counted is as good as can be."""

    question: Question = eqx.field(static=True)

    def log_odds(self, pictures):
        return pictures.sums.sum((1, 2, 3, 4)) * pictures.muons

    def estimate(self, pictures):
        counted = pictures.sums.sum((1, 2, 3, 4))[:, None] * PER_PART
        return counted, jnp.ones_like(counted)


def series(scenes, width, seed=0):
    """Sums of a part: the truth, and a Gaussian error of that width."""
    random = np.random.default_rng(seed)
    truth = np.arange(scenes) % 2.0
    sums = (truth[:, None] + width * random.normal(size=(scenes, PARTS))) / PER_PART
    return Series(
        jnp.asarray(sums).reshape(scenes, PARTS, 1, 1, 1, 1),
        jnp.full(scenes, PER_PART), jnp.asarray(truth)[:, None], jnp.zeros((scenes, 0)),
    )  # fmt: skip


@pytest.fixture
def presence():
    return Counter(Question("presence", "block"))


def test_found_as_often_as_it_must_be(presence):
    """After n parts the counts of either kind are Gaussian, sqrt(n) / width apart in units of their error."""
    from scipy.stats import norm

    width = 1.0
    scan = exposure_scan(presence, series(20_000, width))
    lengths = np.array([1, 2, 4, 8])
    np.testing.assert_allclose(scan.muons, PER_PART * lengths)
    apart = np.sqrt(lengths) / width
    found = norm.sf(norm.isf(FALSE_ALARMS) - apart)
    for name, exact in (("found", found), ("area", norm.cdf(apart / np.sqrt(2)))):
        errors = scan.again[name].std(0)
        assert (np.abs(scan.measures[name] - exact) < 4 * errors).all()
        assert (errors < 0.02).all()


def test_how_long_one_must_look(presence):
    from scipy.stats import norm

    width = 0.6
    scan = exposure_scan(presence, series(20_000, width))
    needed = (width * (norm.isf(FALSE_ALARMS) + norm.isf(1 - FOUND))) ** 2 * PER_PART
    value, again = scan.needed()
    assert abs(value - needed) < 3 * again.std()
    assert 0.002 < again.std() / value < 0.05
    assert scan.as_dict()["needed"]["value"] == value


def test_never_long_enough(presence):
    assert exposure_scan(presence, series(400, 5.0)).as_dict()["needed"] is None


def test_two_designs_share_their_scenes(presence):
    """The same scenes, one design with errors a tenth larger: longer by a factor 1.21, with less error than either has."""
    first, second = (exposure_scan(presence, series(6000, width)) for width in (0.6, 0.66))
    ratio = exposures_differ(first, second)
    assert abs(ratio["value"] - 1.21) < 3 * ratio["error"] + 0.03
    apart = np.hypot(*(scan.needed()[1].std() / scan.needed()[0] for scan in (first, second)))
    assert ratio["error"] < 0.8 * apart * ratio["value"]


def test_estimates_improve_with_the_root_of_the_exposure():
    number = Counter(Question("number", "pool.height", 0.0, 10.0, "mm"))
    scan = exposure_scan(number, series(5000, 1.0))
    expected = 10.0 / np.sqrt([1, 2, 4, 8])
    assert (np.abs(scan.measures["rms"] - expected) < 4 * scan.again["rms"].std(0)).all()
    assert scan.needed() is None


def test_a_batch_holds_stretches_of_all_lengths():
    made = series(6, 0.3)
    some = batch(made, jax.random.key(1), 400)
    assert set(np.unique(some.muons).tolist()) == {100.0, 200.0, 400.0, 800.0}
    sums = np.asarray(made.sums)[:, :, 0, 0, 0, 0]
    for value, muons, truth in zip(some.sums[:, 0, 0, 0, 0], some.muons, some.truth[:, 0], strict=True):
        length = int(muons / PER_PART)
        windows = np.lib.stride_tricks.sliding_window_view(sums[made.truth[:, 0] == truth], length, axis=1).mean(-1)
        assert np.abs(windows - value).min() < 1e-12


def test_first_parts_are_a_shorter_exposure():
    made = series(4, 0.3)
    np.testing.assert_allclose(made.first(2).sums, made.sums[:, :2].mean(1))
    np.testing.assert_allclose(made.first(2).muons, 200.0)


def test_a_real_head_fits():
    random = np.random.default_rng(0)
    grid = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (2, 2, 2), 2)
    made = Series(
        jnp.asarray(random.poisson(1.0, (20, 4, 2, 2, 2, 4)) / 50.0), jnp.full(20, 50.0),
        jnp.asarray(random.uniform(size=(20, 1)) > 0.5, float), jnp.zeros((20, 0)),
    )  # fmt: skip
    network = make_voxel_network(grid, Question("presence", "block"), 8, 1, 0, jax.random.key(0), jnp.float64)
    scan = exposure_scan(network, made)
    assert scan.muons.tolist() == [50.0, 100.0, 200.0]
    whole = network.log_odds(made.first(4))
    there = np.asarray(made.truth)[:, 0] > 0.5
    better = np.mean(np.asarray(whole)[there][:, None] > np.asarray(whole)[~there][None])
    np.testing.assert_allclose(scan.measures["area"][-1], better)


def designs(scan):
    found = {"exposures_scanned": scan.as_dict()}
    return {"inference": {"seconds_per_muon": 0.02, "designs": {"initial": found, "final": found}}}


def test_in_the_report(presence):
    scans = {w: exposure_scan(presence, series(2000, width)) for w, width in (("initial", 0.66), ("final", 0.6))}
    result = {
        "inference": {
            "seconds_per_muon": 0.02,
            "designs": {w: {"exposures_scanned": scan.as_dict()} for w, scan in scans.items()},
        },
        "after_minus": {"initial": {"exposure": exposures_differ(scans["initial"], scans["final"])}},
    }
    table = str(exposure_table(result))
    assert "until 95 % are found at 1 % false alarms" in table
    assert " s</td>" in table
    assert "−" in table
    figure = exposures(SimpleNamespace(result=result))
    assert {ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()} == {"exposure [s]"}
    assert "missed at 1 % false alarms [%]" in {ax.get_ylabel() for ax in figure.axes}
    assert "longer than 16 s" in str(exposure_table(designs(exposure_scan(presence, series(400, 5.0)))))
    assert "shorter than 2 s" in str(exposure_table(designs(exposure_scan(presence, series(400, 0.1)))))
    assert exposure_table({}) is None
    assert exposures(SimpleNamespace(result={})) is None
