"""Numbers that a design is made of: how an element declares them, and how some of them become design variables.

An element is a frozen dataclass whose fields carry unit, range and meaning:

    radius: float = quantity("mm", above=0, doc="radius of the cylinder")

The YAML models, the pytree leaves, the table that `detopt check` prints and the axes of the figures all come from that
one line. Nothing here needs JAX: the arithmetic works on floats and on traced arrays alike.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["Quantity", "Space", "Variable", "Whole", "get", "put", "quantities", "quantity", "whole"]


@dataclasses.dataclass(frozen=True)
class Quantity:
    """What a number of an element means: its unit, the values it may take and a sentence that explains it."""

    unit: str
    doc: str
    min: float | None = None  # inclusive
    above: float | None = None  # exclusive
    max: float | None = None  # inclusive
    below: float | None = None  # exclusive
    axes: bool = False  # one number for each of the two measured coordinates
    left_out: float | None = None  # what an axis is that a file does not give
    range: bool = False  # [from, to]
    vector: bool = False  # [x, y, z]

    def fault(self, value: float) -> str | None:
        """What is wrong with a value, as "must be > 0", or None."""
        unit = f" {self.unit}" if self.unit else ""
        if self.above is not None and value <= self.above:
            return f"must be > {self.above:g}"
        if self.min is not None and value < self.min:
            return f"must be >= {self.min:g}{unit if self.min else ''}"
        if self.max is not None and value > self.max:
            return f"must be <= {self.max:g}"
        if self.below is not None and value >= self.below:
            limit = f"{self.below * 180 / math.pi:g} deg" if self.unit == "rad" else f"{self.below:g}"
            return f"must be < {limit}"
        return None


_REQUIRED = object()


def quantity(unit: str, *, doc: str, default: Any = _REQUIRED, **limits: Any) -> Any:
    """Declare a number of an element; see `Quantity` for the limits."""
    metadata = {"quantity": Quantity(unit, doc, **limits)}
    if default is _REQUIRED:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Whole:
    """The values that a count may take."""

    least: int
    most: int

    def fault(self, value: int) -> str | None:
        """What is wrong with a value, or None."""
        return None if self.least <= value <= self.most else f"must be between {self.least} and {self.most}"


def whole(default: int, *, least: int, most: int = 1_000_000_000) -> Any:
    """Declare a count; see `Whole`."""
    return dataclasses.field(default=default, metadata={"whole": Whole(least, most)})


def quantities(cls: type) -> dict[str, Quantity]:
    """The declared numbers of an element class by field name."""
    return {f.name: f.metadata["quantity"] for f in dataclasses.fields(cls) if "quantity" in f.metadata}


# -- dotted names ------------------------------------------------------------------------------------------------------
# "L0.radius", "L0.pitch.rphi" or "field.B". A detector is anything with `.part(name)` and `.with_part(name, part)`.


def get(detector: Any, name: str) -> Any:
    """The number behind a dotted name. Raises KeyError with a reason that can be shown to the user."""
    part, field, axis = _resolve(detector, name)
    value = getattr(part, field)
    if value is None:
        raise KeyError(f"{name.rpartition('.')[0] if axis is not None else part.name} declares no {field}")
    if not isinstance(value, tuple):
        return value
    if axis is not None:
        return value[axis]
    present = [v for v in value if v is not None]
    if any(v is not present[0] and v != present[0] for v in present):
        raise KeyError(f"{name} differs between its axes: name {' or '.join(f'{name}.{a}' for a in part.axes)}")
    return present[0]


def put(detector: Any, name: str, value: Any) -> Any:
    """The detector with another number behind a dotted name."""
    part, field, axis = _resolve(detector, name)
    old = getattr(part, field)
    if isinstance(old, tuple):
        value = tuple(value if axis in (None, i) and o is not None else o for i, o in enumerate(old))
    return detector.with_part(part.name, dataclasses.replace(part, **{field: value}))


def _resolve(detector: Any, name: str) -> tuple[Any, str, int | None]:
    pieces = name.split(".")
    if len(pieces) not in (2, 3):
        raise KeyError(f"{name} is not the dotted name of a number, such as {detector.elements[0].name}.radius")
    part = detector.part(pieces[0])
    declared = quantities(type(part))
    if pieces[1] not in declared:
        raise KeyError(f"{pieces[0]} has no number {pieces[1]!r}; it has {', '.join(declared)}")
    if declared[pieces[1]].range:
        raise KeyError(f"{pieces[0]}.{pieces[1]} is a range [from, to], which no search of this version moves")
    if declared[pieces[1]].vector:
        raise KeyError(f"{pieces[0]}.{pieces[1]} is a place or size [x, y, z], which no search of this version moves")
    if len(pieces) == 2:
        return part, pieces[1], None
    if not declared[pieces[1]].axes or pieces[2] not in part.axes:
        raise KeyError(f"{pieces[0]}.{pieces[1]} has no axis {pieces[2]!r}")
    return part, pieces[1], part.axes.index(pieces[2])


def declaration(detector: Any, name: str) -> Quantity:
    """The declaration of the number behind a dotted name."""
    part, field, _ = _resolve(detector, name)
    return quantities(type(part))[field]


# -- design variables --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Variable:
    """A number that the search may change, between two bounds, and the names that follow it (`same_for`)."""

    name: str
    lower: float
    upper: float
    init: float
    unit: str  # base unit
    display_unit: str  # the unit that the user wrote
    names: tuple[str, ...]  # its own dotted name first, then the tied ones
    log: bool = False  # searched on a logarithmic scale: bounds of one sign that are far apart

    def value(self, u: Any) -> Any:
        """Physical value at u in [0, 1]; exact at both ends."""
        if self.log:
            return self.lower ** (1 - u) * self.upper**u
        return self.lower * (1 - u) + self.upper * u

    def unit_interval(self, value: Any, log: Callable[[Any], Any] = math.log) -> Any:
        """The u in [0, 1] of a physical value; give `jnp.log` for arrays."""
        if self.log:
            return log(value / self.lower) / math.log(self.upper / self.lower)
        return (value - self.lower) / (self.upper - self.lower)


@dataclasses.dataclass(frozen=True)
class Space:
    """The design variables of a study as a box [0, 1]^n around one detector.

    `place(u)` is what the search uses: it returns the detector whose free numbers stand at u. Physics sees physical
    values only.
    """

    detector: Any
    variables: tuple[Variable, ...]

    def __len__(self) -> int:
        return len(self.variables)

    @property
    def names(self) -> tuple[str, ...]:
        """Dotted names, in order."""
        return tuple(v.name for v in self.variables)

    @property
    def init(self) -> list[float]:
        """The initial design in the unit box."""
        return [v.unit_interval(v.init) for v in self.variables]

    def coordinates(self, detector: Any, log: Callable[[Any], Any] = math.log) -> list[Any]:
        """Where a detector stands in the unit box; give `jnp.log` for a detector of arrays."""
        return [v.unit_interval(get(detector, v.name), log) for v in self.variables]

    def values(self, u: Any) -> dict[str, Any]:
        """Physical value of each variable at u."""
        return {v.name: v.value(u[i]) for i, v in enumerate(self.variables)}

    def place(self, u: Any) -> Any:
        """The detector at the point u (n,) of the unit box."""
        return self.at(self.values(u))

    def at(self, values: Mapping[str, Any]) -> Any:
        """The detector with the given physical values; tied names follow."""
        detector = self.detector
        for variable in self.variables:
            detector = put_all(detector, variable.names, values[variable.name])
        return detector


def put_all(detector: Any, names: Iterable[str], value: Any) -> Any:
    """The detector with the same number behind several dotted names."""
    for name in names:
        detector = put(detector, name, value)
    return detector
