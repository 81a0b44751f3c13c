"""What must hold for any barrel: a positive covariance; hits never hurt, material never helps; lengths scale."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detopt.detector.detector import Detector, Solenoid
from detopt.detector.elements import BarrelLayer, Disk

from .tracks import ALL, STRAIGHT, covariances

# The same barrels on every run.
any_barrel = settings(max_examples=40, deadline=None, derandomize=True, database=None)

layers = st.builds(
    lambda radius, x_over_X0, rphi, z, sensitive: BarrelLayer(
        name="layer",
        radius=radius,
        half_length=1e4,
        x_over_X0=x_over_X0,
        resolution=(rphi, z) if sensitive else None,
    ),
    radius=st.floats(15.0, 1200.0),
    x_over_X0=st.one_of(st.just(0.0), st.floats(1e-4, 0.05)),
    rphi=st.floats(0.003, 0.2),
    z=st.floats(0.003, 2.0),
    sensitive=st.booleans(),
)


@st.composite
def barrels(draw):
    """Up to twelve random layers, with four apart from each other that measure, so that there is a track."""
    backbone = tuple(
        BarrelLayer(
            name="backbone",
            radius=r * draw(st.floats(0.9, 1.1)),
            half_length=1e4,
            x_over_X0=0.01,
            resolution=(0.02, 0.1),
        )
        for r in (60.0, 200.0, 500.0, 1000.0)
    )
    elements = backbone + tuple(draw(st.lists(layers, max_size=8)))
    order = draw(st.permutations(range(len(elements))))
    return Detector(
        name="random",
        frame="barrel",
        elements=tuple(replace(elements[i], name=f"L{i}") for i in order),
        field=Solenoid(B=draw(st.floats(0.2, 3.0))),
    )


# Away from the momenta at which a track turns round before it reaches the last layer.
momenta = st.floats(2.0, 100.0)
degrees = st.floats(30.0, 150.0)


def sigma(covariance):
    return np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))


@any_barrel
@given(barrels(), momenta, degrees)
def test_covariance_is_symmetric_and_positive(detector, momentum, theta):
    covariance = covariances(detector, momentum, theta)[0]
    width = sigma(covariance)
    correlation = covariance / np.outer(width, width)
    np.testing.assert_allclose(correlation, correlation.T, atol=1e-9)
    assert np.linalg.eigvalsh(correlation).min() > 0


@any_barrel
@given(barrels(), layers, momenta, degrees)
def test_a_layer_without_material_never_hurts(detector, layer, momentum, theta):
    more = replace(detector, elements=(*detector.elements, replace(layer, name="more", x_over_X0=0.0)))
    before, after = (sigma(covariances(d, momentum, theta)[0]) for d in (detector, more))
    assert (after <= before * (1 + 1e-8)).all()


@any_barrel
@given(barrels(), st.integers(0, 11), st.floats(1.01, 20.0), momenta, degrees)
def test_material_never_helps(detector, which, factor, momentum, theta):
    elements = list(detector.elements)
    which %= len(elements)
    elements[which] = replace(elements[which], x_over_X0=factor * (elements[which].x_over_X0 + 1e-3))
    before, after = (
        sigma(covariances(d, momentum, theta)[0]) for d in (detector, replace(detector, elements=tuple(elements)))
    )
    assert (after >= before * (1 - 1e-8)).all()


@any_barrel
@given(barrels(), st.randoms(use_true_random=False), momenta, degrees)
def test_the_order_of_the_list_means_nothing(detector, random, momentum, theta):
    shuffled = list(detector.elements)
    random.shuffle(shuffled)
    once, again = (covariances(d, momentum, theta)[0] for d in (detector, replace(detector, elements=tuple(shuffled))))
    np.testing.assert_allclose(
        again / np.outer(sigma(once), sigma(once)), once / np.outer(sigma(once), sigma(once)), atol=1e-8
    )


@any_barrel
@given(barrels(), st.floats(0.1, 10.0), momenta, degrees)
def test_all_lengths_may_be_scaled(detector, k, momentum, theta):
    """R -> kR, resolution -> k resolution, B -> B/k: pT and the angles as before, d0 and z0 k times as wide."""

    def scaled(layer):
        resolution = None if layer.resolution is None else tuple(k * r for r in layer.resolution)
        return replace(layer, radius=k * layer.radius, half_length=k * layer.half_length, resolution=resolution)

    larger = replace(detector, elements=tuple(map(scaled, detector.elements)), field=Solenoid(B=detector.field.B / k))
    before, after = (sigma(covariances(d, momentum, theta)[0]) for d in (detector, larger))
    np.testing.assert_allclose(after / before, [k, 1, 1 / k, k, 1], rtol=1e-8)


@any_barrel
@given(barrels(), momenta, degrees)
def test_charge_and_mirror(detector, momentum, theta):
    """The other charge, and the other side of the detector, are measured alike."""
    before = sigma(covariances(detector, momentum, theta)[0])
    other = replace(detector, field=Solenoid(B=-detector.field.B))
    np.testing.assert_allclose(sigma(covariances(other, momentum, theta)[0]), before, rtol=1e-8)
    np.testing.assert_allclose(sigma(covariances(detector, momentum, 180 - theta)[0]), before, rtol=1e-8)


def disk(z):
    return Disk(name=f"D{z}", z=z, inner_radius=5.0, outer_radius=2000.0, x_over_X0=0.01, resolution=(0.01, 0.03))


def test_mirrored_disks():
    forward, backward = (
        Detector(
            name="side",
            frame="barrel",
            elements=tuple(disk(s * z) for z in (100.0, 300.0, 700.0, 1200.0)),
            field=Solenoid(B=1.0),
        )
        for s in (1, -1)
    )
    once, again = covariances(forward, [1.0, 10.0], 20.0), covariances(backward, [1.0, 10.0], 160.0)
    np.testing.assert_allclose(sigma(again), sigma(once), rtol=1e-9)


def test_no_hits_behind_the_end_of_a_layer():
    """A layer that the track passes outside of is as good as absent; its mere edge decides."""
    radii = (30.0, 100.0, 300.0, 600.0)
    elements = tuple(
        BarrelLayer(name=f"L{r}", radius=r, half_length=1e4, x_over_X0=0.01, resolution=(0.01, 0.1)) for r in radii
    )
    detector = Detector(name="all", frame="barrel", elements=elements, field=Solenoid(B=1e-9))
    z = 300.0 / np.tan(np.deg2rad(50.0))

    def ending(half_length):
        return replace(detector, elements=(*elements[:2], replace(elements[2], half_length=half_length), elements[3]))

    absent = replace(detector, elements=(*elements[:2], elements[3]))
    whole, inside, outside, without = (
        covariances(d, 1.0, 50.0)[0] for d in (detector, ending(z + 1e-3), ending(z - 1e-3), absent)
    )
    np.testing.assert_array_equal(inside, whole)
    np.testing.assert_allclose(outside, without, rtol=1e-8)
    assert not np.allclose(inside, outside, rtol=1e-2, atol=0)


@pytest.mark.parametrize("theta", [90.0, 40.0])
def test_weak_field_and_no_field_agree_on_what_both_measure(theta):
    """Where curvature is not fitted, the rest is known better; a field that bends nothing does not change that."""
    radii = (30.0, 100.0, 300.0, 600.0)
    elements = tuple(
        BarrelLayer(name=f"L{r}", radius=r, half_length=1e4, x_over_X0=0.01, resolution=(0.01, 0.1)) for r in radii
    )
    weak = Detector(name="weak", frame="barrel", elements=elements, field=Solenoid(B=1e-7))
    straight = covariances(replace(weak, field=None), 1.0, theta, STRAIGHT)[0]
    size = np.outer(sigma(straight), sigma(straight))
    np.testing.assert_allclose(covariances(weak, 1.0, theta, STRAIGHT)[0] / size, straight / size, atol=1e-6)
    assert (sigma(covariances(weak, 1.0, theta, ALL)[0])[:2] > sigma(straight)[:2] * 1.01).all()
