"""Paths through beam lines and portals: against circles, brute force, and central differences with the same dice."""

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.elements import Magnet, Panel, Plane, Slab
from detopt.detector.magnets import Dipole
from detopt.detector.stops import stops
from detopt.detector.surfaces import as_arrays
from detopt.materials import material
from detopt.simulation.flight import Muon, fly
from detopt.simulation.matter import Dice
from detopt.simulation.physics import Physics
from detopt.simulation.truth import beam_flight

pytestmark = pytest.mark.physics

TURN = 0.299792458e-3  # GeV / (T mm)
WIDE = (1e7, 1e7)
EDGE = {"span": (200.0, 100.0)}


def line(*elements, field=None, frame="beamline"):
    return Detector(name="line", frame=frame, elements=elements, field=field)


def plane(name, z, span=WIDE, **matter):
    return Plane(name=name, z=z, span=span, **matter)


@lru_cache
def _compiled(physics, dtype):
    def run(design, muons, charge, rolled):
        listed = stops(design)
        return jax.vmap(lambda m, q, r: fly(listed, m, q, r, physics))(muons, charge, rolled)

    return jax.jit(run)


def muons(position, direction, momentum, dtype=np.float64):
    position, direction, momentum = np.broadcast_arrays(
        np.atleast_2d(position), np.atleast_2d(direction), np.reshape(momentum, (-1, 1))
    )
    unit = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    return Muon(*(x.astype(dtype) for x in (position, unit, momentum[:, 0])), np.ones(len(unit), bool))


def flown(detector, muon, charge=1.0, rolled=None, physics=None, dtype=np.float64):
    """Legs of some muons, as NumPy arrays: without dice they are not scattered."""
    charge = np.broadcast_to(np.asarray(charge, dtype), muon.momentum.shape)
    physics = physics or Physics(straggling=False)
    legs = _compiled(physics, dtype)(as_arrays(detector, dtype), muon, charge, rolled)
    return jax.tree.map(np.asarray, legs)


def dice_of(detector, count, seed=0, dtype=np.float64):
    rng, shape = np.random.default_rng(seed), (count, len(stops(as_arrays(detector)).names), 5)
    return Dice(rng.normal(size=shape).astype(dtype), rng.uniform(size=shape).astype(dtype))


# -- magnets ---------------------------------------------------------------------------------------------------------


def circle(start, direction, momentum, charge, B, along, z):
    """Where a circle about the field meets z, going forward, by angles about its centre; where it does not, its top."""
    bend = 0 if along == "y" else 1  # the transverse axis in which it bends
    sign = -1.0 if along == "y" else 1.0
    # With B along y, dux/ds = -w uz and duz/ds = w ux; along x, duy/ds = w uz and duz/ds = -w uy.
    w = sign * TURN * charge * B / momentum
    transverse = np.hypot(direction[bend], direction[2])
    psi = np.arctan2(direction[bend], direction[2])
    # psi grows by w s, and z by transverse (sin psi' - sin psi) / w.
    after = np.arcsin(np.clip(np.sin(psi) + w * (z - start[2]) / transverse, -1, 1))
    s = (after - psi) / w
    out = np.empty(3)
    out[bend] = start[bend] + transverse * (np.cos(psi) - np.cos(after)) / w
    out[1 - bend] = start[1 - bend] + s * direction[1 - bend]
    out[2] = z
    u = np.array(direction)
    u[bend], u[2] = transverse * np.sin(after), transverse * np.cos(after)
    return out, u


