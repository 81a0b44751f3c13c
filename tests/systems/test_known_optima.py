"""Layouts whose optimum is known in closed form: the gradient search finds it, whatever it starts from."""

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.detector.cost import Prices
from detopt.detector.detector import Detector, Solenoid
from detopt.detector.elements import BarrelLayer
from detopt.detector.surfaces import as_arrays
from detopt.parameters import Space, Variable
from detopt.scoring.evaluate import Evaluator
from detopt.scoring.score import Score
from detopt.scoring.terms import Resolution
from detopt.search.gradient import GradientSearcher, Position
from detopt.search.problem import Problem, random_starts
from detopt.simulation.physics import Physics
from detopt.simulation.source import Gun
from detopt.study.placement import grid_start

SIGMA, LENGTH = 0.01, 1000.0  # mm


class System:
    """N cylinders without material, free between `inner` and `inner` + LENGTH: one track parameter is to be measured."""

    def __init__(self, of: str, layers: int, inner: float, field: float | None) -> None:
        radii = np.linspace(inner, inner + LENGTH, layers)
        elements = tuple(
            BarrelLayer(name=f"L{i}", radius=r, half_length=1e4, x_over_X0=0.0, resolution=(SIGMA, SIGMA))
            for i, r in enumerate(radii.tolist())
        )
        magnet = None if field is None else Solenoid(B=field)
        detector = Detector(name="known", frame="barrel", elements=elements, field=magnet)
        self.space = Space(
            as_arrays(detector),
            tuple(
                Variable(e.name + ".radius", inner, inner + LENGTH, e.radius, "mm", "mm", (e.name + ".radius",))
                for e in elements
            ),
        )
        self.field = field
        self.evaluate = evaluate = Evaluator(
            {of: Resolution(of=of)}, {}, Prices(), Gun(momentum=(1e4, 1e4)), Physics(bending="parabola"), detector
        )
        reference = jax.jit(evaluate)(as_arrays(detector)).values
        score = jax.jit(lambda u: evaluate(self.space.place(u), None, None))
        self.problem = Problem(score, {of: "minimise"}, {of: 1.0}, np.asarray(reference))
        self.reference = float(reference[0])
        self.searcher = GradientSearcher(self.problem, learning_rate=0.05, steps=100)

    def variance(self, starts: np.ndarray) -> float:
        """Variance of the best layout found from the starts."""
        *_, last = self.searcher.rounds(Position(self.searcher.init(jnp.asarray(starts))))
        return float((self.reference * jnp.exp(jnp.min(last.position.state.best_loss))) ** 2)


def random(system: System, number: int) -> np.ndarray:
    n = len(system.space)
    return random_starts(3, number, [list(range(n))], n)


@pytest.fixture(scope="module")
def slope() -> System:
    return System("phi", layers=10, inner=100.0, field=None)


@pytest.fixture(scope="module")
def curvature() -> System:
    return System("pt", layers=12, inner=100.0, field=4.0)


@pytest.fixture(scope="module")
def vertex() -> System:
    return System("d0", layers=12, inner=LENGTH / 2, field=None)


SLOPE_BEST = 4 * SIGMA**2 / (10 * LENGTH**2)


def test_slope_of_equidistant_planes(slope):
    assert slope.reference**2 / SLOPE_BEST == pytest.approx(3 * 9 / 11, rel=1e-9)


def test_slope_half_at_each_end(slope):
    assert slope.variance(np.array([slope.space.init])) / SLOPE_BEST < 1.01
    assert slope.variance(random(slope, 8)) / SLOPE_BEST < 1.01


def curvature_best(system: System) -> float:
    kappa = 0.299792458e-3 * system.field / 1e4
    return 256 * SIGMA**2 / (12 * LENGTH**4) / kappa**2


def test_gluckstern_equidistant(curvature):
    n = 12
    expected = 720 * (n - 1) ** 3 / ((n - 2) * (n + 1) * (n + 2)) / 256
    assert curvature.reference**2 / curvature_best(curvature) == pytest.approx(expected, rel=1e-6)


def test_gluckstern_quarter_half_quarter(curvature):
    assert curvature.variance(np.array([curvature.space.init])) / curvature_best(curvature) < 1.01
    assert curvature.variance(random(curvature, 16)) / curvature_best(curvature) < 1.01


def test_extrapolation_needs_weights_on_a_grid(vertex):
    best = 4.0 * SIGMA**2 / 12
    assert vertex.reference**2 / best == pytest.approx(11.15 / 4, rel=1e-3)
    start = grid_start(vertex.evaluate, vertex.space, vertex.problem)
    radii = np.sort(start)
    assert np.sum(radii < 0.05) == 9
    assert np.sum(radii > 0.95) == 3
    assert vertex.variance(start[None]) / best < 1.01


def test_thickness_between_resolution_and_scattering():
    """var = A/t + B t: t = sqrt(A/B), 2 sqrt(AB)."""
    a, b = 3.0, 12.0

    def score(u):
        t = 0.01 * 1000 ** u[0]
        empty = jnp.zeros(0)
        return Score(("var",), (a / t + b * t)[None], jnp.zeros(1), (), empty, empty, ("total",), jnp.zeros(1))

    searcher = GradientSearcher(Problem(score, {"var": "minimise"}, {"var": 1.0}, np.ones(1)), 0.05, 50)
    *_, last = searcher.rounds(Position(searcher.init(jnp.array([[0.95]]))))
    assert float(jnp.exp(last.position.state.best_loss[0])) == pytest.approx(2 * np.sqrt(a * b), rel=1e-6)
    assert 0.01 * 1000 ** float(last.position.state.best_u[0, 0]) == pytest.approx(np.sqrt(a / b), rel=1e-3)
