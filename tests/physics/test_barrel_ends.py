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
from detopt.simulation.barrel_ends import ends_of, onto_end, straight_to
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
    landing = onto_end(room, begin, COSINES, size)
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
