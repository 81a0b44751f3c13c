"""Sources in YAML: what is read, and what is said about bad ones."""

import math

import pytest

import detopt
from detopt.simulation.source import Beam, Cosmic, Gun, Resonance
from detopt.study.faults import BadInput

GOOD = {
    "a gun": ("{type: gun, momentum: 3 GeV}", Gun(momentum=(3.0, 3.0))),
    "a gun along the beam": ("{type: gun, momentum: 3 GeV, theta: 0 deg}", Gun(momentum=(3.0, 3.0), theta=(0.0, 0.0))),
    "a beam": (
        "{type: beam, particle: mu+, momentum: 10 GeV, momentum_spread: 1 %, spot: 2 mm, divergence: {x: 1 mrad}}",
        Beam(
            particle="mu+", momentum=(10.0, 10.0), momentum_spread=0.01, spot=(2.0, 2.0), divergence=(0.001, 0.0)
        ),
    ),
    "cosmic muons": ("{type: cosmic}", Cosmic()),
    "a minute of them": ("{type: cosmic, exposure: 1 min}", Cosmic(exposure=60e9)),
    "cosmic muons, in full": (
        "{type: cosmic, exposure: 1 h, flux: reyna, momentum: [1 GeV, 1 TeV], zenith: [0 deg, 90 deg], "
        "charge_ratio: 1.3, sampling: flat_log, aim: top}",
        Cosmic(
            exposure=3600e9, flux="reyna", momentum=(1.0, 1e3), zenith=(0.0, math.pi / 2), charge_ratio=1.3,
            sampling="flat_log", aim="top",
        ),
    ),
    "a resonance": (
        "{type: resonance, resonance: J/psi, pz_offset: 20 GeV, pz_mean: 15 GeV, pt_mean: 1 GeV, min_momentum: 2 GeV}",
        Resonance(resonance="J/psi", pz_offset=20.0, pz_mean=15.0, pt_mean=1.0, min_momentum=2.0),
    ),
    "a heavier Z": (
        "{type: resonance, resonance: Z, mass: 0.5 TeV, width: 10 GeV, momentum: [1 GeV, 50 GeV]}",
        Resonance(resonance="Z", mass=500.0, width=10.0, momentum=(1.0, 50.0)),
    ),
}  # fmt: skip

BAD = {
    "no exposure": ("{type: cosmic, exposure: 0 s}", "exposure must be > 0, got 0 s"),
    "a negative exposure": ("{type: cosmic, exposure: -1 min}", "exposure must be > 0"),
    "a bare exposure": ("{type: cosmic, exposure: 60}", "exposure needs a unit of time"),
    "below the horizon": ("{type: cosmic, zenith: [0 deg, 100 deg]}", "must be <= "),
    "one zenith": ("{type: cosmic, zenith: 30 deg}", "zenith needs a range"),
    "one momentum": ("{type: cosmic, momentum: 3 GeV}", "momentum needs a range"),
    "another flux": ("{type: cosmic, flux: gaisser}", "expected guan | reyna"),
    "two spectra of a beam": ("{type: beam, momentum: [1 GeV, 2 GeV], momentum_spread: 1 %}", "give one"),
    "a beam without momentum": ("{type: beam}", "momentum is missing"),
    "an axis that a beam has not": ("{type: beam, momentum: 1 GeV, spot: {z: 1 mm}}", "the axes are x and y"),
    "another resonance": ("{type: resonance, resonance: Upsilon, momentum: 1 GeV}", "expected J/psi | Z"),
    "a resonance lighter than its muons": (
        "{type: resonance, resonance: Z, mass: 0.2 GeV, momentum: 1 GeV}",
        "mass must be > 0.211317",
    ),
    "two spectra of a resonance": (
        "{type: resonance, resonance: Z, momentum: 1 GeV, pz_mean: 1 GeV}",
        "pz_mean and momentum are two spectra",
    ),
    "no spectrum": ("{type: resonance, resonance: Z}", "is missing"),
}


@pytest.fixture
def load(tmp_path):
    """A function that reads a source's file."""

    def read(text):
        path = tmp_path / "source.yaml"
        path.write_text(text.replace("{", "{schema: 1, ", 1))
        return detopt.load(path)

    return read


@pytest.mark.parametrize(("text", "source"), GOOD.values(), ids=GOOD)
def test_good_sources(load, text, source):
    assert load(text) == source
    assert source.faults() == []


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_bad_sources(load, text, message):
    with pytest.raises(BadInput) as refused:
        load(text)
    (fault,) = refused.value.faults
    assert message in fault.message
    assert fault.line is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{type: cosmic}", "source cosmic goes with `detopt simulate` and frame portal"),
        ("{type: beam, momentum: 1 GeV}", "frame beamline or portal in this version; studies take a gun or a decay"),
        ("{type: resonance, resonance: Z, momentum: 1 GeV}", "source resonance goes with `detopt simulate`"),
        ("{type: gun, momentum: 1 GeV, theta: 0 deg}", "theta must be > 0 in a barrel"),
    ],
    ids=["cosmic", "beam", "resonance", "gun along the beam"],
)
@pytest.mark.parametrize("mode", ["expected", "sampled"])
def test_sources_that_no_study_takes(folder, study_text, text, message, mode):
    old = "{type: gun, particle: mu-, momentum: [1 GeV, 10 GeV], theta: 90 deg}"
    assert old in study_text
    (folder / "study.yaml").write_text(study_text.replace(old, text).replace("mode: expected", f"mode: {mode}"))
    with pytest.raises(BadInput, match=message):
        detopt.load(folder / "study.yaml")


def test_a_gun_of_a_study_has_an_angle(folder, study_text):
    """90 deg in a barrel, if not given."""
    (folder / "study.yaml").write_text(study_text.replace(", theta: 90 deg", ""))
    assert detopt.load(folder / "study.yaml").source.theta == (math.pi / 2,) * 2