@pytest.mark.parametrize("along", ["y", "x"])
def test_a_dipole_makes_circles(along):
    detector = line(
        plane("a", 0.0), plane("b", 300.0), plane("c", 700.0), field=Dipole(B=1.1, z=(-1e3, 2e3), along=along)
    )
    momenta = np.geomspace(0.3, 100, 12)
    directions = np.array([[0.2, -0.3, 1.0], [-0.1, 0.15, 1.0], [0.0, 0.0, 1.0], [-0.3, 0.6, 1.0]])
    p, u, q = np.repeat(momenta, 8), np.tile(np.repeat(directions, 2, 0), (12, 1)), np.tile([1.0, -1.0], 48)
    start = muons([3.0, -2.0, -100.0], u, p)
    legs = flown(detector, start, q)
    worst = angle = 0.0
    for i in range(len(p)):
        for j, z in enumerate((0.0, 300.0, 700.0)):
            point, unit = circle(start.position[i], start.direction[i], p[i], q[i], 1.1, along, z)
            if unit[2] < 1e-6:
                assert not legs.crossed[i, j:3].any()
                break
            assert legs.crossed[i, j]
            worst = max(worst, np.abs(legs.before.position[i, j] - point).max())
            angle = max(angle, np.abs(legs.before.direction[i, j] - unit).max())
            assert np.abs(legs.local[i, j] - point[:2]).max() < 1e-9
    print(f"dipole along {along}: {worst:.1e} mm, {angle:.1e} rad, {legs.crossed[:, :3].sum()} crossings")
    assert 0.9 < legs.crossed[:, :3].mean() < 1
    assert worst < 1e-9
    assert angle < 1e-12


MAGNETS = (
    Magnet(name="m1", B=1.2, z=(200.0, 700.0)),
    Magnet(name="m2", B=-0.9, z=(900.0, 1500.0), along="x"),
    Magnet(name="m3", B=0.4, z=(1200.0, 1600.0)),  # overlaps with the second
)
TILTS = ((0.3, -0.4), (0.0, 0.0), (-0.2, 0.1), (0.5, 0.3))
PANELS = tuple(
    Panel(name=f"p{i}", z=z, span=(1e6, 1e6), centre=(10.0 * i - 7, 5.0 - 20 * i), tilt=t)
    for i, (z, t) in enumerate(zip((100.0, 450.0, 1050.0, 2000.0), TILTS, strict=True))
)


def rotation(about_x, about_y):
    """Turned about x, then about y, by the right-hand rule."""
    cx, sx, cy, sy = np.cos(about_x), np.sin(about_x), np.cos(about_y), np.sin(about_y)
    first = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ first


def field_at(z):
    total = np.zeros((len(z), 3))
    for m in MAGNETS:
        inside = (z > m.z[0]) & (z < m.z[1])
        total[:, 0 if m.along == "x" else 1] += np.where(inside, m.B, 0.0)
    return total


def brute(position, direction, momentum, charge):
    """Runge and Kutta in z between magnet ends: local coordinates on each panel, and the positions (all muons at once)."""
    edges = sorted({*(z for m in MAGNETS for z in m.z), -50.0, 2600.0})
    states = [(position, direction)]

    def slope(r, u, B):
        du = TURN * (charge / momentum)[:, None] * np.cross(u, B)
        return u / u[:, 2:], du / u[:, 2:]

    for a, b in pairwise(edges):
        n = 400
        h = (b - a) / n
        r, u = states[-1]
        B = field_at(np.full(len(r), (a + b) / 2))
        for _ in range(n):
            k1 = slope(r, u, B)
            k2 = slope(r + h / 2 * k1[0], u + h / 2 * k1[1], B)
            k3 = slope(r + h / 2 * k2[0], u + h / 2 * k2[1], B)
            k4 = slope(r + h * k3[0], u + h * k3[1], B)
            r, u = (x + h / 6 * (a + 2 * b + 2 * c + d) for x, a, b, c, d in zip((r, u), k1, k2, k3, k4, strict=True))
            states.append((r, u))
    track = np.array([r for r, _ in states])
    unit = np.array([u for _, u in states])
    found = []
    for panel in PANELS:
        turned = rotation(*panel.tilt)
        middle = np.array([*panel.centre, panel.z])
        away = (track - middle) @ turned[:, 2]
        row = []
        for m in range(len(position)):
            k = int(np.argmax(away[:, m] > 0)) - 1
            # Cubic between two steps: position and slope in z at both ends.
            (r0, r1), (u0, u1) = track[k : k + 2, m], unit[k : k + 2, m]
            h = r1[2] - r0[2]
            low, high = 0.0, 1.0
            for _ in range(60):
                t = (low + high) / 2
                d0, d1 = u0 / u0[2] * h, u1 / u1[2] * h
                at = (2 * t**3 - 3 * t**2 + 1) * r0 + (t**3 - 2 * t**2 + t) * d0
                at = at + (3 * t**2 - 2 * t**3) * r1 + (t**3 - t**2) * d1
                low, high = (low, t) if (at - middle) @ turned[:, 2] > 0 else (t, high)
            row.append([*((at - middle) @ turned[:, :2]), *at])
        found.append(row)
    return np.array(found).swapaxes(0, 1)


