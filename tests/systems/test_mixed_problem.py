"""Which technology each layer should have, and where it should stand: combinations against the enumeration of all."""

from dataclasses import replace

import numpy as np
import pytest

import detopt
from detopt.study.combinations import try_combinations
from detopt.study.evaluate import evaluate_study
from detopt.study.optimise import make_problem

LAYERS = 6
TECHNOLOGIES = {
    "fine": "{{{name}.pitch: 20 um, {name}.x_over_X0: 0.9 %}}",
    "medium": "{{{name}.pitch: 45 um, {name}.x_over_X0: 0.5 %}}",
    "light": "{{{name}.pitch: 110 um, {name}.x_over_X0: 0.25 %}}",
}
STUDY = """\
schema: 1
name: technologies
detector:
  schema: 1
  name: six
  frame: barrel
  field: {{type: solenoid, B: 2 T}}
  elements:
    - {{name: pipe, type: barrel_layer, radius: 20 mm, half_length: 1 m, x_over_X0: 0.3 %}}
{elements}
source: {{type: gun, momentum: [1 GeV, 50 GeV], theta: 90 deg}}
variables:
{variables}
choices:
{choices}
objectives:
  d0: {{type: resolution, of: d0, momentum: 1 GeV}}
  pt: {{type: resolution, of: pt, momentum: 50 GeV}}
  low: {{type: resolution, of: pt, momentum: 1 GeV}}
  cost: {{type: cost, weight: 0.3}}
constraints:
  gap: {{type: minimum_gap, min: 10 mm}}
cost: {{sensor_area: 100 kEUR/m2, channel: 0.0002 EUR}}
tracking: {{min_hits: 3}}
search: {{type: gradient, restarts: 0, combinations: {combinations}}}
seed: 1
"""


def technologies(folder, layers, combinations):
    """A barrel whose layers may be of three technologies each, anywhere between 30 and 600 mm in their order."""
    radii = np.geomspace(35, 550, layers)
    ends = np.concatenate([[28], np.sqrt(radii[1:] * radii[:-1]), [600]])
    element = (
        "    - {{name: L{i}, type: barrel_layer, radius: {r:.4g} mm, half_length: 1 m, x_over_X0: 0.5 %, pitch: 45 um}}"
    )
    (folder / "study.yaml").write_text(
        STUDY.format(
            elements="\n".join(element.format(i=i, r=r) for i, r in enumerate(radii)),
            variables="\n".join(
                f"  L{i}.radius: {{bounds: [{ends[i]:.4g} mm, {ends[i + 1]:.4g} mm]}}" for i in range(layers)
            ),
            choices="\n".join(
                f"  t{i}:\n"
                + "\n".join(f"    {t}: {change.format(name=f'L{i}')}" for t, change in TECHNOLOGIES.items())
                for i in range(layers)
            ),
            combinations=combinations,
        )
    )
    return detopt.load(folder / "study.yaml")


def searched(study):
    """The losses of all combinations that are tried."""
    reference = [o["value"] for o in evaluate_study(study)["objectives"].values()]
    tried = try_combinations(
        study, lambda variant, score: make_problem(variant, score, np.array(reference)), lambda _: None
    )
    return {tuple(t.chosen.values()): t.loss for t in tried}


def with_combinations(study, number):
    return replace(study, search=replace(study.search, combinations=number))


def test_less_than_half_of_the_combinations_is_enough(tmp_path):
    """27 of them; the best is among those that are tried, though these are chosen without knowing it."""
    study = technologies(tmp_path, 3, 27)
    every = searched(study)
    assert len(every) == 27
    some = searched(with_combinations(study, 12))
    assert len(some) == 12
    assert min(some.values()) < min(every.values()) + 1e-3
    # The same short search from the same start gives the same; later ones start from what was best before.
    first = ("fine",) * 3
    assert some[first] == pytest.approx(every[first], abs=1e-6)
    # The effect of a technology depends on those of the others.
    effect = [every[("light", o, "fine")] - every[("fine", o, "fine")] for o in ("fine", "light")]
    assert abs(effect[0] - effect[1]) > 0.02


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_twentieth_of_729_combinations_is_enough(tmp_path):
    """Six continuous variables, six choices of three: within 1 % of the enumerated optimum at 5 % of its cost."""
    study = technologies(tmp_path, LAYERS, 3**LAYERS)
    every = searched(study)
    assert len(every) == 3**LAYERS
    best = min(every.values())
    for seed in range(5):
        some = searched(replace(with_combinations(study, 36), seed=seed))
        found = min(some.values())
        rank = sum(loss < found - 1e-6 for loss in every.values())
        print(
            f"seed {seed}: {len(some)} combinations, best {found:.5f}, enumerated {best:.5f}, {rank} of 729 are better"
        )
        assert found < best + 0.01  # the loss is a logarithm
