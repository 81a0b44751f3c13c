"""Bad YAML and what is said about it: where (every `§` marks the line and column of a fault) and why."""

import json
import os
import subprocess
import sys

import pytest
from texts import changed

import detopt
from detopt.study.faults import BadInput

MARK = "§"


def marked(text):
    """The text without its marks, and the (line, column) of each."""
    places = []
    for number, line in enumerate(text.split("\n"), 1):
        pieces = line.split(MARK)
        lengths = [sum(map(len, pieces[: i + 1])) for i in range(len(pieces) - 1)]
        places += [(number, length + 1) for length in lengths]
    return text.replace(MARK, ""), places


def faults(path):
    with pytest.raises(BadInput) as refused:
        detopt.load(path)
    assert refused.value.faults
    return refused.value.faults


def compare(found, path, places, messages):
    """Every fault of `path` at its place and with its message, and no other."""
    seen = [(f.line, f.column, f.message) for f in found if f.file == str(path)]
    assert [s[:2] for s in seen] == places, "\n".join(map(str, found))
    for (*_, text), message in zip(seen, messages, strict=True):
        assert message in text


def case(name, *rest):
    """name, (old, new)…, messages: the changes make the faults, in the order of the file."""
    return pytest.param(rest[:-1], rest[-1] if isinstance(rest[-1], list) else [rest[-1]], id=name)


L2 = "radius: 80 mm\n    half_length: 1 m\n"
P0 = "pitch: {rphi: 30 um, z: 60 um}"

