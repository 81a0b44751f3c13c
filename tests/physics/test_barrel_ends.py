"""Muons on the ends of cylinders and disks: they stand there, and as many as a longer surface would gain."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import pytest
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.elements import BarrelLayer, Disk
from detopt.detector.magnets import Solenoid
from detopt.detector.surfaces import as_arrays, surfaces
from detopt.simulation.barrel_ends import ends_of, onto_end, reach, straight_to
from detopt.simulation.generate import born, draw_births
from detopt.simulation.physics import Physics
from detopt.simulation.simulate import barrel_flight, roll
from detopt.simulation.source import Gun

MUONS = 200
SOURCE = Gun(momentum=(0.4, 5.0), theta=(0.2, 2.4))
COSINES = np.tile([math.cos(0.2), math.cos(2.4)], (MUONS, 1))


def short(B, x_over_X0):
    """Layers that end within reach of the source, outer ones first, and a disk with a hole."""
    rest = {"pitch": (0.05, 0.05), "x_over_X0": x_over_X0}
    sizes = ((40.0, 64.0), (90.0, 126.0), (200.0, 240.0))
    layers = [BarrelLayer(name=f"L{i}", radius=r, half_length=z, **rest) for i, (r, z) in enumerate(sizes)]
    disk = Disk(name="D", z=300.0, inner_radius=70.0, outer_radius=280.0, **rest)
    field = Solenoid(B=B) if B else None
    return as_arrays(Detector(name="short", frame="barrel", field=field, elements=(*layers, disk)))


class Landed(NamedTuple):
    """Muons that are put onto one end."""

    weight: Float[Array, " muons"]
    number: Float[Array, " muons"]  # that their angle comes from
    room: Float[Array, " muons"]  # how far inside they are, in mm
    slope: Float[Array, " muons"]  # of that with the number, by a difference


def rooms_of(design, surface, upper):
    """A function of the numbers that angles come from."""
    key, field = jax.random.key(0), None if design.field is None else design.field.B
    rolled = roll(surfaces(design), key, MUONS, Physics(tails=False))
    numbers = draw_births(key, (MUONS, 1), jnp.float64)

    def room(u):
        particles = jax.tree.map(jnp.ravel, born(SOURCE, numbers._replace(angle=u[:, None]), field)[0])
        charge = jnp.full(MUONS, -1.0)
        flight = barrel_flight(design, surfaces(design), particles, charge, Physics(tails=False), rolled).flight
        return flight.room[:, surface, upper]

    return room


def momenta():
    """Of the muons, whatever their angles are."""
    return jnp.ravel(born(SOURCE, draw_births(jax.random.key(0), (MUONS, 1), jnp.float64), None)[0].momentum)


@jax.jit
def scan(design, numbers):
    """How far all muons are inside the upper end of L2, at each of some angles."""
    room = rooms_of(design, 2, 1)
    return jax.lax.map(lambda u: room(jnp.full(MUONS, u)), numbers)


@jax.jit
def landed(design, surface, upper):
    stacked = surfaces(design)
    room = rooms_of(design, surface, upper)
    begin = jnp.full(MUONS, straight_to(stacked)[surface, upper])
    size = jnp.full(MUONS, jnp.abs(stacked.position[surface]))
    field, ends = None if design.field is None else design.field.B, jnp.stack([stacked.low, stacked.high], -1)
    radius = jnp.where(jnp.asarray(stacked.cylinder)[surface], stacked.position[surface], ends[surface, upper])
    most = reach(field, momenta(), jnp.full(MUONS, radius))
    landing = onto_end(room, begin, COSINES, size, most, jax.random.key(1))
    u = landing.number
    rooms = jax.lax.map(room, jnp.stack([u, u + 1e-6, u - 1e-6]))
    return Landed(landing.weight, u, rooms[0], (rooms[1] - rooms[2]) / 2e-6)


CASES = {"straight": (0.0, 0.0), "field": (1.0, 0.0), "scattering in a field": (1.0, 0.05)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("surface", "upper"), [(0, 1), (2, 1), (2, 0), (3, 0), (3, 1)])
def test_they_stand_on_the_end(case, surface, upper):
    """Within a micrometre; and the weight is the density of muons there, by differences of where others would be."""
    found = Landed(*(np.asarray(x) for x in landed(short(*CASES[case]), surface, upper)))
    inside = (found.number >= 0) & (found.number <= 1)
    assert inside.mean() == (1 if upper == 1 or surface == 3 else 0)  # backwards the source does not reach so far
    good = found.weight > 0
    assert good.mean() >= 0.99 * inside.mean()
    assert np.abs(found.room[good]).max(initial=0) < 1e-3
    np.testing.assert_allclose(found.weight, np.where(inside, 1 / np.abs(found.slope), 0.0), rtol=1e-5)


def test_density_of_straight_lines():
    """cos(theta) is uniform: a cylinder of half length L gains r^2 / (L^2 + r^2)^(3/2) of it per mm."""
    found = landed(short(0.0, 0.0), 1, 1)
    length, radius = 126.0, 90.0
    gains = radius**2 / (length**2 + radius**2) ** 1.5 / abs(COSINES[0, 1] - COSINES[0, 0])
    np.testing.assert_allclose(found.weight, gains, rtol=1e-9)


def test_which_ends_there_are():
    """Nothing is beyond an inner radius of zero, and nothing of what plays no part is tried."""
    stacked = surfaces(short(1.0, 0.0))
    whole = stacked.__class__(**{**stacked.__dict__, "low": stacked.low.at[3].set(0.0)})
    ends = ends_of(whole, np.ones((4, 2)))
    assert list(zip(ends.surface.tolist(), ends.upper.tolist(), strict=True)) == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (3, 1),
    ]  # fmt: skip
    assert ends_of(stacked, np.zeros((4, 2))).surface.size == 0


def test_layers_that_end_together():
    """Muons that an inner layer scatters onto the end, and those that miss it: some stand there twice, some never.

    The sum of all is what a finely divided angle shows.
    """
    design = short(1.0, 0.05)
    sizes = {"L0": 48.0, "L1": 108.0}
    elements = [dataclasses.replace(e, half_length=jnp.asarray(sizes.get(e.name, 240.0))) for e in design.elements[:3]]
    design = dataclasses.replace(design, elements=(*elements, design.elements[3]))
    found = landed(design, 2, 1)
    fine = np.linspace(0.09, 0.16, 3501)
    rooms = np.asarray(scan(design, fine))  # (numbers, muons)
    roots = (np.sign(rooms[1:]) != np.sign(rooms[:-1])) & (np.abs(rooms[1:] - rooms[:-1]) < 0.1)
    expected = np.where(roots, 1 / np.abs((rooms[1:] - rooms[:-1]) / np.diff(fine)[:, None]), 0.0).sum(0)
    print(f"{expected.mean():.4e} expected, {np.mean(found.weight):.4e} found, {roots.sum(0).mean():.3f} roots")
    assert np.mean(roots.sum(0) != 1) > 0.03
    error = np.std(np.asarray(found.weight) - expected) / MUONS**0.5
    assert abs(np.mean(found.weight) - expected.mean()) < 3 * error + 1e-3 * expected.mean()


def curling(momentum, radius, B):
    """A barrel layer that muons of one momentum hardly reach, and how far inside its end they are, by cot(theta)."""
    kappa = 0.299792458e-3 * B / momentum

    def room(cot):
        half = kappa * jnp.sqrt(1 + cot**2) * radius / 2
        some = half < 1
        return jnp.where(some, 2.5 * radius - cot * radius * jnp.arcsin(jnp.where(some, half, 0.5)) / half, 1.0)

    return room


@pytest.mark.parametrize("momentum", [1.2, 1.3, 1.5, 1.7, 1.9, 5.0])
def test_muons_that_curl_up_at_the_angle_of_a_straight_line(momentum):
    """Their end is nearer: it is found all the same."""
    radius, B, width = 1100.0, 3.8, 2 * math.cos(math.radians(10))
    room = curling(momentum, radius, B)
    cosines = np.tile([-width / 2, width / 2], (MUONS, 1))

    def by_number(u):
        cosine = (u - 0.5) * width
        return room(cosine / jnp.sqrt(1 - cosine**2))

    begin, size = jnp.full(MUONS, 2.5), jnp.full(MUONS, radius)
    most = reach(jnp.asarray(B), jnp.full(MUONS, momentum), size)
    found = onto_end(by_number, begin, cosines, size, most, jax.random.key(0))
    u = np.linspace(0.5, 1, 2_000_001)[1:-1]
    values = np.asarray(by_number(jnp.asarray(u)))
    jumps = np.abs(np.diff(values)) > 1
    roots = np.flatnonzero((np.sign(values[1:]) != np.sign(values[:-1])) & ~jumps)
    expected = sum(np.diff(u)[i] / abs(values[i + 1] - values[i]) for i in roots)
    print(f"{momentum} GeV: {len(roots)} roots, {expected:.4e} expected, {np.mean(found.weight):.4e} found")
    error = np.std(np.asarray(found.weight)) / MUONS**0.5
    assert abs(np.mean(found.weight) - expected) < 4 * error + 2e-3 * expected


@pytest.mark.parametrize("half_width", [10.0, 1.0, 0.3, 0.1, 0.03])
def test_narrow_ranges_in_float32(half_width):
    """A muon that is found from both sides is one muon, however coarse its number is."""
    low, high = (math.cos(math.radians(60 + d)) for d in (half_width, -half_width))
    radius, at = jnp.linspace(199.0, 201.0, MUONS, dtype=jnp.float32), 200 / math.tan(math.radians(60))

    def room(u):
        cosine = low + u * (high - low)
        return at * radius / 200 - radius * cosine / jnp.sqrt(1 - cosine**2)

    cosines, begin = np.tile([low, high], (MUONS, 1)), jnp.full(MUONS, at / 200, jnp.float32)
    found = onto_end(room, begin, cosines, radius, jnp.full(MUONS, jnp.inf, jnp.float32), jax.random.key(0))
    exact = math.sin(math.radians(60)) ** 3 / 200 / (high - low)
    assert np.mean(found.weight) == pytest.approx(exact, rel=0.01)