def test_tilted_panels_and_magnets_by_brute_force():
    rng = np.random.default_rng(1)
    p, q = np.geomspace(0.6, 50, 24), np.tile([1.0, -1.0], 12)
    slopes = np.column_stack([rng.uniform(-0.15, 0.15, (24, 2)), np.ones(24)])
    start = muons(np.array([5.0, -3.0, -50.0]), slopes, p)
    legs = flown(line(*PANELS, *MAGNETS), start, q)
    n = len(PANELS)
    assert legs.crossed.all()
    truth = brute(start.position, start.direction, p, q)
    worst = (
        np.abs(legs.local[:, :n] - truth[:, :, :2]).max(),
        np.abs(legs.before.position[:, :n] - truth[:, :, 2:]).max(),
    )
    print(f"against Runge and Kutta: local {worst[0]:.1e} mm, position {worst[1]:.1e} mm")
    assert max(worst) < 1e-7
    # On the plane, to rounding; and the momentum is as it was.
    for i, panel in enumerate(PANELS):
        turned = rotation(*panel.tilt)
        away = legs.before.position[:, i] - np.array([*panel.centre, panel.z])
        assert np.abs(away @ turned[:, 2]).max() < 1e-9
        assert np.abs(away @ turned[:, :2] - legs.local[:, i]).max() < 1e-9
    assert np.abs(np.linalg.norm(legs.after.direction, axis=-1) - 1).max() < 1e-12
    assert (legs.after.momentum == p[:, None]).all()


@pytest.mark.parametrize("slope", [0.0, -1.5, 1.5])
def test_turned_back_in_a_magnet(slope):
    # 0.2 GeV in 1 T: a radius of 667 mm; where the field begins obliquely it turns back earlier or later.
    detector = line(
        plane("a", 0.0),
        plane("b", 500.0),
        plane("c", 1200.0),
        plane("d", 1500.0),
        field=Dipole(B=1.0, z=(100.0, 1400.0)),
    )
    start = muons([0.0, 0.0, -10.0], [slope, 0.1, 1.0], 0.2)
    legs = flown(detector, start, 1.0)
    u, radius = start.direction[0], 0.2 / TURN
    transverse = np.hypot(u[0], u[2])
    deepest = 100 + radius * (transverse + u[0])  # the field turns positive muons towards -x
    assert legs.crossed[0, :4].tolist() == [z < deepest for z in (0, 500, 1200, 1500)]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(legs))
    assert not legs.after.alive[0, 3]


def test_steep_muons_that_the_field_straightens():
    # At -80 degrees a straight line to the far plane is six times as long as the circle.
    detector = line(plane("a", 0.0), plane("b", 1000.0), field=Dipole(B=-1.0, z=(0.0, 1000.0)))
    for degrees in (-80.0, -60.0, 60.0, 80.0):
        u = np.array([np.sin(np.radians(degrees)), 0.0, np.cos(np.radians(degrees))])
        legs = flown(detector, muons([0.0, 0.0, -1.0], u, 0.35), 1.0)
        start = np.array([u[0] / u[2], 0.0, 0.0])
        point, after = circle(start, u, 0.35, 1.0, -1.0, "y", 1000.0)
        assert legs.crossed[0, 1] == (after[2] > 1e-6) == (degrees < 0)
        if degrees < 0:
            assert np.abs(legs.before.position[0, 1] - point).max() < 1e-9