DETECTOR = [
    case("unknown key", ("name: L0, type", "name: L0, §effciency: 99 %, type"), "did you mean 'efficiency'"),
    case("unknown key at the top", ("frame: barrel", "frame: barrel\n§source_ref: TDR"), "did you mean 'source_reference'"),
    case("unknown key, nothing near", ("frame: barrel", "frame: barrel\n§zzzz: 1"), "known: name, frame, elements"),
    case("a unit is needed", ("radius: 20 mm", "radius: §20"), "radius needs a unit of length, got the bare number 20 (say, 20 mm)"),
    case("a unit is needed (block)", (L2, L2.replace("80 mm", "§80")), "needs a unit of length"),
    case("a unit is needed (axis)", ("z: 60 um", "z: §60"), "pitch.z needs a unit of length"),
    case("a unit is needed (field)", ("B: 2 T", "B: §2"), "B needs a unit of magnetic field"),
    case("wrong dimension", ("radius: 20 mm", "radius: §20 GeV"), "needs a length, got '20 GeV', which is an energy"),
    case("a unit too many", ("x_over_X0: 0.3 %", "x_over_X0: §0.3 mm"), "needs a number without a dimension"),
    case("unknown unit", ("radius: 20 mm", "radius: §20 MM"), "did you mean 'mm'"),
    case("leading zero", ("radius: 20 mm", "radius: §012 mm"), "leading zeros"),
    case("infinite", ("radius: 20 mm", "radius: §1e999 mm"), "infinite"),
    case("inf", ("radius: 20 mm", "radius: §inf"), "expected a number"),
    case("YAML infinity", ("radius: 20 mm", "radius: §.inf"), "expected a number"),
    case("nan", ("x_over_X0: 0.3 %", "x_over_X0: §nan"), "expected a number"),
    case("YAML nan", ("x_over_X0: 0.3 %", "x_over_X0: §.nan"), "expected a number"),
    case("boolean", ("x_over_X0: 0.3 %", "x_over_X0: §true"), "expected a number"),
    case("negative", ("radius: 20 mm", "radius: §-20 mm"), "must be > 0"),
    case("zero", ("radius: 20 mm", "radius: §0 mm"), "must be > 0"),
    case("more than all", (P0, P0 + ", efficiency: §101 %"), "must be <= 1, got 101 %"),
    case("duplicate key", ("name: L0, type", "name: L0, §name: L9, type"), "duplicate key 'name' (first on line 8)"),
    case("duplicate key at the top", ("frame: barrel\n", "frame: barrel\n§name: twice\n"), "duplicate key 'name' (first on line 2)"),
    case("init outside bounds", ("radius: 20 mm", "radius: {init: §20 mm, bounds: [30 mm, 40 mm]}"), "outside its bounds"),
    case("bounds reversed", ("radius: 20 mm", "radius: {init: 20 mm, bounds: §[30 mm, 10 mm]}"), "bounds must rise"),
    case("bounds equal", ("radius: 20 mm", "radius: {init: 20 mm, bounds: §[20 mm, 20 mm]}"), "bounds must rise"),
    case("bare bound", ("radius: 20 mm", "radius: {init: 20 mm, bounds: [10 mm, §40]}"), "needs a unit of length"),
    case("bound below the limit", ("radius: 20 mm", "radius: {init: 20 mm, bounds: [§0 mm, 40 mm]}"), "must be > 0"),
    case("no bounds", ("radius: 20 mm", "radius: §{init: 20 mm}"), "needs bounds"),
    case("no init", ("radius: 20 mm", "radius: §{bounds: [10 mm, 30 mm]}"), "needs its initial value"),
    case("one bound", ("radius: 20 mm", "radius: {init: 20 mm, bounds: §[10 mm]}"), "needs bounds: [from, to]"),
    case("bound for bounds", ("radius: 20 mm", "radius: {init: 20 mm, bound: §[10 mm, 30 mm]}"), "did you mean 'bounds'"),
    case("choices", ("radius: 20 mm", "radius: {choices: §[20 mm, 30 mm]}"), "in the study: choices"),
    case("unknown axis", ("z: 60 um}", "x: §60 um}"), "the axes are rphi and z"),
    case("first axis missing", (P0, "pitch: §{z: 60 um}"), "rphi is missing"),
    case("one name", ("name: L1", "name: §L0"), "name 'L0' is taken by element 2 already"),
    case("one name and a wrong field", ("name: L1, type: barrel_layer, radius: 40 mm", "name: §L0, type: barrel_layer, radius: §40"),
         ["is taken", "needs a unit"]),
    case("one name and a wrong type", ("name: L1, type: barrel_layer", "name: §L0, type: §barel_layer"),
         ["is taken", "did you mean 'barrel_layer'"]),
    case("a name with a dot", ("name: L1", "name: §L.1"), "must be a word"),
    case("a name taken by the magnet", ("name: L1", "name: §field"), "not 'field'"),
    case("resolution and pitch", (P0, "§" + P0 + ", resolution: 5 um"), "give resolution or pitch, not both"),
    case("x_over_X0 and material", ("material: silicon", "x_over_X0: 1 %, §material: silicon"), "give x_over_X0 or material, not both"),
    case("material without thickness", ("material: silicon, thickness: 0.3 mm", "§material: silicon"), "material needs thickness"),
    case("thickness without material", ("material: silicon, thickness", "§thickness"), "thickness needs material"),
    case("unknown material", ("material: silicon", "material: §silicn"), "unknown material 'silicn', did you mean 'silicon'"),
    case("wrong element type", ("name: L0, type: barrel_layer", "name: L0, type: §barrel_later"), "did you mean 'barrel_layer'"),
    case("no element type", ("- {name: L0, type: barrel_layer", "- §{name: L0"), "type is missing: barrel_layer | "),
    case("element in the wrong frame", ("- {name: L3, type: barrel_layer, radius: 160 mm, half_length: 1 m", "- {name: L3, type: §plane, z: 1 m, span: 2 m"),
         "plane goes with frame: beamline or portal, not barrel"),
    case("field in the wrong frame", ("frame: barrel", "frame: §barel"), "did you mean 'barrel'"),
    case("unknown field", ("type: solenoid", "type: §toroid"), "unknown field type 'toroid'"),
    case("missing radius", ("- {name: L0, type: barrel_layer, radius: 20 mm", "- §{name: L0, type: barrel_layer"), "radius is missing"),
    case("missing name", ("- {name: L0, type", "- §{type"), "name is missing"),
    case("missing frame", ("schema: 1", "§schema: 1"), ("frame: barrel\n", ""), "frame is missing"),
    case("missing elements", ("schema: 1", "§schema: 1"), ("elements:", "description: >"), "elements is missing"),
    case("wrong schema", ("schema: 1", "schema: §2"), "schema 2 is not known to this version"),
    case("schema in words", ("schema: 1", "schema: §one"), "schema one is not known"),
    case("missing schema", ("schema: 1\n", ""), ("name: small", "§name: small"), "schema is missing"),
    case("inverted stack", ("- {name: L3, type: barrel_layer, radius: 160 mm", "- {name: L3, type: barrel_stack, count: 3, inner_radius: 2 m, outer_radius: §1 m"),
         "outer_radius must be larger than inner_radius"),
    case("empty stack", ("- {name: L3, type: barrel_layer, radius: 160 mm", "- {name: L3, type: barrel_stack, count: §0, inner_radius: 1 m, outer_radius: 2 m"),
         "count must be at least 1"),
    case("half a layer", ("- {name: L3, type: barrel_layer, radius: 160 mm", "- {name: L3, type: barrel_stack, count: §2.5, inner_radius: 1 m, outer_radius: 2 m"),
         "expected a whole number"),
    case("type as a list", ("name: L0, type: barrel_layer", "name: L0, type: §[barrel_layer]"), "type"),
    case("type as a mapping", ("name: L0, type: barrel_layer", "name: L0, type: §{a: b}"), "type"),
    case("field type as a list", ("type: solenoid", "type: §[solenoid]"), "type"),
    case("many at once",
         ("frame: barrel", "frame: barrel\n§colour: blue"), ("B: 2 T", "B: §2"), ("radius: 20 mm", "radius: §20"), ("60 um}", "60 um}, §efficency: 1"),
         ("material: silicon", "material: §silicn"), (L2, L2.replace("80 mm", "§80 T")), ("name: L3", "name: §L2"),
         ["unknown key 'colour'", "needs a unit", "needs a unit", "unknown key", "unknown material", "a magnetic field", "is taken"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "messages"), DETECTOR)
def test_detector(tmp_path, small_text, changes, messages):
    text, places = marked(changed(small_text, changes))
    assert len(places) == len(messages)
    path = tmp_path / "small.yaml"
    path.write_text(text)
    compare(faults(path), path, places, messages)


D0 = "d0: {type: resolution, of: d0, momentum: 1 GeV, goal: minimise, weight: 1}"
R0 = "L0.radius: {bounds: [15 mm, 35 mm]}"

STUDY = [
    case("unknown key", ("mode: expected", "mode: expected\n§objective: 1"), "did you mean 'objectives'"),
    case("unknown section key", ("steps: 30", "§step: 30"), "did you mean 'steps'"),
    case("unknown search", ("type: gradient", "type: §gradiant"), "did you mean 'gradient'"),
    case("unknown source", ("type: gun", "type: §laser"), "unknown source type 'laser'"),
    case("unknown particle", ("mu-", "§muon"), "expected mu- | mu+"),
    case("bare momentum", ("momentum: [1 GeV, 10 GeV]", "momentum: [§1, 10 GeV]"), "needs a unit of energy"),
    case("momentum falls", ("momentum: [1 GeV, 10 GeV]", "momentum: §[10 GeV, 1 GeV]"), "must rise"),
    case("three momenta", ("momentum: [1 GeV, 10 GeV]", "momentum: §[1 GeV, 2 GeV, 3 GeV]"), "got 3 values"),
    case("angle beyond the beam", ("theta: 90 deg", "theta: §190 deg"), "must be < "),
    case("unknown mode", ("mode: expected", "mode: §expectd"), "did you mean 'expected'"),
    case("head", ("mode: expected", "mode: expected\nhead: §deep_sets"), "no head 'deep_sets'"),
    case("no detector of that name", ("detector: small.yaml", "detector: §smal.yaml"), "no detector 'smal.yaml'"),
    case("no objective of that name", (D0, "d0: §objectives/nothing.yaml"), "no objective"),
    case("missing source", ("schema: 1", "§schema: 1"), ("source: {type: gun, particle: mu-, momentum: [1 GeV, 10 GeV], theta: 90 deg}\n", ""), "source is missing"),
    case("missing detector", ("schema: 1", "§schema: 1"), ("detector: small.yaml\n", ""), "detector is missing"),
    case("missing schema", ("schema: 1\n", ""), ("name: small_study", "§name: small_study"), "schema is missing"),
    case("wrong schema", ("schema: 1", "schema: §3"), "schema 3 is not known"),
    case("bounds exclude the initial value", ("[15 mm, 35 mm]", "§[21 mm, 35 mm]"), "bounds 21 mm .. 35 mm exclude the initial value 20 mm"),
    case("init outside bounds", (R0, "L0.radius: {bounds: [15 mm, 35 mm], init: §36 mm}"), "lies outside its bounds"),
    case("bounds reversed", ("[15 mm, 35 mm]", "§[35 mm, 15 mm]"), "bounds must rise"),
    case("bounds missing", ("{bounds: [15 mm, 35 mm]}", "§{}"), "bounds are missing"),
    case("bounds of another dimension", ("[15 mm, 35 mm]", "[§15 GeV, 35 GeV]"), "needs a length"),
    case("bare bounds", ("[15 mm, 35 mm]", "[§15, 35]"), "needs a unit of length"),
    case("unknown element", ("L1.radius:", "§LL1.radius:"), "did you mean 'L1'"),
    case("unknown number", ("L1.radius:", "§L1.radios:"), "has no number 'radios'"),
    case("number that is not given", ("L1.radius: {bounds: [25 mm, 70 mm]}", "§L0.thickness: {bounds: [25 um, 70 um]}"), "L0 declares no thickness"),
    case("no dotted name", ("L1.radius:", "§radius:"), "'radius'"),
    case("axes differ", ("L1.radius: {bounds: [25 mm, 70 mm]}", "§L0.pitch: {bounds: [25 um, 70 um]}"), "name L0.pitch.rphi or L0.pitch.z"),
    case("unknown axis", ("L1.radius: {bounds: [25 mm, 70 mm]}", "§L0.pitch.x: {bounds: [25 um, 70 um]}"), "has no axis 'x'"),
    case("moved twice", ("L1.radius: {bounds: [25 mm, 70 mm]}", "L0.x_over_X0: {bounds: [0.4 %, 2 %]}"), ("L2.x_over_X0:", "§L2.x_over_X0:"), "L0.x_over_X0 is moved by"),
    case("moved twice by axis", ("L1.radius: {bounds: [25 mm, 70 mm]}", "L1.resolution: {bounds: [1 um, 20 um]}\n  §L1.resolution.z: {bounds: [1 um, 20 um]}"), "is moved by L1.resolution already"),
    case("same_for of differing values", ("same_for: [L0], init: 0.55 %", "same_for: §[L0]"), "L0.x_over_X0 is 0.5 %, but L2.x_over_X0 is 0.6 %"),
    case("same_for itself", ("L2.x_over_X0: {bounds: [0.5 %, 2 %], same_for: [L0]", "§L2.x_over_X0: {bounds: [0.5 %, 2 %], same_for: [L2]"), "cannot follow itself"),
    case("same_for nobody", ("L2.x_over_X0: {bounds: [0.5 %, 2 %], same_for: [L0]", "§L2.x_over_X0: {bounds: [0.5 %, 2 %], same_for: [L9]"), "no element 'L9'"),
    case("same_for text", ("same_for: [L0]", "same_for: §L0"), "expected a list of names"),
    case("choices", ("{bounds: [15 mm, 35 mm]}", "{§choices: [15 mm, 35 mm]}"), "choices"),
    case("budget that no design can meet", ("max: 250 kEUR", "max: §100 kEUR"), "cannot be met: the cheapest design within the bounds costs"),
    case("gap that cannot fit", ("min: 5 mm", "min: §60 mm"), "cannot be met: "),
    case("floor that nothing can reach", ("  gap:", "  floor: §{type: material_floor, structure: 3 %, services: 0 %, at_pitch: 30 um}\n  gap:"), "L0 lies below the material floor"),
    case("floor of an element that is not there", ("  gap:", "  floor: {type: material_floor, structure: 0.1 %, services: 0 %, at_pitch: 30 um, elements: §[L00]}\n  gap:"), "did you mean 'L0'"),
    case("floor without pitch", ("  gap:", "  floor: {type: material_floor, structure: 0.1 %, services: 0 %, at_pitch: 30 um, elements: §[L1]}\n  gap:"), "L1 has no pitch"),
    case("cost without prices", ("cost: {sensor_area: 60 kEUR/m2, channel: 0.0001 EUR}", "cost: {}"), ("budget: {", "budget: §{"), "a cost term needs prices"),
    case("cost objective without prices", (D0, "d0: §{type: cost}"), ("budget: {type: cost, max: 250 kEUR}", "eff: {type: efficiency, min: 0.5}"),
         ("cost: {sensor_area: 60 kEUR/m2, channel: 0.0001 EUR}\n", ""), "a cost term needs prices"),
    case("price of another dimension", ("60 kEUR/m2", "§60 kEUR"), "needs a money/length2"),
    case("unknown objective", (D0, "d0: {type: §resolutn, of: d0}"), "did you mean 'resolution'"),
    case("unknown track parameter", ("of: d0", "of: §d1"), "expected d0 | z0 | pt | phi | theta"),
    case("wrong goal", ("goal: minimise", "goal: §maximise"), "expected minimise"),
    case("negative weight", ("weight: 1", "weight: §-1"), "must be >= 0"),
    case("no efficiency", (D0, "d0: {type: rejection, efficiency: §0 %, flight: 450 um}"), "efficiency must be > 0, got 0 %"),
    case("all of the efficiency", (D0, "d0: {type: rejection, efficiency: §100 %, flight: 450 um}"), "efficiency must be < 1, got 100 %"),
    case("no flight", (D0, "d0: §{type: rejection, efficiency: 70 %}"), "flight is missing"),
    case("flight of a time", (D0, "d0: {type: rejection, efficiency: 70 %, flight: §1.5 ps}"), "needs a length"),
    case("rejection that is sampled", ("mode: expected", "mode: sampled"), (D0, "d0: §{type: rejection, efficiency: 70 %, flight: 450 um}"), "mode: expected"),
    case("rate of a time", (D0, "d0: {type: data_rate, rate: §1 ns, hit_size: 4 B}"), "needs a 1/time"),
    case("hits of no data", (D0, "d0: {type: data_rate, rate: 1 MHz, hit_size: §4}"), "needs a unit of data, got the bare number 4 (say, 4 B)"),
    case("a barrel's trigger", (D0, "d0: {type: data_rate, rate: 1 MHz, hit_size: 4 B, triggered: §true}"), "barrels have no trigger"),
    case("unknown constraint", ("type: minimum_gap", "type: §minimal_gap"), "did you mean 'minimum_gap'"),
    case("constraint without its limit", ("gap: {type: minimum_gap, min: 5 mm}", "gap: §{type: minimum_gap}"), "min is missing"),
    case("limit of another dimension", ("  gap:", "  z0: {type: resolution, of: z0, max: §5 %}\n  gap:"), "needs a length"),
    case("limit of a ratio", ("  gap:", "  pt: {type: resolution, of: pt, max: §5 um}\n  gap:"), "needs a number without a dimension"),
    case("steps", ("steps: 30", "steps: §0"), "steps must be between 1"),
    case("seed", ("seed: 1", "seed: §1.5"), "expected a whole number"),
    case("min_hits", ("seed: 1", "seed: 1\ntracking: {min_hits: §2}"), "min_hits must be 3 to 4"),
    case("fixed with bounds", ("L1.radius: {bounds: [25 mm, 70 mm]}", "L1.radius: §{bounds: [25 mm, 70 mm], fixed: true}"), "fixed"),
    case("fixed is no word", ("L1.radius: {bounds: [25 mm, 70 mm]}", "L1.radius: {fixed: §yes}"), "expected true or false"),
    case("weight as a variable", ("weight: 1", "weight: §{init: 1, bounds: [0, 2]}"), "weight"),
    case("objective momentum as a variable", ("momentum: 1 GeV", "momentum: §{init: 1 GeV, bounds: [1 GeV, 2 GeV]}"), "momentum"),
    case("limit as a variable", ("max: 250 kEUR", "max: §{init: 250 kEUR, bounds: [200 kEUR, 300 kEUR]}"), "max"),
    case("gap as a variable", ("min: 5 mm", "min: §{init: 5 mm, bounds: [2 mm, 6 mm]}"), "min"),
    case("price as a variable", ("60 kEUR/m2", "§{init: 60 kEUR/m2, bounds: [50 kEUR/m2, 70 kEUR/m2]}"), "sensor_area"),
    case("rate as a variable", ("steps: 30", "steps: 30, learning_rate: §{init: 0.1, bounds: [0.05, 0.2]}"), "learning_rate"),
    case("source type as a list", ("type: gun", "type: §[gun]"), "type"),
    case("objective type as a mapping", (D0, "d0: {type: §{a: b}}"), "type"),
    case("duplicate variable", (R0, R0 + "\n  §L0.radius: {bounds: [16 mm, 30 mm]}"), "duplicate key 'L0.radius'"),
    case("many sections at once",
         ("mode: expected", "mode: expected\n§colour: blue"), ("[15 mm, 35 mm]", "§[35 mm, 15 mm]"), ("of: d0", "of: §d1"), ("min: 5 mm", "min: §5"),
         ("60 kEUR/m2", "§60 EUR"), ("steps: 30", "steps: §many"),
         ["unknown key 'colour'", "must rise", "expected d0", "needs a unit", "needs a money", "whole number"]),
    case("variables beside another fault", ("L1.radius:", "§LL1.radius:"), ("steps: 30", "steps: §many"), ["did you mean 'L1'", "whole number"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "messages"), STUDY)
def test_study(folder, study_text, changes, messages):
    text, places = marked(changed(study_text, changes))
    assert len(places) == len(messages)
    path = folder / "study.yaml"
    path.write_text(text)
    compare(faults(path), path, places, messages)


FIELD = ("field: {type: solenoid, B: 2 T}\n", "")


def test_more_efficiency_than_tracks(folder, study_text, small_text, cli):
    """Known once the design is scored."""
    thin = small_text.replace("resolution: 5 um", "resolution: 5 um, efficiency: 60 %")
    (folder / "small.yaml").write_text(thin)
    text, places = marked(changed(study_text, [(D0, "d0: {type: rejection, efficiency: §70 %, flight: 450 um}")]))
    (folder / "study.yaml").write_text(text)
    for command in ("check", "evaluate", "optimise"):
        answer = cli(command, folder / "study.yaml")
        assert answer.code == 2
        assert f"study.yaml:{places[0][0]}:{places[0][1]}" in answer.err
        assert "only 60 % of the particles have" in " ".join(answer.err.split())


@pytest.mark.parametrize(
    ("detector", "study", "message"),
    [
        ([FIELD], [("of: d0", "of: §pt")], "pt cannot be measured without a magnetic field"),
        ([("B: 2 T", "B: 0 T")], [("of: d0", "of: §pt")], "pt cannot be measured without a magnetic field"),
        ([FIELD], [("  gap:", "  pt: {type: resolution, of: §pt, max: 5 %}\n  gap:")], "without a magnetic field"),
        (
            [("{rphi: 30 um, z: 60 um}", "{rphi: 30 um}"), ("resolution: 5 um", "resolution: {rphi: 5 um}")]
            + [("{rphi: 7 um, z: 50 um}", "{rphi: 7 um}")],
            [("of: d0", "of: §z0")],
            "z0 needs two layers that measure their second axis; there are 1",
        ),
        (
            [(", pitch: {rphi: 30 um, z: 60 um}", ""), ("resolution: 5 um", "efficiency: 1")],
            [("detector: small", "detector: §small")],
            "has 2 layers that measure; a track needs ",
        ),
        ([], [(R0, "field.B: {bounds: §[-1 T, 3 T]}")], "must not hold 0"),
        (
            [("x_over_X0: 0.6 %", "x_over_X0: 0 %")],
            [("channel: 0.0001 EUR", "light_support: §1 EUR/m2")]
            + [("  L2.x_over_X0: {bounds: [0.5 %, 2 %], same_for: [L0], init: 0.55 %}\n", "")],
            "L2",
        ),
    ],
    ids=["pt", "pt in a dead magnet", "pt limit", "z0", "few layers", "field through 0", "price of nothing"],
)
def test_study_of_a_detector(folder, small_text, study_text, detector, study, message):
    (folder / "small.yaml").write_text(changed(small_text, detector))
    text, places = marked(changed(study_text, study))
    path = folder / "study.yaml"
    path.write_text(text)
    compare(faults(path), path, places, [message])


def test_study_and_its_detector_together(folder, small_text, study_text):
    detector, in_detector = marked(changed(small_text, [("radius: 20 mm", "radius: §20"), ("name: L1", "name: §L0")]))
    study, in_study = marked(changed(study_text, [("steps: 30", "steps: §many"), ("of: d0", "of: §d1")]))
    (folder / "small.yaml").write_text(detector)
    (folder / "study.yaml").write_text(study)
    found = faults(folder / "study.yaml")
    compare(found, folder / "small.yaml", in_detector, ["needs a unit", "is taken"])
    compare(found, folder / "study.yaml", in_study, ["expected d0", "whole number"])


def test_price_per_lightness_of_what_may_weigh_nothing(folder, study_text):
    """Bounds that reach down to 0 X0 have an infinite price at one end: refused, or free of the end; never a crash."""
    (folder / "study.yaml").write_text(
        changed(study_text, [("[0.5 %, 2 %]", "[0 %, 2 %]"), ("channel: 0.0001 EUR", "light_support: 1 EUR/m2")])
    )
    with pytest.raises(BadInput, match="x_over_X0"):
        detopt.load(folder / "study.yaml")


@pytest.mark.parametrize("tied", ["L3.radius", "L3.efficiency", "pipe.half_length"])
def test_ties_of_different_quantities(folder, study_text, tied):
    """A thickness in radiation lengths can neither be a radius nor an efficiency, whatever it starts from."""
    (folder / "study.yaml").write_text(changed(study_text, [("same_for: [L0]", f"same_for: [{tied}]")]))
    (fault,) = faults(folder / "study.yaml")
    assert fault.line == 9
    assert tied in fault.message


def test_no_elements(tmp_path, small_text):
    path = tmp_path / "small.yaml"
    path.write_text(small_text[: small_text.index("elements:")] + "elements: []\n")
    (fault,) = faults(path)
    assert "at least one element" in fault.message


def test_settings_that_are_given_count(folder, study_text, small_text):
    """What a user writes is used or refused, never dropped."""
    (folder / "small.yaml").write_text(
        changed(small_text, [("radius: 20 mm", "radius: {init: 20 mm, bounds: [15 mm, 35 mm]}")])
    )
    for entry in ("{init: 30 mm}", "{init: 30 mm, fixed: true}"):
        (folder / "study.yaml").write_text(changed(study_text, [(R0, f"L0.radius: {entry}")]))
        try:
            study = detopt.load(folder / "study.yaml")
        except BadInput:
            continue
        assert study.detector.part("L0").radius == 30.0, entry


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "+1e-3", ".001", "0.1 %"])
def test_numbers_that_are_read(tmp_path, small_text, text):
    path = tmp_path / "small.yaml"
    path.write_text(changed(small_text, [("x_over_X0: 0.3 %", f"x_over_X0: {text}")]))
    assert detopt.load(path).part("pipe").x_over_X0 == 1e-3


