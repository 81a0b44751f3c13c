"""Bad input of measurements: each is a clear error at its place."""

import pytest

import detopt
from detopt.study.faults import BadInput

STUDY = """
schema: 1
name: peak
detector:
  schema: 1
  name: forward
  frame: beamline
  field: {type: dipole, B: 2 T, z: [1 m, 3 m]}
  elements:
    - {name: S1, type: plane, z: 0.2 m, span: 40 cm, resolution: 150 um}
    - {name: S2, type: plane, z: 0.9 m, span: 60 cm, resolution: 150 um}
    - {name: S3, type: plane, z: 3.1 m, span: 1 m, resolution: 150 um}
    - {name: S4, type: plane, z: 3.8 m, span: 1 m, resolution: 150 um}
source: {type: resonance, resonance: J/psi, pz_mean: 15 GeV, pt_mean: 1 GeV, continuum: [2.8 GeV, 3.4 GeV]}
mode: sampled
tracking: {min_hits: 4}
variables:
  S4.z: {bounds: [3.5 m, 6 m]}
objectives:
  Z: {type: significance, signal: 1000, background: 1e5 1/GeV, window: [2.9 GeV, 3.3 GeV], systematics: {background: 5 %}}
"""
CASES = {
    "no width": ("window: [2.9 GeV, 3.3 GeV]", "window: 3.1 GeV", "window needs a range"),
    "beside the peak": ("window: [2.9 GeV, 3.3 GeV]", "window: [3.2 GeV, 3.3 GeV]", "does not hold the mass of J/psi"),
    "beyond the continuum": ("window: [2.9 GeV, 3.3 GeV]", "window: [2.7 GeV, 3.3 GeV]", "beyond the continuum"),
    "no continuum": (", continuum: [2.8 GeV, 3.4 GeV]", "", "give the source a continuum: [2.9 GeV, 3.3 GeV]"),
    "narrow continuum": ("[2.8 GeV, 3.4 GeV]", "3 GeV", "continuum needs a range"),
    "no background": ("background: 1e5 1/GeV, ", "", "use signal_error"),
    "a background per metre": ("1e5 1/GeV", "1e5 1/m", "needs a 1/energy"),
    "counting a free background": (
        "systematics: {background: 5 %}", "fit: counting, systematics: {background_free: true}", "counting cannot tell",
    ),
    "free and known": ("{background: 5 %}", "{background: 5 %, background_free: true}", "exclude each other"),
    "unknown uncertainty": ("{background: 5 %}", "{backgruond: 5 %}", "unknown key 'backgruond', did you mean 'background'"),
    "uncertainty of a length": ("{background: 5 %}", "{background: 5 mm}", "background"),
    "negative uncertainty": ("{background: 5 %}", "{background: -5 %}", "must be >= 0"),
    "not a mapping": ("{background: 5 %}", "5 %", "expected a mapping"),
    "free uncertainty": ("{background: 5 %}", "{background: {init: 5 %, bounds: [1 %, 9 %]}}", "cannot be a variable"),
    "single muons": (
        "{type: resonance, resonance: J/psi, pz_mean: 15 GeV, pt_mean: 1 GeV, continuum: [2.8 GeV, 3.4 GeV]}",
        "{type: beam, momentum: 10 GeV}", "Z is about pairs of muons",
    ),
    "nothing sideways": (", pt_mean: 1 GeV", "", "give pz_mean and pt_mean"),
    "no magnet": ("  field: {type: dipole, B: 2 T, z: [1 m, 3 m]}\n", "", "pairs of muons need a magnet"),
    "mass of one muon": (
        "source: {type: resonance, resonance: J/psi, pz_mean: 15 GeV, pt_mean: 1 GeV, continuum: [2.8 GeV, 3.4 GeV]}",
        "source: {type: beam, momentum: 10 GeV, spot: 1 mm}", "pairs",
    ),
}  # fmt: skip


def load(tmp_path, text):
    path = tmp_path / "peak.yaml"
    path.write_text(text)
    return detopt.load(path)


def test_the_study_is_good(tmp_path):
    study = load(tmp_path, STUDY)
    assert study.objectives["Z"].systematics.background == 0.05
    assert study.objectives["Z"].background == 1e5


@pytest.mark.parametrize("case", CASES)
def test_bad_input(tmp_path, case):
    old, new, message = CASES[case]
    assert old in STUDY
    with pytest.raises(BadInput) as caught:
        load(tmp_path, STUDY.replace(old, new))
    assert message in str(caught.value)
    assert all(f.line for f in caught.value.faults)


def test_mass_needs_a_pair(tmp_path):
    text = STUDY.replace(
        STUDY[STUDY.index("source:") : STUDY.index("mode:")], "source: {type: beam, momentum: 10 GeV, spot: 1 mm}\n"
    )
    text = text[: text.index("  Z:")] + "  mass: {type: resolution, of: mass}\n"
    with pytest.raises(BadInput, match="mass is that of a pair"):
        load(tmp_path, text)
