"""`make bench-tomography`: muons a second of a portal's value and gradient, ours and the peer's in the same run on one core.

1 m3 of beryllium with lead in it, 10x10x10 voxels of 10 cm, four panels above and four below, cosmic muons through the
volume, X0 of every voxel; value and gradient to z, centre and span of all panels.
"""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

CORES = sorted(os.sched_getaffinity(0))
CORE = CORES[-1]
os.sched_setaffinity(0, {CORE})  # before JAX starts its threads

import numpy as np  # noqa: E402

from detopt.backend import jax, jnp  # noqa: E402
from detopt.detector.arms import Arm  # noqa: E402
from detopt.detector.cost import Prices  # noqa: E402
from detopt.detector.detector import Detector  # noqa: E402
from detopt.detector.elements import Panel, Volume  # noqa: E402
from detopt.detector.scenes import Box, Shapes, fill  # noqa: E402
from detopt.detector.surfaces import as_arrays  # noqa: E402
from detopt.materials import material  # noqa: E402
from detopt.parameters import Space, Variable, get, quantity  # noqa: E402
from detopt.scoring import chunks  # noqa: E402
from detopt.scoring.beam_sampled import BeamEvaluator  # noqa: E402
from detopt.simulation.cosmic import Cosmic  # noqa: E402
from detopt.simulation.physics import Physics  # noqa: E402
from detopt.simulation.scattering import beta, unit_width  # noqa: E402
from detopt.simulation.start import Aim, Start  # noqa: E402

SIDE = 1000.0  # mm
CHUNK = int(os.environ.get("CHUNK", "8192"))  # muons
BLOCKS = 8
SPREAD = {
    "z": 50.0,
    "centre.x": 200.0,
    "centre.y": 200.0,
    "span.x": 400.0,
    "span.y": 400.0,
}  # widths of the ranges in mm
PEERS_PHYSICS = Physics(energy_loss=False, straggling=False, tails=False)
SLICE = 0.01  # m: in which the peer takes a voxel, by default


@dataclass(frozen=True, kw_only=True, eq=False)
class X0Map:
    """Mean squared error of ln X0 over all voxels, from where muons were bent most and by how much.

    The tracks above and below are closest to each other in a voxel, by a kernel as wide as one. There
    theta^2 / (2 c^2), with c = 13.6 MeV / (beta p) and the true momentum, as the peer has it, is the x/X0 of that voxel.
    """

    goal: ClassVar[str] = "minimise"
    unit: ClassVar[str] = ""
    display_unit: ClassVar[str] = ""
    title: ClassVar[str] = "error of ln X0"
    truth: Any  # ln(depth of a voxel / X0)
    number: int  # of voxels along each side
    weight: Any = quantity("", min=0, default=1.0, doc="weight")

    def features(self, muon):
        """Where it was bent in units of a voxel, whether it was seen there, and theta^2 / (2 c^2) times the cosine."""
        above, below = muon.tracks
        here, there = above.parameters, below.parameters
        dx, dy = here[2] - there[2], here[3] - there[3]
        middle = SIDE / 2
        at = [t.parameters[i] + t.parameters[2 + i] * (middle - t.z) for t in (above, below) for i in (0, 1)]
        square = dx**2 + dy**2
        z = -((at[0] - at[2]) * dx + (at[1] - at[3]) * dy) / (square + 1e-6)
        x, y = ((at[i] + at[2 + i]) / 2 + (here[2 + i] + there[2 + i]) / 2 * z for i in (0, 1))
        z = z + middle
        good = muon.passes & (jnp.abs(z - middle) < middle)
        width = unit_width(muon.momentum, beta(muon.momentum))
        tilt = (1 + (here[2] ** 2 + here[3] ** 2)) ** 1.5  # both slopes turn by more than the angle
        depth = jnp.where(good, square / (2 * width**2 * tilt), 0.0)
        scale, seen = self.number / SIDE, good.astype(depth.dtype)
        return jnp.stack([(x + middle) * scale, (y + middle) * scale, z * scale, seen, depth])

    def _kernel(self, at):
        """How much each voxel along a side has of a place: less with the distance, and nothing beyond a voxel's width."""
        return jnp.maximum(1 - jnp.abs(at[:, None] - 0.5 - np.arange(self.number, dtype=at.dtype)[None]), 0.0)

    def sums(self, features, weight):
        """Of both, for every voxel: a product of two matrices, for some muons after the others."""
        n = self.number
        blocks = BLOCKS if len(weight) % BLOCKS == 0 else 1
        columns = [c.reshape(blocks, -1) for c in (*(features[:, i] for i in range(5)), weight)]

        def add(total, block):
            x, y, z, seen, depth, weight = block
            across = (self._kernel(x)[:, :, None] * self._kernel(y)[:, None, :]).reshape(-1, n * n)
            last = jnp.stack([weight * seen, weight * depth], 1)
            along = (self._kernel(z)[:, :, None] * last[:, None, :]).reshape(-1, 2 * n)
            return total + across.T @ along, None

        nothing = jnp.zeros((n * n, 2 * n), weight.dtype)
        return jax.lax.scan(jax.checkpoint(add, prevent_cse=False), nothing, columns)[0].ravel()

    def statistics(self, muon):
        """Of one muon."""
        return self.sums(self.features(muon)[None], jnp.ones(1, muon.weight.dtype))

    def value(self, view):
        """From the means: every voxel starts with a little of what all have."""
        number, depth = jnp.moveaxis(view.mean(self).reshape(self.number**3, 2), 1, 0)
        some = 0.1 * jnp.mean(number)
        found = jnp.log((depth + some * depth.sum() / number.sum()) / (number + some))
        return jnp.mean((found - self.truth) ** 2)