# -- the wrong kind of value at every level --------------------------------------------------------------------------------

OPTIONAL = {"mode", "variables", "constraints", "cost", "search", "audit", "physics", "tracking", "field"}
WRONG = ["", " []", " [1]", " text", " {}", " {a: b}", " 1 mm", " [[], {}]", " {type: [x]}"]


def replaced(text, key, value):
    """The text with another value for a top-level key."""
    lines, out, skipping = text.split("\n"), [], False
    for line in lines:
        if not line.startswith((" ", "#")):
            skipping = line.startswith(f"{key}:")
        if not skipping:
            out.append(line)
    return "\n".join(out) + f"{key}:{value}\n"


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("key", ["name", "frame", "field", "elements", "source_reference"])
def test_wrong_kind_in_a_detector(tmp_path, small_text, key, value):
    path = tmp_path / "small.yaml"
    path.write_text(replaced(small_text, key, value))
    if (key, value) in {("field", ""), *((k, v) for k in ("name", "source_reference") for v in (" text", " 1 mm"))}:
        detopt.load(path)
        return
    found = faults(path)
    last = path.read_text().count("\n")
    assert any(f.line == last for f in found), found


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize(
    "key",
    [
        "name",
        "detector",
        "source",
        "mode",
        "variables",
        "objectives",
        "constraints",
        "cost",
        "search",
        "audit",
        "physics",
    ]
    + ["tracking", "seed", "head", "description"],
)
def test_wrong_kind_in_a_study(folder, study_text, key, value):
    path = folder / "study.yaml"
    path.write_text(replaced(study_text, key, value))
    allowed = {
        (k, v) for k in ("variables", "constraints", "audit", "physics", "tracking", "search") for v in ("", " {}")
    }
    allowed |= {(k, v) for k in ("name", "description") for v in (" text", " 1 mm")} | {("head", "")}
    allowed -= {("search", " {}")}
    if (key, value) in allowed:
        detopt.load(path)
        return
    found = faults(path)
    last = path.read_text().count("\n")
    if key == "cost" and value in ("", " {}"):
        last = 13  # the term that needs a price
    assert any(f.line == last for f in found), found