def test_no_field_is_zero_field():
    planes = plane("a", 0.0), Panel(name="b", z=500.0, span=WIDE, tilt=(0.2, 0.3)), plane("c", 1000.0)
    start = muons([1.0, 2.0, -10.0], [[0.1, -0.2, 1.0], [0.0, 0.0, 1.0]], 5.0)
    zero = flown(line(*planes, field=Dipole(B=0.0, z=(100.0, 900.0))), start).local[:, :3]
    assert np.abs(zero - flown(line(*planes), start).local).max() < 1e-12


# -- edges and frames ----------------------------------------------------------------------------------------------------


def test_hard_edges():
    detector = line(plane("a", 0.0, **EDGE), Panel(name="b", z=100.0, tilt=(0.0, 0.5), centre=(30.0, 0.0), **EDGE))
    x = np.array([0.0, 100.0, np.nextafter(100.0, 200), -100.0, 99.0])
    y = np.array([0.0, 50.0, 0.0, -50.0, np.nextafter(50.0, 60)])
    legs = flown(detector, muons(np.stack([x, y, 0 * x - 10], -1), [0.0, 0.0, 1.0], 1.0))
    assert legs.crossed[:, 0].tolist() == [True, True, False, True, False]
    # Across the tilted panel's wide side by the cosine of its tilt.
    ends = 30 + np.array([-1, 1, -1, 1]) * 100 * np.cos(0.5) + np.array([1e-9, -1e-9, -1e-9, 1e-9])
    legs = flown(detector, muons(np.stack([ends, 0 * ends, 0 * ends - 99], -1), [0.0, 0.0, 1.0], 1.0))
    assert legs.crossed[:, 1].tolist() == [True, True, False, False]


def mirrored(element):
    """In z = 0."""
    if isinstance(element, Slab):
        return replace(element, z=(-element.z[1], -element.z[0]))
    if isinstance(element, Panel):
        return replace(element, z=-element.z, tilt=(-element.tilt[0], -element.tilt[1]))
    return replace(element, z=-element.z)


def test_a_portal_is_a_beam_line_upside_down():
    elements = (
        plane("a", 1000.0, (900.0, 800.0), x_over_X0=0.02),
        Panel(name="b", z=900.0, span=(900.0, 800.0), tilt=(0.1, -0.2), x_over_X0=0.02),
        Slab(name="s", material=material("iron"), z=(240.0, 300.0), span=(1e3, 1e3), slices=3),
        plane("c", 100.0, (900.0, 800.0)),
    )
    portal, beam = line(*elements, frame="portal"), line(*map(mirrored, elements))
    rng, mirror = np.random.default_rng(3), np.array([1.0, 1.0, -1.0])
    positions = np.column_stack([rng.uniform(-500, 500, (200, 2)), np.full(200, 1100.0)])
    directions = np.column_stack([rng.uniform(-0.3, 0.3, (200, 2)), np.full(200, -1.0)])
    down, up = (flown(d, muons(positions * m, directions * m, 2.0)) for d, m in ((portal, 1.0), (beam, mirror)))
    assert (down.crossed == up.crossed).all()
    assert 0.3 < down.crossed.mean() < 0.95
    for side in ("before", "after"):
        for name, sign in (("position", mirror), ("direction", mirror), ("momentum", 1.0)):
            a, b = (getattr(getattr(legs, side), name) for legs in (down, up))
            assert np.abs(a * sign - b).max() < 1e-9
    # Scattered as well: the same dice make the same angle in a first plane.
    rolled = dice_of(portal, 200)
    down, up = (
        flown(d, muons(positions * m, directions * m, 2.0), 1.0, rolled, Physics())
        for d, m in ((portal, 1.0), (beam, mirror))
    )
    both = down.crossed[:, 0] & up.crossed[:, 0]
    cosines = [np.sum(legs.before.direction[:, 0] * legs.after.direction[:, 0], -1)[both] for legs in (down, up)]
    assert both.sum() > 100
    assert np.abs(cosines[0] - cosines[1]).max() < 1e-12


