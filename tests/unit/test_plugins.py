"""Classes from outside the package: loaded from a file or a package, refused with a reason, and held to their contract."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from texts import changed

import detopt
from detopt.detector.elements import BarrelLayer, Disk, Panel
from detopt.scoring.terms import Cost, Efficiency, Resolution
from detopt.study.faults import BadInput
from detopt.study.plugins import PluginError, load_class
from detopt.study.templates import copy_template
from detopt.testing import check_element, check_objective, check_source

PLUGINS = Path(__file__).parents[1] / "plugins"


def plugin(word, what="element"):
    return load_class(f"./{word}", PLUGINS, what)


def class_of(name):
    """A broken one, as it is imported."""
    return getattr(BROKEN, name)


def _import_broken():
    spec = importlib.util.spec_from_file_location("broken_plugins", PLUGINS / "broken.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


BROKEN = _import_broken()

DETECTOR = """\
schema: 1
name: doubles
frame: barrel
field: {type: solenoid, B: 2 T}
elements:
  - {name: D0, type: ./double_sided.py:DoubleLayer, radius: 30 mm, gap: 2 mm, half_length: 1 m, x_over_X0: 0.3 %, sigma_rphi: 10 um, sigma_z: 20 um}
  - {name: D1, type: ./double_sided.py:DoubleLayer, radius: 60 mm, gap: 2 mm, half_length: 1 m, x_over_X0: 0.3 %, sigma_rphi: 10 um, sigma_z: 20 um}
  - {name: D2, type: ./double_sided.py:DoubleLayer, radius: 90 mm, gap: 2 mm, half_length: 1 m, x_over_X0: 0.3 %, sigma_rphi: 10 um, sigma_z: 20 um}
  - {name: L3, type: barrel_layer, radius: 120 mm, half_length: 1 m, x_over_X0: 0.5 %, resolution: 10 um}
"""

STUDY = """\
schema: 1
name: outside
detector: detectors/doubles.yaml
source: {type: gun, momentum: 1 GeV, theta: 80 deg}
variables:
  D0.radius: {bounds: [20 mm, 40 mm]}
  D0.gap: {bounds: [1 mm, 8 mm], same_for: [D1]}
  D2.sigma_rphi: {bounds: [5 um, 40 um]}
objectives:
  spot: {type: ./pointing.py:VertexArea}