@pytest.mark.parametrize("value", ["", " []", " [1]", " text", " {}", " {a: b}", " {bounds: x}", " {bounds: [1, []]}"])
@pytest.mark.parametrize("old", [R0, D0, "gap: {type: minimum_gap, min: 5 mm}"])
def test_wrong_kind_of_an_entry(folder, study_text, old, value):
    path = folder / "study.yaml"
    key = old.split(":")[0]
    text = changed(study_text, [(old, f"{key}:{value}")])
    path.write_text(text)
    line = text[: text.index(f"{key}:{value}")].count("\n") + 1
    assert any(f.line == line for f in faults(path))


@pytest.mark.parametrize(
    "text", ["- a\n- b\n", "just text\n", "1\n", "{}\n", "a: 1\n", "schema: 1\nname: x\n", "type: [gun]\n"]
)
def test_none_of_the_known_files(tmp_path, text):
    path = tmp_path / "file.yaml"
    path.write_text(text)
    (fault,) = faults(path)
    assert (fault.line, fault.column) == (1, 1)
    assert "none of detopt's files" in fault.message


@pytest.mark.parametrize("detector", ["x" * 300 + ".yaml", "'\"'", '"a\\0b"', "../..", "/", "."])
def test_detector_paths_that_cannot_be(folder, study_text, detector):
    path = folder / "study.yaml"
    path.write_text(changed(study_text, [("detector: small.yaml", f"detector: {detector}")]))
    assert faults(path)[0].line == 3