def test_a_source_inside():
    planes = [plane(str(z), float(z)) for z in (0, 100, 200)]
    for z, met in ((100.0, [False, True, True]), (101.0, [False, False, True]), (300.0, [False] * 3)):
        legs = flown(line(*planes), muons([0.0, 0.0, z], [0.1, 0.0, 1.0], 1.0))
        assert legs.crossed[0].tolist() == met
        assert legs.after.position[0, -1, 2] == max(z, 200.0)  # not flown back


# -- matter on the way ------------------------------------------------------------------------------------------------------

IRON, LEAD = material("iron"), material("lead")
SANDWICH = (
    plane("front", 0.0, material=IRON, thickness=1.0),
    Slab(name="first", material=IRON, z=(0.0, 100.0), slices=2),
    plane("between", 100.0),
    Slab(name="second", material=LEAD, z=(100.0, 150.0), slices=2),
    plane("behind", 150.0),
    plane("last", 400.0, material=LEAD, thickness=2.0),
)
QUIET = Physics(tails=False)


def by_name(detector, legs, what):
    """A quantity of legs by the names of the stops."""
    names = stops(as_arrays(detector)).names
    return {name: what(legs)[..., i] for i, name in enumerate(names)}


def test_planes_between_touching_slabs():
    detector = line(*SANDWICH)
    legs = flown(detector, muons([0.0, 0.0, -10.0], [0.1, 0.0, 1.0], 1.0))
    before, after = (by_name(detector, legs, lambda x, s=s: getattr(x, s).momentum[0]) for s in ("before", "after"))
    assert before["front"] == 1.0
    assert before["first 0"] == after["front"] < 1.0
    assert after["first 0"] == before["first 1"]
    assert after["first 1"] == before["between"] == after["between"] == before["second 0"]
    assert after["second 1"] == before["behind"] == before["last"] > after["last"]
    assert sorted(before.values(), reverse=True) == [before[n] for n in stops(as_arrays(detector)).names]


def test_order_in_the_file_and_removed_elements():
    start = muons(np.array([[0.0, 0.0, -10.0]] * 64), [0.1, 0.05, 1.0], 2.0)

    def seen(*elements):
        detector = line(*elements)
        legs = jax.jit(lambda d, m: beam_flight(stops(d), m, jnp.ones(64), Physics(), jax.random.key(1)))(
            as_arrays(detector), start
        )
        legs = jax.tree.map(np.asarray, legs)
        states = by_name(detector, legs, lambda x: np.moveaxis(x.after.position, 1, -1))
        angle = np.sum(legs.before.direction * legs.after.direction, -1)
        return states, by_name(detector, legs, lambda _: angle)

    states, angles = seen(*SANDWICH)
    other, _ = seen(*SANDWICH[::-1])
    assert all((states[name] == other[name]).all() for name in states)
    without, fewer = seen(*SANDWICH[:1], *SANDWICH[2:])
    # What comes before is untouched; what comes later has its own dice, at another momentum.
    assert (without["front"] == states["front"]).all()
    for name in ("second 0", "last"):
        size = [np.sqrt(2 * (1 - a[name])) for a in (angles, fewer)]
        assert np.corrcoef(*size)[0, 1] > 0.99, name


def test_a_slab_beside_the_muon():
    small = Slab(name="small", material=LEAD, z=(10.0, 110.0), span=(100.0, 100.0), slices=2)
    detector = line(small, plane("end", 200.0))
    legs = flown(
        detector, muons([[60.0, 0.0, 0.0], [40.0, 0.0, 0.0]], [0.0, 0.0, 1.0], 3.0), 1.0, dice_of(detector, 2), QUIET
    )
    assert legs.crossed.tolist() == [[False, False, True], [True, True, True]]
    assert np.abs(legs.after.momentum[0] - 3.0).max() < 1e-14
    assert legs.local[0, 2].tolist() == [60.0, 0.0]
    assert legs.after.momentum[1, 1] < 2.95