def evaluator(physics: Physics, events: int, voxels: int = 10, panels: int = 4) -> tuple[Space, BeamEvaluator]:
    """The portal, with 5 free numbers a panel."""
    lead = Box(material=material("lead"), centre=(0.0, 0.0, SIDE / 2), size=(400.0, 400.0, 400.0))
    scene, _ = fill(
        Shapes(fill=material("beryllium"), shapes=(lead,)),
        (-SIDE / 2, -SIDE / 2, 0.0),
        (SIDE, SIDE, SIDE),
        (voxels,) * 3,
    )
    # Muons that lose no energy need no finer slices than voxels.
    scene = scene if physics.energy_loss else replace(scene, slices=(1,) * voxels)
    load = Volume(name="load", corner=(-SIDE / 2, -SIDE / 2, 0.0), size=(SIDE,) * 3, voxels=(voxels,) * 3, scene=scene)
    heights = [SIDE + 40 + 60 * i for i in reversed(range(panels))] + [-40.0 - 60 * i for i in range(panels)]
    made = [
        Panel(name=f"p{i}", z=z, span=(1100.0, 1100.0), resolution=(1.0, 1.0), efficiency=0.9, x_over_X0=0.01)
        for i, z in enumerate(heights)
    ]
    detector = Detector(name="bench", frame="portal", elements=(*made[:panels], load, *made[panels:]))
    free = []
    for panel in made:
        for field, width in SPREAD.items():
            name = f"{panel.name}.{field}"
            value = float(get(detector, name))
            free.append(Variable(name, value - width / 2, value + width / 2, value, "", "", (name,)))
    depth = SIDE / voxels / np.array([m.X0 for m in scene.materials])[scene.index]
    space, chunks.CHUNK = Space(as_arrays(detector), tuple(free)), CHUNK
    arms = tuple(Arm(tuple(range(a, a + panels)), False, 3) for a in (0, panels))
    score = X0Map(truth=jnp.log(jnp.asarray(depth.ravel())), number=voxels)
    start = Start("portal", SIDE + 60 * panels + 100, Aim(SIDE, (0.0, 0.0), (SIDE, SIDE)))
    source = Cosmic(momentum=(0.5, 100.0), aim="load")
    return space, BeamEvaluator(
        {"map": score}, {}, Prices(), source, physics, space, events, start, arms, precision=jnp.float32
    )


