"""Reading a study: what to optimise, what is free, what counts and what holds. No JAX until it is evaluated."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from detopt.detector.cost import Prices
from detopt.detector.detector import Detector
from detopt.inference.heads import HEADS, Head
from detopt.parameters import Space, Variable
from detopt.scoring.terms import CONSTRAINTS, OBJECTIVES
from detopt.simulation.physics import Physics
from detopt.simulation.source import SOURCES, Decay, Gun, Source
from detopt.study.choices import Options, edited, read_choices
from detopt.study.detectors import read_detector
from detopt.study.document import Document, Place
from detopt.study.faults import BadInput, Fault
from detopt.study.library import find
from detopt.study.meaning import check_meaning
from detopt.study.plugins import is_from_outside, made
from detopt.study.questions import with_exposures
from detopt.study.rivals import read_rivals
from detopt.study.schema import read, read_choice, read_file
from detopt.study.settings import SEARCHES, Audit, GradientSearch, ParetoSearch, Tracking
from detopt.study.variables import VariablesReader
from detopt.study.write import inline_detector, resolved_study

__all__ = ["Study", "StudyFile", "load_study", "read_source", "read_term"]


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """The keys of a study file."""

    name: str
    detector: Any
    source: Any
    objectives: Any
    description: str = ""
    mode: Literal["expected", "sampled"] = "expected"
    variables: Any = None
    choices: Any = None
    rivals: Any = None
    head: Any = "none"
    constraints: Any = None
    cost: Any = None
    search: Any = None
    audit: Any = None
    physics: Any = None
    tracking: Any = None
    seed: int = 0


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
    search: GradientSearch  # for one optimum, by the weights of the objectives
    front: ParetoSearch  # for all that no other design beats
    physics: Physics
    min_hits: int | None
    head: Head | None
    audit: Audit
    seed: int
    rivals: dict[str, dict[str, float]] = field(default_factory=dict)  # values of all variables
    choices: Options = field(default_factory=dict)
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

    @cached_property
    def text(self) -> str:
        """YAML with the detector inside; files of plug-ins and scenes are named as they were. Read once."""

        def read(path: Path) -> str:
            return path.read_text(encoding="utf-8-sig")

        own = self.document.text
        inside = inline_detector(own) if self.detector_path is None else read(self.detector_path)
        return resolved_study(own, inside, {place: read(path) for place, path in self.included.items()})

    @property
    def combinations(self) -> int:
        """How many there are of one option of each choice."""
        return math.prod(map(len, self.choices.values()))

    def variant(self, chosen: Mapping[str, str]) -> "Study":
        """The study with one option of each choice. Raises BadInput where that is no good study."""
        study = _Reader(Document(self.path, edited(self.text, self.choices, chosen)), None).checked()
        # What may have been replaced since the file was read, and no option sets.
        return replace(study, seed=self.seed, search=self.search, front=self.front, audit=self.audit)

    # The verbs; they import what they need when called.

    def evaluate(
        self, seed: int | None = None, detector: str | None = None, progress: Callable[[str], None] | None = None
    ) -> dict[str, Any]:
        """Score the initial design, or another detector file, without optimising."""
        from detopt.study.evaluate import evaluate_study

        return evaluate_study(self if detector is None else self.with_detector(detector), seed, progress)

    def gradients(self, seed: int | None = None, **more: Any) -> dict[str, Any]:
        """Compare all gradients of the initial design with differences; see `detopt.study.gradients.check_gradients`."""
        from detopt.study.gradients import check_gradients

        return check_gradients(self, seed, **more)

    def optimise(self, seed: int | None = None, out: str | Path | None = None, progress: Any = None) -> Any:
        """Optimise, and return the finished `detopt.runs.Run`."""
        from detopt.study.optimise import optimise_study

        return optimise_study(self, seed=seed, out=out, progress=progress)

    def pareto(
        self, seed: int | None = None, out: str | Path | None = None, progress: Any = None, cluster: str | None = None
    ) -> Any:
        """Search the front of all objectives, and return the finished `detopt.runs.Run`; see `pareto_study`."""
        from detopt.study.pareto import pareto_study

        return pareto_study(self, seed=seed, out=out, progress=progress, cluster=cluster)


def load_study(path: Path, detector: Path | None = None) -> Study:
    """Read and check a study file. Raises BadInput with every fault found.

    `detector` replaces the one it names, for scoring: what the study frees plays no part then.
    """
    study = _Reader(Document(path), detector).checked()
    if detector is None and study.choices:
        _check_choices(study)
    return study


def _check_choices(study: Study) -> None:
    """Raises BadInput where an option by itself does not make a good study."""
    faults = []
    for name, options in study.choices.items():
        first = {n: next(iter(o)) for n, o in study.choices.items()}
        for option in options:
            try:
                study.variant({**first, name: option})
            except BadInput as bad:
                place: Place = ("choices", name, option)
                where = study.document.position(place, key=True)
                others = "" if len(first) == 1 else " with the first option of the others"
                faults += [
                    Fault(str(study.path), *where, f"choices.{name}", f"{option}{others}: {f.message}")
                    for f in bad.faults
                ]
    if faults:
        raise BadInput(list(dict.fromkeys(faults)))


def read_source(data: Any, document: Document, place: Place) -> Source | None:
    """A source; None where anything is wrong. At the top of a file it may carry schema and name as well."""
    source = _read_kind(SOURCES, data, document, place, "source")
    for name, message in () if source is None or is_from_outside(type(source)) else source.faults():
        document.fault((*place, name), message)
    return source


def read_term(kinds: dict[str, type], data: Any, document: Document, place: Place, what: str) -> Any:
    """An objective or constraint; at the top of a file it carries schema, name and description as well."""
    if not place and isinstance(data, dict) and data.get("schema") != "1":
        document.fault(("schema",), "an objective's file starts with schema: 1")
    term = _read_kind(kinds, data, document, place, what)
    for name, message in term.faults() if hasattr(term, "faults") and not is_from_outside(type(term)) else ():
        document.fault((*place, name), message)
    return term


def _read_kind(kinds: dict[str, type], data: Any, document: Document, place: Place, what: str) -> Any:
    """What `type` says it is; None where anything is wrong. The top of a file may carry schema, name and description."""
    if not place and isinstance(data, dict):
        data = {k: v for k, v in data.items() if k not in ("schema", "name", "description")}
    chosen = read_choice(kinds, data, document, place, what)
    return None if chosen is None or chosen[1] is None else made(chosen[0], chosen[1], document.fault, place)


_EQUAL = (
    "what is to be equal is one variable, and no constraint: upper_1.span: {bounds: [1 m, 2 m], same_for: [upper_2]} "
    "moves the spans of a station together"
)


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

    def checked(self) -> Study:
        """Raises BadInput with every fault found."""
        study = self.study()
        faults = [f for d in self.documents for f in d.faults]
        if faults or study is None:
            raise BadInput(faults)
        return study

    def study(self) -> Study | None:
        data = self.document.data
        top = read_file(StudyFile, data, self.document, ())
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
        if detector is not None and detector.frame == "barrel" and isinstance(source, Gun):
            source = replace(source, theta=source.angles("barrel"))
        terms = self._terms(data.get("objectives"), "objectives", OBJECTIVES)
        limits = self._terms(data.get("constraints"), "constraints", CONSTRAINTS)
        prices = self._plain(Prices, data.get("cost"), "cost")
        physics = self._plain(Physics, data.get("physics"), "physics")
        tracking = self._plain(Tracking, data.get("tracking"), "tracking")
        audit = self._plain(Audit, data.get("audit"), "audit")
        head_ok, head = self._head(data.get("head"))
        search = self._search(data.get("search"))
        if "objectives" in data and not data["objectives"]:
            self.fault(("objectives",), "a study needs at least one objective")
        if self.replacement is not None:
            variables = []  # another detector is only scored, whatever the bounds
        elif detector is not None:
            reader = VariablesReader(self.document, self.notes)
            detector, variables = reader.read(data.get("variables"), detector, variables)
        free = [name for v in variables for name in v.names]
        choices = (
            read_choices(data.get("choices"), self.document, detector, free, terms) if self.replacement is None else {}
        )
        rivals = {}
        if detector is not None and self.replacement is None:
            rivals = read_rivals(data.get("rivals"), Space(detector, tuple(variables)), self.document)
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
            search=search if isinstance(search, GradientSearch) else GradientSearch(),
            front=search if isinstance(search, ParetoSearch) else ParetoSearch(),
            physics=physics,
            min_hits=tracking.min_hits or None,
            head=head,
            audit=audit,
            seed=top["seed"],
            rivals=rivals,
            choices=choices,
            included=self.included,
            document=self.document,
        )
        if not any(d.faults for d in self.documents):
            study = with_exposures(study)
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

    def _content(self, data: Any, place: Place, what: str) -> tuple[Any, Document, Place] | None:
        """What stands at a place, or in the file that is named there; where it was read from comes with it."""
        if not isinstance(data, str):
            return data, self.document, place
        path = find(data, f"{what}s", self.document.path.parent)
        if path is None:
            self.fault(place, f"no {what} {data!r} beside this file, in a folder above it, or in the library")
            return None
        self.included[place] = path
        document = Document(path)
        self.documents.append(document)
        return document.data, document, ()

    def _source(self, data: Any) -> Any:
        content = self._content(data, ("source",), "source")
        source = None if content is None else read_source(*content)
        return source

    def _head(self, data: Any) -> tuple[bool, Head | None]:
        """Whether it could be read, and the head."""
        if data is None or data == "none":
            return True, None
        content = self._content(data, ("head",), "head")
        head = None if content is None else _read_kind(HEADS, *content, "head")
        return head is not None, head

    def _terms(self, data: Any, section: str, kinds: dict[str, type]) -> dict[str, Any]:
        if data is None:
            return {}
        if not isinstance(data, dict):
            self.fault((section,), f"{section} must be a mapping: name: {{type: {' | '.join(kinds)}, …}}")
            return {}
        what, terms = section.removesuffix("s"), {}
        for name, entry in data.items():
            place: Place = (section, name)
            if section == "constraints" and isinstance(entry, dict) and entry.get("type") == "equal":
                self.fault((*place, "type"), _EQUAL)
                continue
            content = self._content(entry, place, what) if section == "objectives" else (entry, self.document, place)
            if content is not None and (term := read_term(kinds, *content, what)) is not None:
                terms[name] = term
        return terms

    def _plain(self, cls: type, data: Any, section: str) -> Any:
        fields = read(cls, {} if data is None else data, self.document, (section,), skip=())
        return None if fields is None else cls(**fields)

    def _search(self, data: Any) -> GradientSearch | ParetoSearch | None:
        return _read_kind(
            SEARCHES, {"type": "gradient"} if data is None else data, self.document, ("search",), "search"
        )