def test_slabs_that_touch_are_one_body():
    """Highland has one logarithm for all, of whatever material; a gap makes two."""
    p = 5.0

    def width(gap):
        elements = (
            Slab(name="a", material=IRON, z=(0.0, 30.0), slices=3),
            Slab(name="b", material=LEAD, z=(30.0 + gap, 50.0 + gap), slices=2),
        )
        detector = line(*elements)
        rolled = Dice(np.zeros((5, 5, 5)), np.zeros((5, 5, 5)))
        rolled.normal[np.arange(5), np.arange(5), 0] = 1.0  # each muon is kicked in one slice, by a standard deviation
        physics = Physics(tails=False, energy_loss=False)
        legs = flown(detector, muons(np.array([[0.0, 0.0, -1.0]] * 5), [0.0, 0.0, 1.0], p), 1.0, rolled, physics)
        return np.arcsin(legs.after.direction[:, -1, 0])

    def highland(x):
        beta2 = p**2 / (p**2 + 0.1056583755**2)
        return 13.6e-3 / p / beta2**0.5 * np.sqrt(x) * (1 + 0.038 * np.log(x / beta2))

    a, b = 30.0 / IRON.X0, 20.0 / LEAD.X0
    for gap in (0.0, 1e-4):
        assert np.sqrt(np.sum(width(gap) ** 2)) == pytest.approx(highland(a + b), rel=1e-9)
    two = width(0.1)
    assert np.sqrt(np.sum(two[:3] ** 2)) == pytest.approx(highland(a), rel=1e-9)
    assert np.sqrt(np.sum(two[3:] ** 2)) == pytest.approx(highland(b), rel=1e-9)
    assert highland(a + b) > 1.01 * np.hypot(highland(a), highland(b))


def test_oblique_muons_in_magnetised_iron():
    """Without losses a slab in a field only bends: however it is cut, on the same circle."""
    physics = Physics(energy_loss=False, straggling=False)
    for slope in (0.0, 1.2, -1.2):
        start = muons([0.0, 0.0, -1.0], [slope, 0.3, 1.0], 1.5)
        iron = Slab(name="iron", material=IRON, z=(0.0, 400.0), slices=4)
        legs = flown(line(iron, field=Dipole(B=1.5, z=(-1.0, 401.0))), start, -1.0, None, physics)
        point, unit = circle(start.position[0], start.direction[0], 1.5, -1.0, 1.5, "y", 400.0)
        assert np.abs(legs.after.position[0, 3] - point).max() < 1e-9
        assert np.abs(legs.after.direction[0, 3] - unit).max() < 1e-12


# -- gradients -----------------------------------------------------------------------------------------------------------


def hall(B, tilt, centre):
    """Planes, tilted panels in a drift and in the field, a magnet, and a body."""
    return line(
        plane("a", 0.0, EDGE["span"], x_over_X0=0.01),
        Panel(name="b", z=300.0, span=(500.0, 500.0), tilt=tilt, centre=centre, x_over_X0=0.02),
        Panel(name="c", z=600.0, span=(500.0, 500.0), tilt=(-tilt[1], tilt[0]), centre=centre, x_over_X0=0.02),
        Slab(name="s", material=IRON, z=(900.0, 940.0), slices=2),
        plane("d", 1200.0, (2e3, 2e3)),
        field=Dipole(B=B, z=(400.0, 800.0)),
    )


HALL = hall(0.8, (0.3, -0.2), (15.0, -8.0)), hall(0.0, (0.0, 0.0), (0.0, 0.0)), hall(0.0, (0.4, 0.1), (0.0, 3.0))
# Parallel to the axis, oblique, on the edge of the first plane, slow and steep.
ROWS = np.array([[0, 0, 0, 0, 10], [5, 3, 0.1, -0.2, 1], [100, 0, 0, 0, 5], [-100, 50, 0, 0, 2], [1, 0, 0.3, 0.3, 0.6]])


def awkward(dtype=np.float64):
    rows = np.concatenate([ROWS, ROWS]).astype(float)
    start = muons(
        np.column_stack([rows[:, :2], np.full(len(rows), -10.0)]),
        np.column_stack([rows[:, 2:4], np.ones(len(rows))]),
        rows[:, 4:],
        dtype,
    )
    return start, np.repeat([1.0, -1.0], len(ROWS)).astype(dtype)