class Ours:
    """A compiled value and gradient."""

    def __init__(self, physics: Physics = PEERS_PHYSICS, events: int = 8 * CHUNK, **sizes: int) -> None:
        space, evaluate = evaluator(physics, events, **sizes)
        self.events, self.at = evaluate.events, jnp.asarray(space.init)

        def score(u, key):
            return evaluate(space.place(u), None, key).values[0]

        shapes = self.at, jax.random.key(0)
        self.value = jax.jit(score).lower(*shapes).compile()
        self.gradient = jax.jit(jax.value_and_grad(score)).lower(*shapes).compile()
        self.memory = self.gradient.memory_analysis().temp_size_in_bytes / 1e6  # MB

    def rate(self, repeat: int = 5, value: bool = False) -> tuple[float, float]:
        """The most muons a second, by the clock and by the time that the processor was at work."""
        run, times = self.value if value else self.gradient, []
        for i in range(repeat):
            wall, work = time.perf_counter(), time.process_time()
            found = jax.block_until_ready(run(self.at, jax.random.key(i)))
            times.append((time.perf_counter() - wall, time.process_time() - work))
            assert all(np.isfinite(np.asarray(x)).all() for x in jax.tree.leaves(found))
        return tuple(self.events / min(column) for column in zip(*times, strict=True))  # type: ignore[return-value]


def peer(python: str, seconds: float, thickness: float) -> dict[str, float]:
    """The peer's rate, in batches of 250."""
    script = Path(__file__).with_name("peer.py")
    command = [python, "-W", "ignore", str(script), "250", str(seconds), str(thickness)]
    found = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return json.loads(found.stdout.strip().splitlines()[-1])


def together(cores: list[int]) -> float:
    """Muons a second of one process on each of these cores, all at once."""
    command = [sys.executable, __file__, "--alone"]
    running = [
        subprocess.Popen([*command, str(core)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        for core in cores
    ]
    for process in running:  # all have compiled before any of them begins
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0]) for process in running)


def alone(core: int) -> None:
    """What `together` runs."""
    os.sched_setaffinity(0, {core})
    ours = Ours()
    print("ready", flush=True)
    sys.stdin.readline()
    print(ours.rate(12)[0])


def scaling() -> None:
    """Time linear in muons, voxels and panels; memory that does not grow; two processes on two cores."""
    print("\nmuons      us a muon   memory in MB")
    for chunks_of in (8, 64, 256):
        ours = Ours(events=chunks_of * CHUNK)
        print(f"{ours.events:9d} {1e6 / ours.rate(2)[0]:9.2f} {ours.memory:14.1f}")
    print("largest memory of the process so far:", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MB")
    print("\nvoxels along a side, panels above and below: us a muon")
    for sizes in ({"voxels": 5}, {"voxels": 20}, {"voxels": 40}, {"panels": 8}, {"panels": 16}):
        print(f"{sizes!s:16s} {1e6 / Ours(**sizes).rate(2)[0]:9.2f}")
    if len(CORES) > 1:
        one, two = together(CORES[:1]), together(CORES[:2])
        print(f"\ntwo processes on two cores: {two / one:.2f} times one")


def main(python: str, everything: bool) -> None:
    """Ours and theirs by turns, and a table."""
    print(f"core {CORE}, load {os.getloadavg()[0]:.1f}")
    plain, full = Ours(), Ours(Physics())
    best = {
        "plain": (0.0, 0.0),
        "full": (0.0, 0.0),
        "peer": (0.0, 0.0),
        "value": (0.0, 0.0),
        "peer, whole voxels": (0.0, 0.0),
    }

    def note(name, found):
        best[name] = tuple(map(max, best[name], found))

    for _ in range(3):
        note("plain", plain.rate())
        note("value", plain.rate(value=True))
        note("full", full.rate(2))
        for name, thickness in (("peer", SLICE), ("peer, whole voxels", 0.1)):
            note(name, peer(python, 10.0, thickness).values())
    names = {
        "plain": "ours, the peer's physics",
        "value": "ours, value alone",
        "full": "ours, with loss, straggling and tails",
        "peer": "peer, slices of 1 cm (its default)",
        "peer, whole voxels": "peer, slices of 10 cm",
    }
    print(f"{'':40s} muons/s     of processor time")
    for name, title in names.items():
        print(f"{title:40s} {best[name][0]:9.0f} {best[name][1]:12.0f}")
    if everything:
        scaling()
    print(f"ratio: {best['plain'][0] / best['peer'][0]:.0f}")


if __name__ == "__main__" and sys.argv[1] == "--alone":
    alone(int(sys.argv[2]))
elif __name__ == "__main__":
    main(sys.argv[1], "--scaling" in sys.argv)
