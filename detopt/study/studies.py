"""Reading a study: what to optimise, what is free, what counts and what holds. No JAX until it is evaluated."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic_core import PydanticCustomError

from detopt.detector.cost import Prices
from detopt.detector.detector import Detector
from detopt.detector.elements import BINARY
from detopt.inference.heads import HEADS, SetHead, TrackHead
from detopt.parameters import Space, Variable, declaration, get, put, quantities, quantity
from detopt.scoring.terms import CONSTRAINTS, OBJECTIVES
from detopt.simulation.physics import Physics
from detopt.simulation.source import SOURCES, Decay, Gun
from detopt.study.detectors import make_variable, read_detector
from detopt.study.document import Document, Place
from detopt.study.faults import BadInput
from detopt.study.library import find
from detopt.study.meaning import check_meaning
from detopt.study.schema import near, read, read_choice, read_file, read_free, read_number
from detopt.units import format_quantity

__all__ = ["GradientSearch", "Study", "load_study", "read_source"]


@dataclass(frozen=True, kw_only=True)
class GradientSearch:
    """Settings of the gradient search."""

    steps: int = 300  # Adam steps of each start; as many of L-BFGS at most follow
    restarts: int = 4  # starts beside the initial design, drawn at random over the bounds
    learning_rate: Any = quantity("", above=0, max=1, default=0.02, doc="Adam's step in units of a variable's range")
    placement: Literal["free", "grid"] = "free"  # grid: one more start, from optimal weights on a grid of radii
    events: int = 8192  # sampled: muons a step, for each momentum and angle that a term asks for


@dataclass(frozen=True, kw_only=True)
class Audit:
    """How the result is scored again, on events that the search has not seen; `expected` scores are exact and need none.

    Heads are trained from scratch for each design that is audited.
    """

    events: int = 200_000  # muons, for each momentum and angle that a term asks for
    head_events: int = 262_144  # muons that a head is trained on
    head_steps: int = 4000  # batches of these
    heads: int = 3  # heads that are trained; their spread is part of the error


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """What makes a track."""

    min_hits: int = 0  # 0: one more than the fit needs


@dataclass(frozen=True, kw_only=True)
class _FreeNumber:
    """One entry of `variables`."""

    bounds: Any = None
    init: Any = None
    same_for: tuple[str, ...] = ()
    fixed: bool = False


@dataclass(frozen=True, kw_only=True)
class _StudyFile:
    """The keys of a study file."""

    name: str
    detector: Any
    source: Any
    objectives: Any
    description: str = ""
    mode: Literal["expected", "sampled"] = "expected"
    variables: Any = None
    head: Any = "none"
    constraints: Any = None
    cost: Any = None
    search: Any = None
    audit: Any = None
    physics: Any = None
    tracking: Any = None
    seed: int = 0


SEARCHES: dict[str, type] = {"gradient": GradientSearch}

LEAST = {
    "steps": 1, "restarts": 0, "events": 1, "head_events": 1024, "head_steps": 1, "heads": 2, "width": 1, "layers": 1,
    "batch": 1, "warm_up": 0, "steps_per_design": 1, "muons": 2,
}  # fmt: skip
MOST = {"steps": 1_000_000, "restarts": 1_000_000, "heads": 64, "width": 4096, "layers": 16, "muons": 100_000}


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study, checked. `space` holds the detector and its design variables."""

    name: str
    description: str
    path: Path
    detector_path: Path | None  # None where the detector stands in the study itself
    space: Space
    source: Gun | Decay
    mode: str
    objectives: dict[str, Any]
    constraints: dict[str, Any]
    prices: Prices
    search: GradientSearch
    physics: Physics
    min_hits: int | None
    head: TrackHead | SetHead | None
    audit: Audit
    seed: int
    notes: tuple[str, ...] = ()
    included: dict[Place, Path] = field(default_factory=dict)  # source and objectives that stand in files of their own
    document: Document = field(repr=False, compare=False)

    @property
    def detector(self) -> Detector:
        """The initial design."""
        return self.space.at({v.name: v.init for v in self.space.variables})

    def with_detector(self, path: Path | str) -> "Study":
        """The same study around another detector file. Raises BadInput."""
        return load_study(self.path, detector=Path(path))

    # The verbs; they import what they need when called.

    def evaluate(
        self, seed: int | None = None, detector: str | None = None, progress: Callable[[str], None] | None = None
    ) -> dict[str, Any]:
        """Score the initial design, or another detector file, without optimising."""
        from detopt.study.evaluate import evaluate_study

        return evaluate_study(self if detector is None else self.with_detector(detector), seed, progress)

    def optimise(self, seed: int | None = None, out: str | Path | None = None, progress: Any = None) -> Any:
        """Optimise, and return the finished `detopt.runs.Run`."""
        from detopt.study.optimise import optimise_study

        return optimise_study(self, seed=seed, out=out, progress=progress)