@lru_cache
def derivative(backwards):
    physics = Physics(tails=not backwards)  # matter has a test of its own, and tails take long to compile

    def local(numbers, muon, charge, rolled):
        design, momentum = numbers
        return fly(stops(design), muon._replace(momentum=momentum), charge, rolled, physics).local[:6]

    jac = jax.jacrev if backwards else jax.jacfwd

    def all_of(design, muon, charge, rolled):
        return jac(local)((design, muon.momentum), muon, charge, rolled)

    # Compiling takes longest: without LLVM's optimisation it takes half.
    options = {"xla_backend_optimization_level": 0}
    return jax.jit(jax.vmap(all_of, (None, 0, 0, 0)), compiler_options=options)


def test_gradients_are_those_of_the_simulation():
    start, charge = awkward()
    worst = 0.0
    for detector in HALL:
        design, rolled = as_arrays(detector), dice_of(detector, len(charge), 2)
        by_design, by_momentum = derivative(False)(design, start, charge, rolled)
        numbers, build = jax.tree.flatten((design, start.momentum))
        for i, slope in enumerate(jax.tree.leaves((by_design, by_momentum))):
            legs = []
            for h in (1e-5, -1e-5):
                changed, momentum = build.unflatten([*numbers[:i], numbers[i] + h, *numbers[i + 1 :]])
                legs.append(
                    _compiled(Physics(), np.float64)(changed, start._replace(momentum=momentum), charge, rolled)
                )
            same = np.all(np.asarray(legs[0].crossed) == np.asarray(legs[1].crossed), axis=1)
            difference = np.asarray(legs[0].local - legs[1].local)[:, :6] / 2e-5
            assert np.isfinite(slope).all()
            error = np.abs(np.asarray(slope) - difference) / (1 + np.abs(difference))
            assert same.mean() > 0.5
            worst = max(worst, error[same].max())
    print(f"gradients against central differences: {worst:.1e}")
    assert worst < 1e-5


def test_no_gradient_is_nan():
    """Backwards and in single precision; with muons that turn back."""
    start, charge = awkward(np.float32)
    slow = np.where(np.arange(len(charge)) % 5 == 0, 0.08, start.momentum).astype(np.float32)
    for detector in HALL:
        rolled = dice_of(detector, len(charge), 2, np.float32)
        slopes = derivative(True)(as_arrays(detector, np.float32), start._replace(momentum=slow), charge, rolled)
        for slope in jax.tree.leaves(slopes):
            assert slope.dtype == np.float32
            assert np.isfinite(slope).all()


def test_single_precision():
    """Positions are in the laboratory: at 4 m float32 has 2e-4 mm to a direction, half a per cent of 50 um."""
    planes = [plane(f"p{i}", z, x_over_X0=0.005) for i, z in enumerate((0.0, 500.0, 1000.0, 3000.0, 3500.0, 4000.0))]
    detector = line(*planes, field=Dipole(B=1.0, z=(1500.0, 2500.0)))
    rng, n = np.random.default_rng(0), 500
    start = muons(
        np.column_stack([rng.uniform(-50, 50, (n, 2)), np.full(n, -10.0)]).astype(np.float32),
        np.column_stack([rng.normal(0, 0.02, (n, 2)), np.ones(n)]),
        np.exp(rng.uniform(0, 3, n)).astype(np.float32),
        np.float32,
    )
    hits = []
    for dtype in (np.float32, np.float64):
        muon = Muon(*(x.astype(dtype) for x in start[:3]), start.alive)
        hits.append(
            flown(
                detector,
                muon,
                1.0,
                dice_of(detector, n, 1, np.float32 if dtype == np.float32 else dtype),
                Physics(),
                dtype,
            ).local[:, :6]
        )
    off = np.abs(hits[0] - hits[1]) / 0.05
    print(
        f"float32, in units of 50 um: median {np.median(off):.1e}, "
        f"99 % below {np.quantile(off, 0.99):.1e}, worst {off.max():.1e}"
    )
    assert hits[0].dtype == np.float32
    assert np.quantile(off, 0.99) < 0.02
