"""The contract of classes from outside (docs/how-to/plugins.md), for their own tests: what detopt's tests ask of its own.

    from detopt.testing import check_element

    def test_strip():
        check_element(Strip(name="s", radius=30.0, half_length=500.0, sigma=0.01))

Each function returns nothing, or raises AssertionError with all that is wrong, a line each.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from detopt.backend import jax, jnp
from detopt.detector.barrel import BarrelLayer
from detopt.detector.bodies import Slab
from detopt.detector.cost import Prices, cost
from detopt.detector.detector import Detector, Solenoid
from detopt.detector.planar import Plane
from detopt.detector.surfaces import as_arrays
from detopt.materials import material
from detopt.parameters import Quantity, Space, Variable, get, put, quantities
from detopt.simulation.source import Source
from detopt.study.differentiable import answers, faults_of_element, faults_of_term, numbers_of
from detopt.study.findings import Findings, broken
from detopt.study.plugins import part_faults
from detopt.study.scans import untraceable
from detopt.study.source_contract import faults_of_source
from detopt.study.stand_ins import muons_between, view_between

__all__ = ["check_element", "check_objective", "check_source"]

_POINTS = 4  # inner points of every range
_PRICES = Prices(sensor_area=1e-4, channel=1e-6, layer=1.0)


def _same(one: Any, two: Any, rtol: float = 1e-12) -> bool:
    return np.shape(one) == np.shape(two) and np.allclose(one, two, rtol=rtol, atol=0.0, equal_nan=True)


# -- elements ------------------------------------------------------------------------------------------------------------


def check_element(
    element: Any, bounds: Mapping[str, tuple[float, float]] | None = None, frame: str | None = None, **numbers: Any
) -> None:
    """Check an element from outside.

    That it is declared as YAML needs it; that surfaces and readouts are plain differentiable arithmetic (the same with and
    without jit and vmap, traced once for all values, in the precision of its numbers, with derivatives that agree with
    differences over every number's range, jumps included); that every number has an effect; that nothing costs less than
    nothing.

    Args:
        element: one of it, its numbers in base units (mm, GeV, ns, T, rad); or its class, with `numbers`.
        bounds: from and to of numbers, by dotted name ("radius", "pitch.rphi"), in base units. For others the declared
            range, or half to twice the value where that is open.
        frame: of the detector that it stands in; the first of its frames by default.
        numbers: fields, where `element` is a class.

    Raises:
        AssertionError: with everything that is wrong.

    >>> from detopt.detector.elements import BarrelLayer
    >>> check_element(BarrelLayer(name="L", radius=30.0, half_length=200.0, x_over_X0=0.01, resolution=(0.01, 0.02)))
    """
    cls = element if isinstance(element, type) else type(element)
    found = Findings(cls.__name__)
    found.of_class(cls, "element")
    found.settle()  # there is nothing to ask of what is no element
    if isinstance(element, type):
        element = element(**{"name": cls.__name__.lower(), **numbers})
    detector = Detector(name="kit", frame=frame or cls.frames[0], elements=(element,))  # type: ignore[attr-defined]
    found.add(*part_faults(element, detector.frame))
    ranges = {} if found.lines else _ranges(element, bounds or {}, found)
    found.attempt("hash and copy", lambda: _check_value(element, found))
    if not found.lines:
        found.attempt("surfaces and readouts", lambda: _check_answers(detector, ranges, found))
    if not found.lines:
        found.attempt("arrays", lambda: _check_arrays(detector, ranges, found))
    found.settle()


def _ranges(element: Any, bounds: Mapping[str, tuple[float, float]], found: Findings) -> dict[str, tuple[float, float]]:
    detector = Detector(name="kit", frame="", elements=(element,))
    ranges = {}
    for name in numbers_of(element):
        declared, value = quantities(type(element))[name.split(".")[0]], get(detector, f"{element.name}.{name}")
        if wrong := declared.fault(value):
            found.add(f"{name} {wrong}, and is {value:g}")
        ranges[name] = bounds.get(name) or bounds.get(name.split(".")[0]) or _reach(declared, value)
    if unknown := [n for n in bounds if n not in {*ranges, *(r.split(".")[0] for r in ranges)}]:
        found.add(f"bounds name {', '.join(unknown)}, which it has not; it has {', '.join(ranges)}")
    return ranges


def _reach(declared: Quantity, value: float) -> tuple[float, float]:
    """The ends of a declared range, or around the value where it is open."""
    low, high = value - (abs(value) / 2 or 1.0), value + (abs(value) or 1.0)
    if declared.above is not None:
        low = max(low, declared.above + (value - declared.above) / 2)
    if declared.below is not None:
        high = min(high, value + (declared.below - value) / 2)
    return low if declared.min is None else declared.min, high if declared.max is None else declared.max


def _check_value(element: Any, found: Findings) -> None:
    found.of_value(element)
    renamed = dataclasses.replace(element, name="other_name")
    if any(not s.name.startswith("other_name") for s in renamed.surfaces()):
        found.add("the names of its surfaces do not follow its own name: two of them could not stand in one detector")


def _check_answers(detector: Detector, ranges: Mapping[str, tuple[float, float]], found: Findings) -> None:
    """On floats, over the ranges: sane, and always as many."""
    (element,) = detector.elements
    labels = list(answers(element))
    for name, (low, high) in ranges.items():
        for value in np.linspace(low, high, _POINTS + 2).tolist():
            moved = put(detector, f"{element.name}.{name}", value)
            where = f" ({name} = {value:g})"
            try:
                wrong, seen = part_faults(moved.elements[0], detector.frame), list(answers(moved.elements[0]))
            except Exception as error:
                wrong, seen = [f"{type(error).__name__}: {error}"], labels
            found.add(*(w + where for w in wrong[:1]))
            if not wrong and seen != labels:
                found.add(f"the number of its surfaces or readouts depends on {name}, which is no whole number{where}")
            if not wrong and any(c < 0 for c in map(float, cost(moved, _PRICES).values())):
                found.add(f"it costs less than nothing{where}")


def _check_arrays(detector: Detector, ranges: Mapping[str, tuple[float, float]], found: Findings) -> None:
    (element,) = detector.elements
    names = list(ranges)
    for name in names:
        at = (f"{element.name}.{name}",)
        found.add(*faults_of_element(detector, at, ranges[name], quantities(type(element))[name.split(".")[0]].unit))
    if found.lines or not names:
        return
    arrays = as_arrays(detector)
    leaves, tree = jax.tree.flatten(arrays)
    again: Any = jax.tree.structure(jax.tree.unflatten(tree, leaves))
    if again != tree:
        found.add("taken apart and put together again, it is another")
    traces: list[None] = []

    def all_answers(design: Detector, x: Any) -> Any:
        traces.append(None)
        for i, name in enumerate(names):
            design = put(design, f"{element.name}.{name}", x[i])
        return jnp.stack([jnp.asarray(v) for v in answers(design.elements[0]).values()])

    shares = np.random.default_rng(0).uniform(size=(_POINTS, len(names)))
    lower, upper = (np.array([ranges[n][i] for n in names]) for i in (0, 1))
    points = jnp.asarray(np.concatenate([lower + shares * (upper - lower), lower[None], upper[None]]))
    plain = np.stack([np.asarray(all_answers(arrays, x)) for x in points])
    by_floats = np.stack([_of_floats(detector, names, x) for x in np.asarray(points)])
    if not _same(plain, by_floats):
        found.add("surfaces or readouts differ between floats and arrays")
    traces.clear()
    compiled = jax.jit(all_answers)
    if not _same(np.stack([np.asarray(compiled(arrays, x)) for x in points]), plain):
        found.add("with jit it answers otherwise than without")
    if len(traces) > 1:
        found.add(f"it is traced {len(traces)} times for {len(points)} values: one should serve all")
    if not _same(np.asarray(jax.vmap(all_answers, in_axes=(None, 0))(arrays, points)), plain):
        found.add("with vmap it answers otherwise than one by one")
    _check_precision(detector, found)


def _of_floats(detector: Detector, names: list[str], x: np.ndarray) -> np.ndarray:
    (element,) = detector.elements
    for name, value in zip(names, x.tolist(), strict=True):
        detector = put(detector, f"{element.name}.{name}", value)
    return np.array([float(v) for v in answers(detector.elements[0]).values()])


def _check_precision(detector: Detector, found: Findings) -> None:
    """float32 stays float32: a constant of NumPy's, or an array of 64 bits inside, would make it larger."""
    small = as_arrays(detector, jnp.float32)
    dtypes = {label: getattr(v, "dtype", None) for label, v in answers(small.elements[0]).items()}
    wide = [label for label, dtype in dtypes.items() if dtype is not None and dtype != jnp.float32]
    if wide:
        found.add(
            f"of numbers of 32 bits, {wide[0]} has {dtypes[wide[0]]}: a NumPy number or a float64 array is inside"
        )


# -- objectives ----------------------------------------------------------------------------------------------------------


def check_objective(term: Any, detector: Detector | None = None, prices: Prices | None = None) -> None:
    """Check an objective from outside: for barrels, or for beam lines and portals if it has `statistics(muon)`.

    That its value is finite, the same with and without jit and vmap, and follows designs and tracks as its derivative says;
    of `statistics`, that they are numbers of one muon, in that muon's precision, finite also where there is no track.

    Args:
        term: one of it.
        detector: of floats, that it is asked about; a small one by default.
        prices: for the cost; some by default.

    Raises:
        AssertionError: with everything that is wrong.

    >>> from detopt.scoring.terms import Resolution
    >>> check_objective(Resolution(of="d0"))
    """
    found = Findings(type(term).__name__)
    found.of_class(type(term), "objective")
    found.settle()
    if term.goal not in ("minimise", "maximise"):
        found.add(f"goal must be minimise or maximise, got {term.goal!r}")
    for name in ("unit", "display_unit", "title"):
        if not isinstance(getattr(term, name), str):
            found.add(f"{name} must be text, got {getattr(term, name)!r}")
    if not (isinstance(term.weight, float | int) and term.weight >= 0):
        found.add(f"weight must be a number >= 0, got {term.weight!r}")
    found.attempt("hash", lambda: found.of_value(term))
    beam = hasattr(term, "statistics")
    chosen = detector if detector is not None else (_PORTAL if beam else _BARREL)
    space = Space(chosen, _variables(chosen))
    if beam and not found.lines:
        found.attempt("statistics", lambda: _check_statistics(term, space, found))
    if not found.lines:
        found.attempt("value", lambda: found.add(*faults_of_term(term, space, prices or _PRICES)))
    if not found.lines:
        found.attempt("value", lambda: _check_value_of(term, space, prices or _PRICES, found))
    found.settle()


_BARREL = Detector(
    name="kit",
    frame="barrel",
    field=Solenoid(B=2.0),
    elements=tuple(
        BarrelLayer(
            name=f"L{i}", radius=30.0 + 30 * i, half_length=1e3, x_over_X0=0.01, pitch=(0.05, 0.1), efficiency=0.98
        )
        for i in range(5)
    ),
)
_PORTAL = Detector(
    name="kit",
    frame="portal",
    elements=(
        *(
            Plane(
                name=f"P{i}",
                z=1200.0 - 100 * i - 900 * (i > 2),
                span=(1e3, 1e3),
                resolution=(0.5, 0.5),
                efficiency=0.95,
            )
            for i in range(6)
        ),
        Slab(name="body", material=material("lead"), z=(300.0, 400.0), span=(500.0, 500.0)),
    ),
)


def _variables(detector: Detector) -> tuple[Variable, ...]:
    """Most numbers of the measuring elements, free by a tenth."""
    found = []
    for element in detector.elements:
        for name in numbers_of(element) if element.measures else ():
            value = get(detector, f"{element.name}.{name}")
            if value and name.split(".")[0] in ("radius", "z", "half_length", "x_over_X0", "pitch", "efficiency"):
                low, high = sorted((value * 0.9, min(value * 1.1, 1.0) if name == "efficiency" else value * 1.1))
                unit = quantities(type(element))[name.split(".")[0]].unit
                found.append(
                    Variable(f"{element.name}.{name}", low, high, value, unit, unit, (f"{element.name}.{name}",))
                )
    return tuple(found)


def _check_value_of(term: Any, space: Space, prices: Prices, found: Findings) -> None:
    view = view_between(term, space, prices, 0)
    traces: list[None] = []

    def value(t: Any) -> Any:
        traces.append(None)
        return jnp.asarray(term.value(view(t)))

    points = jnp.linspace(0.0, 1.0, _POINTS)
    plain = [np.asarray(value(t)) for t in points]
    if any(p.shape != () for p in plain):
        found.add(f"value must be one number, got an array of shape {plain[0].shape}")
        return
    if not all(p > 0 for p in plain):
        found.add(f"value must be positive, since the search compares logarithms, got {min(map(float, plain)):g}")
    traces.clear()
    compiled = jax.jit(value)
    if not _same([compiled(t) for t in points], plain, 1e-10):
        found.add("with jit its value differs from that without")
    if len(traces) > 1:
        found.add(f"it is traced {len(traces)} times for {len(points)} values: one should serve all")
    if not _same(jax.vmap(value)(points), plain, 1e-10):
        found.add("with vmap its value differs from that one by one")


def _check_statistics(term: Any, space: Space, found: Findings) -> None:
    muons = muons_between(space.detector, 0)(jnp.asarray(0.3))
    one = [jnp.atleast_1d(term.statistics(jax.tree.map(lambda x, i=i: x[i], muons))) for i in range(len(muons.weight))]
    if any(s.ndim != 1 for s in one):
        found.add(f"statistics must be numbers (k,), got an array of shape {one[0].shape}")
        return
    if not np.isfinite(np.stack(one)).all():
        found.add("statistics must be finite for every muon, also where there is no hit or no track")
    if why := untraceable(lambda t: jax.vmap(term.statistics)(muons_between(space.detector, 0)(t)), 0.3, type(term)):
        found.add(f"statistics cannot be differentiated: a number {why}")
        return
    if not _same(jax.vmap(lambda m: jnp.atleast_1d(term.statistics(m)))(muons), np.stack(one), 1e-10):
        found.add("with vmap its statistics differ from those one by one")
    small = muons_between(space.detector, 0, jnp.float32)(jnp.asarray(0.3, jnp.float32))
    dtype = jnp.asarray(jax.vmap(term.statistics)(small)).dtype
    if dtype == jnp.float64:
        found.add("statistics of muons of 32 bits have 64: a NumPy number or a float64 array is inside")


# -- sources -------------------------------------------------------------------------------------------------------------


def check_source(source: Source, frame: Literal["beamline", "portal"] | None = None) -> None:
    """Check a source for beam lines and portals from outside: see `detopt.simulation.draws`.

    That `numbers()` names independent numbers and how each is spread; that `draw` makes events of these, and of nothing
    else: the same numbers give the same events, others give others, and no event looks at another; that events are
    finite, with unit directions, positive momenta and weights; that jit changes nothing and 32 bits stay 32; and that the
    numbers named by `carriers()` move a particle steadily, as their derivative says.

    Args:
        source: one of it.
        frame: of the detector; the first of its frames that is no barrel by default.

    Raises:
        AssertionError: with everything that is wrong.
    """
    if wrong := faults_of_source(source, frame):
        raise AssertionError(broken(type(source).__name__, wrong))