constraints: {gap: {type: minimum_gap, min: 0.5 mm}}
cost: {sensor_area: 60 kEUR/m2, channel: 0.0001 EUR}
search: {type: gradient, steps: 20, restarts: 1}
"""


@pytest.fixture
def outside(tmp_path):
    """A study with an element and an objective from outside, in two folders."""
    folder = tmp_path / "mine"
    (folder / "detectors").mkdir(parents=True)
    (folder / "detectors" / "doubles.yaml").write_text(DETECTOR)
    (folder / "study.yaml").write_text(STUDY)
    (folder / "detectors" / "double_sided.py").write_text((PLUGINS / "double_sided.py").read_text())
    (folder / "pointing.py").write_text((PLUGINS / "pointing.py").read_text())
    return folder


def faults(path):
    with pytest.raises(BadInput) as caught:
        detopt.load(path)
    return caught.value.faults


# -- loading -----------------------------------------------------------------------------------------------------------


def test_a_file_beside_the_yaml(outside):
    detector = detopt.load(outside / "detectors" / "doubles.yaml")
    first, second = detector.elements[:2]
    assert type(first) is type(second)
    assert type(first) is plugin("double_sided.py:DoubleLayer"), "the same file in another place"
    assert (first.radius, first.gap, first.sigma_z) == (30.0, 2.0, 0.02)
    assert [s.name for s in detector.sensors()][:3] == ["D0_inner", "D0_outer", "D1_inner"]
    assert not list(outside.rglob("__pycache__"))


def test_a_file_that_is_changed_is_another(outside):
    before = type(detopt.load(outside / "detectors" / "doubles.yaml").elements[0])
    file = outside / "detectors" / "double_sided.py"
    file.write_text(file.read_text().replace("max=20", "max=30"))
    after = type(detopt.load(outside / "detectors" / "doubles.yaml").elements[0])
    assert after is not before


def test_a_package(tmp_path, monkeypatch, small_text):
    (tmp_path / "tracker_parts").mkdir()
    (tmp_path / "tracker_parts" / "__init__.py").write_text("")
    (tmp_path / "tracker_parts" / "layers.py").write_text(
        "from detopt.detector.elements import BarrelLayer\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Layer(BarrelLayer):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(
        changed(small_text, [("name: L1, type: barrel_layer", "name: L1, type: tracker_parts.layers:Layer")])
    )
    layer = detopt.load(path).part("L1")
    assert type(layer).__module__ == "tracker_parts.layers"
    assert layer.material.name == "silicon"


def test_density_and_materials_of_the_file(tmp_path, small_text):
    text = changed(
        small_text,
        [
            ("name: L1, type: barrel_layer", "name: L1, type: ./layer.py:Layer"),
            ("material: silicon", "material: foam, density: 0.5 g/cm3"),
            ("elements:", "materials: {foam: {density: 0.3 g/cm3, formula: SiO2}}\nelements:"),
        ],
    )
    (tmp_path / "small.yaml").write_text(text)
    (tmp_path / "layer.py").write_text(
        "from detopt.detector.elements import BarrelLayer\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Layer(BarrelLayer):\n    pass\n"
    )
    assert detopt.load(tmp_path / "small.yaml").part("L1").material.density == 0.5


def test_plain_yaml_stays_without_jax(outside):
    """What a file imports is its own affair; this one needs no JAX, and neither does reading it."""
    script = "import sys, detopt; detopt.load('doubles.yaml'); print('jax' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(detopt.__file__))}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=outside / "detectors", env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "False\n", done.stderr


HEAD = (
    "from dataclasses import dataclass\nfrom typing import Any\nfrom detopt.detector.elements import BarrelLayer\n"
    "from detopt.detector.sensor import Element, Readout, Surface\nfrom detopt.parameters import quantity\n"
)
FROZEN = "@dataclass(frozen=True, kw_only=True)\n"
REFUSED = [
    (
        "./layer.py:Layer",
        "@dataclass(frozen=True, kw_only=True)\nclass Layer(BarrelLayer):\n    model_config: str = ''\n",
        "no field of a YAML file can be called model_config",
    ),
    ("./absent.py:Layer", "", "no file"),
    ("./laier.py:Layer", "", "did you mean 'layer.py'"),
    ("./layer.py:Lajer", FROZEN + "class Layer(BarrelLayer):\n    pass\n", "no class Lajer, did you mean 'Layer'"),
    ("./layer.py", "", "write package.module:Class, or ./file.py:Class"),
    ("./layer.py:quantity", "", "layer.py has no class quantity; it has none"),
    ("no_such_package.parts:Layer", "", "no module 'no_such_package': install its package"),
    ("barrel-layer:", "", "names no class"),
    ("./layer.py:Layer", "class Layer(:\n", "layer.py, line 6: SyntaxError"),
    ("./layer.py:Layer", "x = 1\ny = 1 / 0\n", "layer.py, line 7: ZeroDivisionError"),
    ("./layer.py:Layer", "import no_such_thing\n", "layer.py, line 6: ModuleNotFoundError: No module named"),
    ("./layer.py:Layer", "raise SystemExit(3)\n", "layer.py, line 6: SystemExit"),
    ("./layer.py:Layer", "class Layer:\n    pass\n", "it is no dataclass: put @dataclass"),
    ("./layer.py:Layer", "class Layer(BarrelLayer):\n    pass\n", "it is no dataclass"),
    ("./layer.py:Layer", "@dataclass\nclass Layer:\n    name: str\n", "it is not frozen"),
    ("./layer.py:Layer", FROZEN + "class Layer:\n    name: str\n", "it has no frames and no surfaces and no readouts"),
    (
        "./layer.py:Layer",
        FROZEN + "class Layer(Element):\n    frames = ('barrel',)\n",
        "it has no readouts and no surfaces",
    ),
    (
        "./layer.py:Layer",
        FROZEN + "class Layer(BarrelLayer):\n    frames = ('cube',)\n",
        "frames must be a tuple of barrel",
    ),
    (
        "./layer.py:Layer",
        FROZEN + "class Layer(BarrelLayer):\n    frames = ('portal',)\n",
        "goes with frame: portal, not barrel",
    ),
    (
        "./layer.py:Layer",
        FROZEN + "class Layer(BarrelLayer):\n    shape: dict = None\n",
        "field shape is <class 'dict'>, which YAML cannot give",
    ),
    (
        "./layer.py:Layer",
        FROZEN + "class Layer(BarrelLayer):\n    cable: float = 1.0\n",
        "field cable is <class 'float'>",
    ),
    (
        "./layer.py:Layer",
        FROZEN + "class Layer(BarrelLayer):\n    cable: 'Cable' = None\n",
        "name 'Cable' is not defined",
    ),
    (
        "./layer.py:Layer",
        FROZEN + "class Layer(BarrelLayer):\n    cable: Any = quantity('ell', default=1.0, doc='')\n",
        "unknown unit 'ell'",
    ),
    (
        "./layer.py:Layer",
        FROZEN + "class Layer(BarrelLayer):\n    def surfaces(self):\n        return self.cable\n",
        "layer.py, line 9: AttributeError",
    ),
    (
        "./layer.py:Layer",
        FROZEN + "class Layer(BarrelLayer):\n    def surfaces(self):\n        return [1]\n",
        "must give a tuple of Surface",
    ),
    (
        "./layer.py:Layer",
        FROZEN
        + "class Layer(BarrelLayer):\n    def surfaces(self):\n        return (self._surface('plane', 0.0, 0.0, 1.0),)\n",
        "kind 'plane' cannot stand in a barrel",
    ),
    (
        "./layer.py:Layer",
        FROZEN
        + "class Layer(BarrelLayer):\n    def surfaces(self):\n        return (self._surface('cylinder', float('nan'), 0.0, 1.0),)\n",
        "position of surface L1 must be finite",
    ),
    (
        "./layer.py:Layer",
        FROZEN + "class Layer(BarrelLayer):\n    def readouts(self):\n        return (Readout(-1.0, 1.0, 1.0),)\n",
        "area of a readout must be >= 0",
    ),
    (
        "./layer.py:Layer",
        FROZEN + "class Layer(BarrelLayer):\n    def __post_init__(self):\n        raise ValueError('too long')\n",
        "cannot be made: layer.py, line 9: ValueError: too long",
    ),
    (
        "./layer.py:Layer",
        FROZEN
        + "class Layer(BarrelLayer):\n    def faults(self):\n        return [('radius', 'radius must be even')]\n",
        "radius must be even",
    ),
]


@pytest.mark.parametrize(("word", "code", "message"), REFUSED)
def test_what_cannot_be_loaded(tmp_path, small_text, word, code, message):
    (tmp_path / "layer.py").write_text(HEAD + code)
    path = tmp_path / "small.yaml"
    path.write_text(changed(small_text, [("name: L1, type: barrel_layer", f"name: L1, type: '{word}'")]))
    found = faults(path)
    assert {f.line for f in found} == {9}
    assert message in "\n".join(f.message for f in found)


@pytest.mark.parametrize("word", ["barel_layer", "dics"])
def test_a_word_that_is_close(tmp_path, small_text, word):
    path = tmp_path / "small.yaml"
    path.write_text(changed(small_text, [("name: L1, type: barrel_layer", f"name: L1, type: {word}")]))
    (fault,) = faults(path)
    assert "did you mean" in fault.message
    assert "./file.py:Class" in fault.message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{type: gun, momentum: 1 GeV, theta: 80 deg}", "{type: ./pointing.py:VertexArea}", "cannot be a source"),
        ("{type: ./pointing.py:VertexArea}", "{type: detopt.simulation.source:Gun}", "cannot be an objective: it has no goal"),
        ("{type: minimum_gap, min: 0.5 mm}", "{type: ./pointing.py:VertexArea}", "cannot be a constraint: it has no excess"),
        ("{type: gradient, steps: 20, restarts: 1}", "{type: ./pointing.py:VertexArea}", "a search cannot come from outside"),
    ],
)  # fmt: skip
def test_what_is_something_else(outside, old, new, message):
    (outside / "study.yaml").write_text(changed(STUDY, [(old, new)]))
    assert message in "\n".join(f.message for f in faults(outside / "study.yaml"))


def test_numbers_of_a_plugin_are_checked(outside):
    path = outside / "detectors" / "doubles.yaml"
    text = DETECTOR.replace("gap: 2 mm", "gap: 2 cm", 1).replace("sigma_z: 20 um", "sigma_z: 1 m", 1)
    path.write_text(text.replace("name: D2,", "name: D2, colour: red,"))
    messages = "\n".join(f.message for f in faults(path))
    assert "sigma_z must be <= 1, got 1 m" in messages
    assert "unknown key 'colour'" in messages
    path.write_text(DETECTOR.replace("sigma_z: 20 um", "sigma_z: 20", 1))
    assert "sigma_z needs a unit of length" in faults(path)[0].message


def test_a_magnetic_field(tmp_path, small_text):
    (tmp_path / "coil.py").write_text(
        FROZEN.join(
            (
                HEAD + "from typing import ClassVar\n",
                "class Coil:\n    name: ClassVar[str] = 'field'\n    frames: ClassVar = ('barrel',)\n"
                "    windings: Any = quantity('1/mm', above=0, doc='per length, times current')\n"
                "    @property\n    def B(self):\n        return 1.2566e-3 * 1e3 * self.windings\n",
            )
        )
    )
    path = tmp_path / "small.yaml"
    path.write_text(
        changed(small_text, [("{type: solenoid, B: 2 T}", "{type: ./coil.py:Coil, windings: 1.5915 1/mm}")])
    )
    coil = detopt.load(path)
    path.write_text(small_text)
    expected = detopt.load(path).resolution([1.0])[0]
    assert abs(coil.field.B - 2.0) < 2e-4
    assert coil.resolution([1.0])[0]["sigma_pt_over_pt"] == pytest.approx(expected["sigma_pt_over_pt"], rel=1e-3)


def test_sources_and_objectives_in_files(outside):
    (outside / "sheet.py").write_text((PLUGINS / "sheet.py").read_text())
    (outside / "sheet.yaml").write_text(
        "schema: 1\nname: s\ntype: ./sheet.py:Sheet\nwidth: 1 m\nmomentum: [1 GeV, 3 GeV]\n"
    )
    (outside / "spot.yaml").write_text("schema: 1\nname: s\ntype: ./pointing.py:VertexArea\nweight: 2\n")
    assert detopt.load(outside / "sheet.yaml").momentum == (1.0, 3.0)
    assert detopt.load(outside / "spot.yaml").weight == 2.0
    (outside / "spot.yaml").write_text("schema: 1\nname: s\ntype: ./pointing.py:VertexAria\n")
    assert "did you mean 'VertexArea'" in faults(outside / "spot.yaml")[0].message


# -- a whole study -----------------------------------------------------------------------------------------------------


def test_check_evaluate_optimise_and_read_again(outside, cli, monkeypatch):
    """Element and objective from outside, all the way to a run folder that needs nothing else."""
    monkeypatch.chdir(outside)
    answer = cli("check", "study.yaml")
    assert answer.code == 0, answer.err
    assert re.search(r"D0\.gap +2 mm +1 mm \.\. 8 mm", answer.out)
    study = detopt.load("study.yaml")
    before = study.evaluate()["objectives"]["spot"]["value"]
    run = study.optimise(out="run")
    assert {p.name for p in run.folder.iterdir()} >= {"double_sided.py", "pointing.py", "detector.yaml", "study.yaml"}
    for file in ("detectors/double_sided.py", "pointing.py", "detectors/doubles.yaml", "study.yaml"):
        Path(file).unlink()
    again = detopt.load("run/study.yaml")
    assert type(again.detector.part("D0")) is type(study.detector.part("D0"))
    assert again.evaluate()["objectives"]["spot"]["value"] == pytest.approx(before, rel=1e-12)
    final = again.evaluate(detector="run/detector.yaml")["objectives"]["spot"]["value"]
    assert final == pytest.approx(run.result["final"]["objectives"]["spot"]["value"], rel=1e-12)
    assert final < 0.95 * before
    assert detopt.load("run/detector.yaml").part("D0").gap != study.detector.part("D0").gap


def test_two_files_of_one_name(outside, tmp_path):
    """Each keeps a name of its own in the run folder."""
    from detopt.study.write import Companions

    (outside / "double_sided.py").write_text("# another\n" + (PLUGINS / "double_sided.py").read_text())
    files = Companions()
    first = files.beside(DETECTOR, outside / "detectors")
    second = files.beside(DETECTOR, outside)
    assert first == DETECTOR
    assert second.count("./double_sided_2.py:DoubleLayer") == 3
    assert set(files.contents) == {"double_sided.py", "double_sided_2.py"}
    assert files.beside("schema: 1\nname:   x  # kept\n", outside) == "schema: 1\nname:   x  # kept\n"


def test_templates_bring_their_plugins(outside, tmp_path, monkeypatch):
    from detopt.study import library, templates

    shelf = tmp_path / "shelf"
    for kind in ("studies", "detectors", "objectives"):
        (shelf / kind).mkdir(parents=True)
    (outside / "detectors" / "doubles.yaml").rename(shelf / "detectors" / "doubles.yaml")
    (outside / "detectors" / "double_sided.py").rename(shelf / "detectors" / "double_sided.py")
    (outside / "pointing.py").rename(shelf / "studies" / "pointing.py")
    (outside / "study.yaml").rename(shelf / "studies" / "outside.yaml")
    monkeypatch.setattr(library, "shipped", lambda: shelf)
    monkeypatch.setattr(templates, "find", lambda name, kind, beside: shelf / name)
    written = copy_template("outside", tmp_path / "copy")
    assert {p.name for p in written} == {"outside.yaml", "doubles.yaml", "double_sided.py", "pointing.py"}
    assert detopt.load(tmp_path / "copy" / "studies" / "outside.yaml").detector.part("D0").gap == 2.0


@pytest.mark.parametrize(
    ("frame", "source"),
    [("beamline", "./sheet.py:Sheet"), ("portal", "{type: ./sheet.py:Sheet}")],
    ids=["word", "file"],
)
def test_simulate(tmp_path, monkeypatch, frame, source):
    """Double-sided panels and a threshold in a beam line and a portal, lit by a source from outside."""
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    for name in ("double_sided.py", "sheet.py", "threshold.py"):
        Path(name).write_text((PLUGINS / name).read_text().replace('above=0, doc="of the square")', 'default=50.0, doc="")')
                              .replace('range=True, doc="from and to")', 'range=True, default=(2.0, 4.0), doc="")'))  # fmt: skip
    Path("d.yaml").write_text(
        f"schema: 1\nname: d\nframe: {frame}\nelements:\n"
        + "".join(
            f"  - {{name: P{i}, type: ./double_sided.py:DoubleSided, z: {100 * i} mm, gap: 4 mm, span: 1 m, front: 0.1 mm, back: 0.3 mm}}\n"
            for i in range(3)
        )
        + "  - {name: T, type: ./threshold.py:ThresholdPlane, z: 450 mm, span: 1 m, threshold: 3.5}\n"
    )
    if source.startswith("{"):
        Path("s.yaml").write_text("schema: 1\nname: s\ntype: ./sheet.py:Sheet\n")
        source = "s.yaml"
    detopt.load("d.yaml").simulate(source, out="e.parquet", events=2000)
    hits = pq.read_table("e.hits.parquet").to_pandas() if hasattr(pq, "to_pandas") else pq.read_table("e.hits.parquet")
    names, counts = np.unique(np.array(hits["element"].to_pylist()), return_counts=True)
    share = dict(zip(names.tolist(), counts / 2000, strict=True))
    assert {"P0_front", "P0_back", "T"} <= share.keys()
    assert share["P1_back"] > 0.9
    assert share["T"] == pytest.approx(0.5, abs=0.05), "sigmoid(0)"


PORTAL = """\
schema: 1
name: portal
frame: portal
elements:
  - {name: U0, type: ./double_sided.py:DoubleSided, z: 1200 mm, gap: 20 mm, span: 1 m, front: 1 mm, back: 1 mm, efficiency: 95 %}
  - {name: U1, type: ./threshold.py:ThresholdPlane, z: 1000 mm, span: 1 m, threshold: 3}
  - {name: body, type: slab, z: [500 mm, 600 mm], span: 500 mm, material: lead}
  - {name: B0, type: ./double_sided.py:DoubleSided, z: 300 mm, gap: 20 mm, span: 1 m, front: 1 mm, back: 1 mm}