def load_study(path: Path, detector: Path | None = None) -> Study:
    """Read and check a study file. Raises BadInput with every fault found.

    `detector` replaces the one it names, for scoring: what the study frees plays no part then.
    """
    reader = _Reader(Document(path), detector)
    study = reader.study()
    faults = [f for d in reader.documents for f in d.faults]
    if faults or study is None:
        raise BadInput(faults)
    return study


def read_source(data: Any, document: Document, place: Place) -> Gun | Decay | None:
    """A source; None where anything is wrong. At the top of a file it may carry schema and name as well."""
    if not place and isinstance(data, dict):
        data = {k: v for k, v in data.items() if k not in ("schema", "name", "description")}
    chosen = read_choice(SOURCES, data, document, place, "source")
    return None if chosen is None or chosen[1] is None else chosen[0](**chosen[1])


class _Reader:
    """Reads one study; faults gather in the documents, so that all are reported at once."""

    def __init__(self, document: Document, detector: Path | None) -> None:
        self.document = document
        self.documents = [document]
        self.replacement = detector
        self.notes: list[str] = []
        self.included: dict[Place, Path] = {}

    def fault(self, place: Place, message: str, **options: Any) -> None:
        self.document.fault(place, message, **options)

    def study(self) -> Study | None:
        data = self.document.data
        top = read_file(_StudyFile, data, self.document, ())
        if not isinstance(data, dict):
            return None
        if top and not re.fullmatch(r"\w[\w .+-]{0,99}", top["name"]):
            self.fault(
                ("name",), "name must be at most 100 letters, digits, spaces and _ . + -: run folders are called so"
            )
        if top and not 0 <= top["seed"] < 2**63:
            self.fault(("seed",), f"seed must be 0 to 2^63 - 1, got {top['seed']}")
        detector_path, detector, variables = self._detector(data.get("detector"))
        source = self._source(data["source"]) if "source" in data else None  # reported as missing
        terms = self._terms(data.get("objectives"), "objectives", OBJECTIVES)
        limits = self._terms(data.get("constraints"), "constraints", CONSTRAINTS)
        prices = self._plain(Prices, data.get("cost"), "cost")
        physics = self._plain(Physics, data.get("physics"), "physics")
        tracking = self._plain(Tracking, data.get("tracking"), "tracking")
        audit = self._plain(Audit, data.get("audit"), "audit")
        if audit is not None:
            self._whole_numbers(audit, self.document, ("audit",))
        head_ok, head = self._head(data.get("head"))
        search = self._search(data.get("search"))
        if "objectives" in data and not data["objectives"]:
            self.fault(("objectives",), "a study needs at least one objective")
        if self.replacement is not None:
            variables = []  # another detector is only scored, whatever the bounds
        elif detector is not None:
            detector, variables = self._variables(data.get("variables"), detector, variables)
        if not (top and detector and source and prices and physics and tracking and search and audit and head_ok):
            return None
        study = Study(
            name=top["name"],
            description=top["description"],
            path=self.document.path,
            detector_path=detector_path,
            space=Space(detector, tuple(variables)),
            source=source,
            mode=top["mode"],
            objectives=terms,
            constraints=limits,
            prices=prices,
            search=search,
            physics=physics,
            min_hits=tracking.min_hits or None,
            head=head,
            audit=audit,
            seed=top["seed"],
            included=self.included,
            document=self.document,
        )
        if not any(d.faults for d in self.documents):
            check_meaning(study, self.fault, self.notes)
        return replace(study, notes=tuple(self.notes))

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _detector(self, data: Any) -> tuple[Path | None, Detector | None, list[Variable]]:
        if self.replacement is None and isinstance(data, dict):
            detector, declared = read_detector(self.document, ("detector",))
            return None, detector, declared
        if self.replacement is None and not isinstance(data, str):
            if "detector" in self.document.data:  # reported as missing otherwise
                self.fault(("detector",), "detector must be the path of a detector's file, or a detector")
            return None, None, []
        path = self.replacement or find(data, "detectors", self.document.path.parent)
        if path is None:
            self.fault(("detector",), f"no detector {data!r} beside this file, in a folder above it, or in the library")
            return None, None, []
        document = Document(path)
        self.documents.append(document)
        detector, declared = read_detector(document)
        return path, detector, declared

    def _source(self, data: Any) -> Gun | Decay | None:
        if isinstance(data, str):
            path = find(data, "sources", self.document.path.parent)
            if path is None:
                self.fault(("source",), f"no source {data!r} beside this file or in a folder above it")
                return None
            self.included["source",] = path
            document = Document(path)
            self.documents.append(document)
            return read_source(document.data, document, ())
        return read_source(data, self.document, ("source",))

    def _terms(self, data: Any, section: str, kinds: dict[str, type]) -> dict[str, Any]:
        if data is None:
            return {}
        if not isinstance(data, dict):
            self.fault((section,), f"{section} must be a mapping: name: {{type: {' | '.join(kinds)}, …}}")
            return {}
        terms = {}
        for name, entry in data.items():
            place: Place = (section, name)
            document = self.document
            if isinstance(entry, str) and section == "objectives":
                path = find(entry, "objectives", self.document.path.parent)
                if path is None:
                    self.fault(
                        place, f"no objective {entry!r} beside this file, in a folder above it, or in the library"
                    )
                    continue
                self.included[place] = path
                document, place = Document(path), ()
                self.documents.append(document)
                entry = document.data
            term = read_term(kinds, entry, document, place, section.removesuffix("s"))
            if term is not None:
                terms[name] = term
        return terms

    def _plain(self, cls: type, data: Any, section: str) -> Any:
        fields = read(cls, {} if data is None else data, self.document, (section,), skip=())
        return None if fields is None else cls(**fields)

    def _head(self, data: Any) -> tuple[bool, TrackHead | SetHead | None]:
        """Whether it could be read, and the head."""
        if data is None or data == "none":
            return True, None
        document = self.document
        place: Place = ("head",)
        if isinstance(data, str):
            path = find(data, "heads", self.document.path.parent)
            if path is None:
                self.fault(place, f"no head {data!r} beside this file or in a folder above it")
                return False, None
            self.included["head",] = path
            document, place = Document(path), ()
            self.documents.append(document)
            data = document.data
            if isinstance(data, dict):
                data = {k: v for k, v in data.items() if k not in ("schema", "name", "description")}
        chosen = read_choice(HEADS, data, document, place, "head")
        if chosen is None or chosen[1] is None:
            return False, None
        head = chosen[0](**chosen[1])
        self._whole_numbers(head, document, place)
        return True, head

    def _whole_numbers(self, settings: Any, document: Document, place: Place) -> None:
        """Counts that make no sense are faults."""
        for name, least in LEAST.items():
            value = getattr(settings, name, least)
            if not least <= value <= MOST.get(name, 1_000_000_000):
                most = MOST.get(name, 1_000_000_000)
                document.fault((*place, name), f"{name} must be between {least} and {most}, got {value}")

    def _search(self, data: Any) -> GradientSearch | None:
        chosen = read_choice(
            SEARCHES, {"type": "gradient"} if data is None else data, self.document, ("search",), "search"
        )
        if chosen is None or chosen[1] is None:
            return None
        search = chosen[0](**chosen[1])
        self._whole_numbers(search, self.document, ("search",))
        return search

    def _variables(self, data: Any, detector: Detector, declared: list[Variable]) -> tuple[Detector, list[Variable]]:
        """The detector's own variables, then what the study says: the study wins."""
        variables = {v.name: v for v in declared}
        if data is not None and not isinstance(data, dict):
            self.fault(("variables",), "variables must be a mapping: L0.radius: {bounds: [20 mm, 40 mm]}")
            return detector, []
        for name, entry in (data or {}).items():
            try:
                detector = self._variable(name, entry, detector, variables)
            except KeyError as error:
                word = name.split(".")[0]
                hint = near(word, [e.name for e in detector.elements]) if word not in detector.names else ""
                self.fault(("variables", name), f"{error.args[0]}{hint}", key=True)
        owners: dict[tuple[str, ...], str] = {}
        for variable in variables.values():
            for dotted in variable.names:
                for number in _numbers(detector, dotted):
                    if number in owners:
                        self.fault(
                            ("variables", variable.name), f"{dotted} is moved by {owners[number]} already", key=True
                        )
                    owners.setdefault(number, variable.name)
        return detector, list(variables.values())

    def _variable(self, name: str, entry: Any, detector: Detector, variables: dict[str, Variable]) -> Detector:
        """Note one entry of `variables`; returns the detector, changed where the entry fixes a number."""
        place: Place = ("variables", name)
        fields = read(_FreeNumber, entry, self.document, place, skip=())
        for dotted in (name, *((fields or {}).get("same_for") or ())):
            detector = self._with_pitch(dotted if "." in dotted else f"{dotted}.{name.partition('.')[2]}", detector)
        current = get(detector, name)
        if fields is None:
            return detector
        declared = declaration(detector, name)
        if fields["fixed"]:
            if fields["bounds"] is not None or fields["same_for"]:
                self.fault(place, "fixed: true goes with init or alone, not with bounds or same_for")
            variables.pop(name, None)
            if fields["init"] is not None:
                text = fields["init"]
                value = _noting(self.document, (*place, "init"), lambda: read_number(text, declared.unit, declared))
                return detector if value is None else put(detector, name, value)
            return detector
        known = variables.get(name)
        if isinstance(current, tuple):
            self.fault(place, f"{name} is a range and cannot be a variable")
            return detector
        if fields["bounds"] is None and known is None:
            self.fault(place, "bounds are missing: bounds: [from, to]")
            return detector
        tied = tuple(t if "." in t else f"{t}.{name.partition('.')[2]}" for t in fields["same_for"])
        init, unit = (known.init, known.display_unit) if known else (current, "")
        bounds = (known.lower, known.upper) if known else (0.0, 0.0)
        written = {key: fields[key] for key in ("bounds", "init") if fields[key] is not None}
        if "bounds" in written:
            free = _noting(self.document, place, lambda: read_free(written, declared.unit, declared, init=False))
            if free is None:
                return detector
            bounds, unit = free.bounds, free.unit
            init = init if free.init is None else free.init
        elif "init" in written:
            at = (*place, "init")
            init = _noting(self.document, at, lambda: read_number(written["init"], declared.unit, declared))
            if init is None:
                return detector
        slack = 1e-9 * (bounds[1] - bounds[0])  # of rounding
        if not bounds[0] - slack <= init <= bounds[1] + slack:
            low, high, start = (format_quantity(v, unit, digits=10) for v in (*bounds, init))
            message = f"bounds {low} .. {high} exclude the initial value {start}: widen them, or give init"
            self.fault((*place, "bounds"), message)
            return detector
        init = min(max(init, bounds[0]), bounds[1])
        for other in tied:
            if other == name:
                raise KeyError(f"{name} cannot follow itself")
            if other.split(".")[1:] != name.split(".")[1:]:
                raise KeyError(f"{other} cannot follow {name}: same_for ties the same number of other elements")
            value = get(detector, other)
            if fields["init"] is None and value != init:
                self.fault(
                    (*place, "same_for"),
                    f"{other} is {format_quantity(value, unit)}, but {name} is {format_quantity(init, unit)}: "
                    "give init, which all of them start from",
                )
                return detector
        variables[name] = make_variable(detector, name, bounds, init, unit, tied)
        return detector

    def _with_pitch(self, dotted: str, detector: Detector) -> Detector:
        """A layer that gives a resolution can still have its pitch freed: the pitch of binary readout belongs to it."""
        name, _, field_name = dotted.partition(".")
        element = detector.part(name)
        if field_name.split(".")[0] != "pitch" or getattr(element, "resolution", None) is None:
            return detector
        pitch = tuple(None if r is None else r / BINARY for r in element.resolution)
        shown = " x ".join(format_quantity(p, "um", digits=4) for p in pitch if p is not None)
        self.notes.append(
            f"variables: {name} gives a resolution; its pitch is taken as {shown} (resolution x sqrt(12))"
        )
        return detector.with_part(name, replace(element, resolution=None, pitch=pitch))