@pytest.mark.parametrize(
    ("file", "text", "line", "message"),
    [
        ("objective.yaml", "type: resolution\nof: d0\n", 1, "schema"),
        ("objective.yaml", "schema: 1\ntype: resolution\nof: d9\n", 3, "expected d0"),
        ("objective.yaml", "schema: 2\ntype: resolution\nof: d0\n", 1, "schema"),
        ("source.yaml", "type: gun\nmomentum: 3\n", 2, "needs a unit"),
        ("source.yaml", "type: gun\nparticle: e-\nmomentum: 3 GeV\n", 2, "expected mu-"),
    ],
)
def test_objectives_and_sources(tmp_path, file, text, line, message):
    (tmp_path / file).write_text(text)
    (fault,) = faults(tmp_path / file)
    assert fault.line == line
    assert message in fault.message


# -- the command line ------------------------------------------------------------------------------------------------------

BAD = [("radius: 20 mm", "radius: §20"), ("material: silicon", "material: §silicn")]


@pytest.fixture
def bad(folder, small_text):
    text, places = marked(changed(small_text, BAD))
    (folder / "small.yaml").write_text(text)
    return folder, places


@pytest.mark.parametrize("command", ["check", "evaluate", "optimise", "show", "resolution"])
def test_exit_code_2_and_no_traceback(bad, cli, monkeypatch, command):
    folder, places = bad
    monkeypatch.chdir(folder)
    file = "small.yaml" if command in ("show", "resolution") else "study.yaml"
    answer = cli(command, file)
    assert answer.code == 2
    assert answer.out == ""
    assert "Traceback" not in answer.err
    for line, column in places:
        assert f"small.yaml:{line}:{column}: L" in answer.err
    assert answer.err.count("^") == len(places), "each with the line and a caret"
    assert not (folder / "runs").exists()