"""
SEEN = """\
schema: 1
name: seen
detector: portal.yaml
source: {type: ./sheet.py:Sheet, width: 1.2 m, momentum: [1 GeV, 5 GeV], divergence: 100 mrad}
mode: sampled
variables:
  U0.gap: {bounds: [5 mm, 60 mm]}
  U1.threshold: {bounds: [2, 5]}
objectives: {seen: {type: ./pointing.py:Crowding}}
audit: {events: 16384}
"""


@pytest.fixture
def portal(tmp_path):
    """A study of a portal: elements, source and objective from outside."""
    for name in ("double_sided.py", "sheet.py", "threshold.py", "pointing.py"):
        (tmp_path / name).write_text((PLUGINS / name).read_text())
    (tmp_path / "portal.yaml").write_text(PORTAL)
    (tmp_path / "study.yaml").write_text(SEEN)
    return detopt.load(tmp_path / "study.yaml")


def test_a_portal_all_from_outside(portal):
    from detopt.study.differentiable import check_differentiable

    check_differentiable(portal)
    assert portal.source.carriers() == {"x": "x", "y": "y", "momentum": "momentum"}


@pytest.mark.slow
def test_the_gradient_of_a_threshold(portal):
    """What a threshold costs in hits and so in muons, seen in the score itself."""
    from detopt.backend import jax, jnp
    from detopt.study.evaluate import array_space, make_sampler

    sampler, space = make_sampler(portal, 32768), array_space(portal)
    value = jax.jit(jax.value_and_grad(lambda u, key: sampler(space.place(u), None, key).values[0]))
    init, step = jnp.asarray(space.init), jnp.array([0.0, 0.05])
    rows = []
    for key in jax.random.split(jax.random.key(1), 16):
        difference = (value(init + step, key)[0] - value(init - step, key)[0]) / 0.1
        rows.append((float(value(init, key)[1][1]), float(difference)))
    off = np.diff(rows, axis=1)
    assert np.mean(rows, axis=0)[1] < -0.03
    assert abs(off.mean()) < 3 * off.std() / 15**0.5 + 0.02 * abs(np.mean(rows))


# -- gradients that would be wrong -------------------------------------------------------------------------------------


def gradient_faults(
    folder, code, variable, old=("type: ./double_sided.py:DoubleLayer, radius: 30", "type: ./own.py:Own, radius: 30")
):
    from detopt.study.differentiable import check_differentiable

    (folder / "detectors" / "own.py").write_text(
        (PLUGINS / "double_sided.py").read_text() + "\n\n" + FROZEN + "class Own(DoubleLayer):\n" + code
    )
    (folder / "detectors" / "doubles.yaml").write_text(changed(DETECTOR, [old]))
    (folder / "study.yaml").write_text(
        changed(STUDY, [("  D0.gap: {bounds: [1 mm, 8 mm], same_for: [D1]}\n", variable)])
    )
    with pytest.raises(BadInput) as caught:
        check_differentiable(detopt.load(folder / "study.yaml"))
    return caught.value.faults


@pytest.mark.parametrize(
    ("code", "number", "message"),
    [
        ("    cable: Any = quantity('mm', default=1.0, doc='length')\n", "cable", "nothing follows cable of Own"),
        ("    def surfaces(self):\n        from dataclasses import replace\n        import jax.numpy as jnp\n"
         "        return tuple(replace(s, position=jnp.round(s.position)) for s in super().surfaces())\n",
         "gap", "does not follow gap of Own as its derivative says: near "),
        ("    def surfaces(self):\n        return super().surfaces()[: 1 if self.gap < 0.1 else 2]\n",
         "gap", "is asked whether it is larger, equal or true"),
        ("    def surfaces(self):\n        import numpy as np\n        np.exp(self.gap)\n        return super().surfaces()\n",
         "gap", "is handed to NumPy"),
        ("    def surfaces(self):\n        import math\n        math.sqrt(self.gap)\n        return super().surfaces()\n",
         "gap", "is made a plain Python number"),
    ],
    ids=["ignored", "rounded", "branched", "numpy", "math"],
)  # fmt: skip
def test_a_free_number_that_cannot_be_followed(outside, code, number, message):
    variable = f"  D0.{number}: {{bounds: [1 mm, 3 mm]}}\n"
    found = gradient_faults(outside, code, variable)
    (fault,) = (f for f in found if f.message.startswith(f"D0.{number}: "))
    assert len(found) == 1 or "jnp.round" in code, "the radius is rounded as well"
    assert message in fault.message
    assert fault.line == 7
    if "derivative says" not in message and "nothing" not in message:
        assert "own.py, line" in fault.message


def test_an_objective_that_cannot_be_followed(outside):
    from detopt.study.differentiable import check_differentiable

    file = outside / "pointing.py"
    text = file.read_text().replace("/ weight.sum()) ** 0.5", "/ weight.sum()).round(7)")
    file.write_text(text)
    with pytest.raises(BadInput, match="spot: value of VertexArea does not follow design and tracks"):
        check_differentiable(detopt.load(outside / "study.yaml"))


def test_tilted_planes_of_a_plugin_are_met_where_they_are(tmp_path):
    """Whether planes are tilted is asked of the surfaces, whoever makes them."""
    from detopt.detector.detector import Detector
    from detopt.detector.elements import Plane
    from detopt.detector.stops import stops
    from detopt.detector.surfaces import as_arrays

    good = class_of("Good")(name="g", z=10.0, span=100.0, sigma=0.2)
    tilted = class_of("Tilts")(name="t", z=10.0, span=100.0, sigma=0.2)
    plane = Plane(name="p", z=0.0, span=(10.0, 10.0))
    for element, expected in ((good, False), (tilted, True), (plane, False)):
        assert stops(as_arrays(Detector(name="d", frame="beamline", elements=(element,)))).tilted is expected


def test_a_source_that_does_not_move_as_it_says(portal):
    """Its muons could not be put onto edges, and nothing would tell."""
    from detopt.study.differentiable import check_differentiable

    folder = portal.path.parent
    (folder / "sheet.py").write_text(
        (PLUGINS / "sheet.py").read_text().replace("numbers[axis] - 0.5", "numbers[axis].round(1)")
    )
    with pytest.raises(BadInput, match=r"source: Sheet: x does not follow 'x' as its derivative says") as caught:
        check_differentiable(detopt.load(portal.path))
    assert {f.line for f in caught.value.faults} == {4}


def test_hit_patterns_of_an_efficiency_that_follows_something_else(tmp_path, small_text, study_text):
    """The least efficient design of the box decides which patterns are summed over, whatever the number is called."""
    from detopt.study.evaluate import make_evaluator

    (tmp_path / "layer.py").write_text(
        HEAD + "from dataclasses import replace\n" + FROZEN + "class Layer(BarrelLayer):\n"
        "    loss: Any = quantity('', min=0, max=1, default=0.0, doc='lost hits')\n    def surfaces(self):\n"
        "        return tuple(replace(s, efficiency=1 - self.loss) for s in super().surfaces())\n"
    )
    (tmp_path / "small.yaml").write_text(
        changed(small_text, [("name: L1, type: barrel_layer", "name: L1, type: ./layer.py:Layer")])
    )
    (tmp_path / "study.yaml").write_text(
        changed(study_text, [("  L1.radius: {bounds: [25 mm, 70 mm]}", "  L1.loss: {bounds: [0, 10 %]}"),
                             ("mode: expected", "mode: expected\ntracking: {min_hits: 3}")])
    )  # fmt: skip
    patterns = make_evaluator(detopt.load(tmp_path / "study.yaml")).patterns
    assert patterns.tolist() == [[True] * 5, [True, True, False, True, True]]


# -- the page about plug-ins ---------------------------------------------------------------------------------------------


@pytest.fixture
def page(tmp_path):
    """The files that the page shows, written down, and the rest of its code."""
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "plugins.md").read_text()
    rest = []
    for code in re.findall(r"```(?:python|yaml)\n(.*?)```", text, flags=re.DOTALL):
        name = re.match(r"# (\S+)\n", code)
        if name:
            (tmp_path / name[1]).write_text(code)
        else:
            rest.append(code)
    return tmp_path, rest


def test_the_page(page, monkeypatch):
    """What it shows runs, and keeps its contract."""
    folder, (contract,) = page
    detector = detopt.load(folder / "stereo.yaml")
    assert [s.name for s in detector.sensors()] == [f"S{i}_{face}" for i in range(3) for face in ("inner", "outer")]
    assert detector.part("S2").stereo == 0.06
    assert detector.resolution([1.0])[0]["sigma_d0_um"] > 0
    monkeypatch.syspath_prepend(folder)
    exec(contract, {})
    check_objective(load_class("./spot.py:Spot", folder, "objective")(momentum=1.0))


# -- the contract kit --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "element",
    [
        plugin("double_sided.py:DoubleLayer")(
            name="d", radius=30.0, gap=2.0, half_length=100.0, x_over_X0=0.01, sigma_rphi=0.01, sigma_z=0.02
        ),
        plugin("double_sided.py:DoubleSided")(name="d", z=0.0, gap=2.0, span=(50.0, 70.0), front=0.1, back=0.2),
        plugin("threshold.py:ThresholdPlane")(name="t", z=10.0, span=100.0, threshold=2.0),
        class_of("Good")(name="g", z=10.0, span=100.0, sigma=0.1),
        BarrelLayer(name="L", radius=30.0, half_length=100.0, x_over_X0=0.01, pitch=(0.05, 0.1)),
        Panel(name="P", z=30.0, span=(100.0, 50.0), resolution=(0.05, None)),
        Disk(name="D", z=30.0, inner_radius=5.0, outer_radius=50.0, resolution=(0.05, 0.1)),
    ],
    ids=lambda e: type(e).__name__,
)
def test_elements_that_keep_their_contract(element):
    check_element(element)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Rounds", "position of rounds does not follow z of Rounds"),
        ("Steps", "efficiency of steps does not follow sigma of Steps"),
        ("Hides", "position of hides does not follow z of Hides"),
        ("Branches", "sigma of Branches is asked whether it is larger"),
        ("Counts", "the number of its surfaces or readouts depends on span"),
        ("Pays", "channels of a readout must be >= 0"),
        ("Ignores", "nothing follows cable of Ignores"),
        ("UsesNumpy", "sigma of UsesNumpy is handed to NumPy"),
        ("Widens", "of numbers of 32 bits, position of widens has float64"),
        ("Differs", "surfaces or readouts differ between floats and arrays"),
        ("SameName", "the names of its surfaces must begin with its own"),
        ("Explodes", "is not finite everywhere"),
    ],
)
def test_broken_elements_are_found(name, message):
    numbers = {"cable": 1.0} if name == "Ignores" else {}
    with pytest.raises(AssertionError, match=f"{name} breaks its contract") as caught:
        check_element(class_of(name), z=10.0, span=100.0, sigma=0.2, **numbers)
    assert message in str(caught.value)


def test_what_is_no_element():
    with pytest.raises(AssertionError, match="it is not frozen"):
        check_element(class_of("Thaws"))
    with pytest.raises(AssertionError, match="bounds name sigmo"):
        check_element(class_of("Good")(name="g", z=0.0, span=10.0, sigma=0.1), bounds={"sigmo": (0.1, 0.2)})


@pytest.mark.parametrize("frame", ["beamline", "portal"])
def test_sources_that_keep_their_contract(frame):
    check_source(plugin("sheet.py:Sheet", "source")(width=300.0, momentum=(1.0, 5.0)), frame)


def test_pencil():
    check_source(class_of("Pencil")())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Remembers", "the same numbers give other events"),
        ("Deaf", "other numbers give the same events"),
        ("Returns", "forth and back"),
        ("Hops", "x does not follow 'x' as its derivative says"),
        ("Kinks", "x does not follow 'x' as its derivative says"),
        ("Lies", "'x' does not move every particle along y"),
        ("Weightless", "weight must be positive"),
        ("Averages", "an event depends on how many others are drawn"),
    ],
)
def test_broken_sources_are_found(name, message):
    with pytest.raises(AssertionError, match=f"{name} breaks its contract") as caught:
        check_source(class_of(name)())
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "term",
    [
        plugin("pointing.py:VertexArea", "objective")(momentum=1.0),
        plugin("pointing.py:Crowding", "objective")(),
        class_of("Precision")(),
        Resolution(of="pt"),
        Efficiency(),
        Cost(),
    ],
    ids=lambda t: type(t).__name__,
)
def test_objectives_that_keep_their_contract(term):
    check_objective(term)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("GoodTracks", "does not follow design and tracks as its derivative says"),
        ("Worst", "is asked whether it is larger"),
        ("Negative", "value must be positive"),
        ("CutsHits", "does not follow design and tracks as its derivative says"),
    ],
)
def test_broken_objectives_are_found(name, message):
    with pytest.raises(AssertionError, match=f"{name} breaks its contract") as caught:
        check_objective(class_of(name)())
    assert message in str(caught.value)


def test_everything_wrong_is_told_at_once():
    with pytest.raises(AssertionError) as caught:
        check_element(class_of("Ignores"), z=10.0, span=100.0, sigma=2.0, cable=9.0)
    assert str(caught.value).count("\n  - ") == 2


def test_refusals_are_exceptions_of_their_own():
    with pytest.raises(PluginError, match="a trigger cannot come from outside"):
        load_class("./threshold.py:ThresholdPlane", PLUGINS, "trigger")