def _noting(document: Document, place: Place, reader: Callable[[], Any]) -> Any:
    """What `reader` returns; None where it refuses, and the fault is noted in the document."""
    try:
        return reader()
    except PydanticCustomError as error:
        context = error.context or {}
        document.fault((*place, *context["inside"]), context["message"])
        return None


def read_term(kinds: dict[str, type], data: Any, document: Document, place: Place, what: str) -> Any:
    """An objective or constraint; at the top of a file it carries schema, name and description as well."""
    if not place and isinstance(data, dict):
        if data.get("schema") != "1":
            document.fault(("schema",), "an objective's file starts with schema: 1")
        data = {k: v for k, v in data.items() if k not in ("schema", "name", "description")}
    chosen = read_choice(kinds, data, document, place, what)
    return None if chosen is None or chosen[1] is None else chosen[0](**chosen[1])


def _numbers(detector: Detector, dotted: str) -> list[tuple[str, ...]]:
    """The single numbers behind a dotted name: both axes of a pair."""
    part, _, rest = dotted.partition(".")
    field_name, _, axis = rest.partition(".")
    element = detector.part(part)
    if quantities(type(element))[field_name].axes:
        return [(part, field_name, a) for a in ((axis,) if axis else element.axes)]
    return [(part, field_name)]