def test_check_json_of_a_bad_file(bad, cli):
    folder, places = bad
    answer = cli("check", "--json", folder / "study.yaml")
    report = json.loads(answer.out)
    assert answer.code == 2
    assert report["ok"] is False
    assert [(e["line"], e["column"]) for e in report["errors"]] == places
    assert all(set(e) == {"file", "line", "column", "where", "message"} for e in report["errors"])


@pytest.mark.parametrize(
    ("command", "file", "message"),
    [
        ("show", "study.yaml", "is a study; a detector is needed"),
        ("resolution", "study.yaml", "is a study; a detector is needed"),
        ("evaluate", "small.yaml", "is a detector; a study is needed"),
        ("optimise", "small.yaml", "is a detector; a study is needed"),
        ("check", "absent.yaml", "no such file"),
        ("show", "x" * 300, "x"),
        ("optimise", ".", "cannot be read"),
    ],
)
def test_the_wrong_file(folder, cli, monkeypatch, command, file, message):
    monkeypatch.chdir(folder)
    answer = cli(command, file)
    assert answer.code == 2
    assert message in answer.err


@pytest.mark.parametrize("words", [["check"], ["evaluate"], ["check", "--json"]], ids=" ".join)
def test_as_a_process(bad, words):
    folder, places = bad
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(detopt.__file__))}
    start = [sys.executable, "-c", "from detopt.cli import main; main()"]
    done = subprocess.run(
        [*start, *words, "study.yaml"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f":{places[0][0]}:{places[0][1]}" in done.stderr or '"column"' in done.stdout
