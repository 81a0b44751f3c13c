"""True paths against helices that are followed step by step, with roots found by bisection (Brent)."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from detopt.backend import jax, jnp
from detopt.detector.surfaces import Surfaces
from detopt.events import Deviation
from detopt.simulation.helix import Path, helix
from detopt.simulation.matter import Dice
from detopt.simulation.physics import Physics
from detopt.simulation.scattering import beta, highland
from detopt.simulation.transport import transport

MUON = 0.1056583755
RADII = (20.0, 23.0, 40.0, 200.0, 400.0)
DISKS = (150.0, -120.0, 310.0)
N = len(RADII) + len(DISKS)
LAYERS = Surfaces(
    names=tuple("ABCDEFGH"),
    cylinder=(True,) * len(RADII) + (False,) * len(DISKS),
    position=jnp.asarray(RADII + DISKS),
    low=jnp.asarray((-600.0,) * len(RADII) + (15.0,) * len(DISKS)),
    high=jnp.asarray((600.0,) * len(RADII) + (380.0,) * len(DISKS)),
    x_over_X0=jnp.asarray((0.002, 0.004, 0.0, 0.008, 0.01, 0.005, 0.006, 0.007)),
    weight=jnp.ones((N, 2)),
    efficiency=jnp.ones(N),
    measured=((True, True),) * N,
)
ROWS = 80  # particles in a batch: everything here is compiled once


def moved(layers, path, start, momentum, normals):
    rolled = Dice(jnp.pad(normals, ((0, 0), (0, 3))), jnp.zeros((len(normals), 5)))
    flight = transport(layers, path, start, momentum, rolled, Physics(tails=False))
    return flight.moved, flight.crossed


def pull(layers, path, start, momentum, normals, cotangent):
    """Hits, what is crossed, and the derivative of (hits x cotangent) to all else."""
    where, back, crossed = jax.vjp(moved, layers, path, start, momentum, normals, has_aux=True)
    return where, crossed, back(cotangent)


# Compiling takes longest: without LLVM's optimisation it takes half.
compiled = jax.jit(jax.vmap(pull, (None, 0, 0, 0, 0, 0)), compiler_options={"xla_backend_optimization_level": 0})


def many(path, start, momentum, normals, cotangent=None):
    """`pull` of up to ROWS particles, as NumPy arrays."""
    n = len(momentum)
    cotangent = np.ones((n, N, 2)) if cotangent is None else cotangent
    rows = jax.tree.map(
        lambda x: np.asarray(x)[np.resize(np.arange(n), ROWS)], (path, start, momentum, normals, cotangent)
    )
    return jax.tree.map(lambda x: np.asarray(x)[:n], compiled(LAYERS, *rows))


class Line:
    """A helix from a point on; the transverse direction is (cos psi, sin psi)."""

    def __init__(self, point, psi, kappa, cot):
        self.point, self.psi, self.kappa, self.cot = np.asarray(point, float), psi, kappa, cot

    def at(self, s):
        """The point after a transverse arc length."""
        a = self.kappa * s / 2
        chord = s * np.sinc(a / np.pi)
        step = [chord * math.cos(self.psi + a), chord * math.sin(self.psi + a), s * self.cot]
        return self.point + step

    def direction(self, s):
        psi = self.psi + self.kappa * s
        return np.array([math.cos(psi), math.sin(psi), self.cot]) / math.hypot(1, self.cot)

    def farthest(self, radius):
        """Arc length up to which the distance from the beam grows."""
        if abs(self.kappa) * radius < 1e-3:
            return 10 * radius
        n = np.array([-math.sin(self.psi), math.cos(self.psi)])
        centre = self.point[:2] + n / self.kappa
        away = self.point[:2] - centre
        turn = math.atan2(away[0] * centre[1] - away[1] * centre[0], away @ centre)
        return (turn * np.sign(self.kappa)) % (2 * np.pi) / abs(self.kappa)

    def meets(self, cylinder, position):
        """Arc length to a surface, or None."""
        if not cylinder:
            s = (position - self.point[2]) / self.cot if self.cot else -1.0
            return s if 0 < s < np.pi / max(abs(self.kappa), 1e-300) else None
        last = self.farthest(position)

        def beyond(s):
            return math.hypot(*self.at(s)[:2]) - position

        return brentq(beyond, 0.0, last, xtol=1e-14, rtol=9e-16) if beyond(0) < 0 < beyond(last) else None


def follow(kappa, cot, start, momentum, normals):
    """Azimuth, z and radius on each surface that is crossed; NaN on others."""
    line = Line(
        [-start.d0 * math.sin(start.phi), start.d0 * math.cos(start.phi), start.z0],
        start.phi,
        kappa + start.kappa,
        cot + start.cot_theta,
    )
    positions, low, high = (np.asarray(x) for x in (LAYERS.position, LAYERS.low, LAYERS.high))
    out, left = np.full((N, 3), np.nan), set(range(N))
    while True:
        ahead = {i: s for i in left if (s := line.meets(LAYERS.cylinder[i], positions[i])) is not None}
        if not ahead:
            return out
        i = min(ahead, key=ahead.get)
        left -= {i}
        s = ahead[i]
        point, t = line.at(s), line.direction(s)
        radius = math.hypot(*point[:2])
        if not low[i] <= (point[2] if LAYERS.cylinder[i] else radius) <= high[i]:
            continue
        out[i] = math.atan2(point[1], point[0]), point[2], radius
        # Turned about the point by two angles, in the bending plane and towards larger z.
        normal = np.array([*point[:2], 0]) / radius if LAYERS.cylinder[i] else np.array([0, 0, 1.0])
        thickness = float(LAYERS.x_over_X0[i]) / abs(t @ normal)
        velocity = momentum / math.hypot(momentum, MUON)
        width = 0.0
        if thickness:
            log = math.log(thickness / velocity**2)
            width = 13.6e-3 / (velocity * momentum) * math.sqrt(thickness) * (1 + 0.038 * log)
        sine = math.hypot(*t[:2])
        e1, e2 = np.array([-t[1], t[0], 0]) / sine, np.array([-t[0] * t[2] / sine, -t[1] * t[2] / sine, sine])
        t = t + width * (normals[i, 0] * e1 + normals[i, 1] * e2)
        t /= np.linalg.norm(t)
        new_sine = math.hypot(*t[:2])
        line = Line(point, math.atan2(t[1], t[0]), line.kappa * sine / new_sine, t[2] / new_sine)


def differences(path, start, momentum, normals):
    """What `transport` is to return, by brute force."""
    moved, crossed = np.zeros((N, 2)), np.zeros(N, bool)
    own = follow(path.kappa, path.cot_theta, start, momentum, normals)
    alone = follow(path.kappa, path.cot_theta, Deviation(0.0, 0.0, 0.0, 0.0, 0.0), momentum, np.zeros((N, 2)))
    crossed = ~np.isnan(own[:, 0])
    azimuth = (own[:, 0] - alone[:, 0] + np.pi) % (2 * np.pi) - np.pi
    moved[:, 0] = alone[:, 2] * azimuth
    moved[:, 1] = np.where(LAYERS.cylinder, own[:, 1] - alone[:, 1], own[:, 2] - alone[:, 2])
    return crossed, np.where(crossed[:, None], moved, 0.0)


def particles(kicked):
    """Both signs of curvature, no field, hardly any; barrel and disks; displaced to the left and to the right."""
    rng = np.random.default_rng(5)
    rows = [
        (k, c) for k in (3e-4, -3e-4, 1.2e-3, -1.2e-3, 1e-5, 0.0, 1e-13, -1e-7) for c in (0.0, 0.5, 1.6, -1.3, -5.0)
    ]
    kappa, cot = np.array(rows).T
    size = (2.0, 0.02, 1e-6, 3.0, 0.01)
    start = Deviation(*(s * rng.uniform(-1, 1, len(kappa)) for s in size))
    start = start._replace(kappa=np.where(kappa == 0, 0.0, start.kappa * np.abs(kappa) / 1e-4))
    momentum = np.exp(rng.uniform(math.log(0.3), math.log(20), len(kappa)))
    return Path(kappa, cot), start, momentum, kicked * rng.normal(size=(len(kappa), N, 2))


@pytest.mark.parametrize("kicked", [0.0, 1.0])
def test_a_displaced_helix(kicked):
    """To 1e-10 mm, undisturbed and with scattering in every surface."""
    path, start, momentum, normals = particles(kicked)
    where, crossed, _ = many(path, start, momentum, normals)
    worst = 0.0
    for i in range(len(momentum)):
        row = [jax.tree.map(lambda x, i=i: float(x[i]), part) for part in (path, start, momentum)]
        truly, truth = differences(*row, normals[i])
        assert crossed[i].tolist() == truly.tolist(), row
        worst = max(worst, np.abs(np.where(truly[:, None], where[i] - truth, 0.0)).max())
    print(f"worst {worst:.1e} mm, {crossed.sum()} crossings, up to {np.abs(where[crossed]).max():.1f} mm")
    assert crossed.sum(0).min() >= 5
    assert np.abs(where[crossed]).max() > 2
    assert worst < 1e-10


def test_first_order_of_the_kicks():
    """The derivative of each hit to each kick is the helix's Jacobian of the hits times that of the kicks."""
    worst = 0.0
    path, _, momentum, _ = particles(0.0)
    chosen = np.arange(len(momentum)).reshape(-1, 5)[[0, 3, 5]]  # of either curvature, and none

    @jax.jit
    @jax.vmap
    def jacobians(path, momentum):
        crossings = helix(LAYERS, *path)
        return crossings, highland(LAYERS.x_over_X0 * crossings.obliquity, momentum, beta(momentum))

    for five in chosen:
        own, p = Path(*(x[five] for x in path)), momentum[five]
        repeated = jax.tree.map(lambda x: np.repeat(x, 2 * N, axis=0), (own, p))
        nothing = Deviation(*(np.zeros(10 * N),) * 5)
        unit = np.tile(np.eye(2 * N).reshape(-1, N, 2), (5, 1, 1))
        _, _, slopes = many(repeated[0], nothing, repeated[1], np.zeros((10 * N, N, 2)), unit)
        crossings, width = jax.tree.map(np.asarray, jacobians(own, p))
        slope = slopes[4].reshape(5, N, 2, N, 2) * crossings.crossed[:, :, None, None, None]
        product = np.einsum("tiap,tjpb->tiajb", crossings.hit, crossings.kick * width[:, :, None, None])
        later = crossings.path[:, :, None] > crossings.path[:, None, :]
        product = product * later[:, :, None, :, None]
        assert np.abs(product).max() > 0.1
        worst = max(worst, np.abs(slope - product).max())
    print(f"worst {worst:.1e} mm a standard deviation")
    assert worst < 1e-10


STRANGE = {  # kappa, cot theta, start
    "curls inside the third layer": (0.06, 0.3, (0.1, 0.01, 0.0, 0.0, 0.0)),
    "curls inside the first layer": (0.5, 0.0, (0.1, 0.01, 0.0, 0.0, 0.0)),
    "turns back exactly on a layer": (2 / 40.0, 0.0, (0.0, 0.0, 0.0, 0.0, 0.0)),
    "turns back on a layer but for rounding": (np.nextafter(2 / 40.0, 0), 0.2, (0.0, 0.0, 0.0, 0.0, 0.0)),
    "starts outside of the first layers": (1e-3, 0.5, (30.0, 0.0, 0.0, 0.0, 0.0)),
    "starts on a layer": (1e-3, 0.5, (20.0, 0.0, 0.0, 0.0, 0.0)),
    "along the axis": (1e-3, 1e9, (0.1, 0.01, 0.0, 0.0, 0.0)),
    "1e-3 rad from the axis": (0.3, 1e3, (0.1, 0.01, 0.0, 0.0, 0.0)),
    "backwards along the axis": (0.0, -1e9, (0.0, 0.0, 0.0, 0.0, 0.0)),
    "the cylinder's very end": (0.0, 600.0 / 23.0, (0.0, 0.0, 0.0, 0.0, 0.0)),
    "the disk's very edge": (0.0, 150.0 / 15.0, (0.0, 0.0, 0.0, 0.0, 0.0)),
    "the centre of its circle on the beam": (0.05, 0.1, (-20.0, 0.0, 0.0, 0.0, 0.0)),
    "nothing at all": (0.0, 0.0, (0.0, 0.0, 0.0, 0.0, 0.0)),
    "born at a disk": (1e-4, 0.5, (0.0, 0.0, 0.0, 150.0, 0.0)),
    "turned round by its start": (1e-4, 0.2, (0.0, 0.0, -2e-4, 0.0, -0.4)),
}


def test_paths_that_end_or_graze():
    """Values and gradients to everything are finite; what is reached is what should be."""
    kappa, cot, starts = zip(*STRANGE.values(), strict=True)
    path, start = Path(np.array(kappa), np.array(cot)), Deviation(*np.array(starts).T)
    normals = np.random.default_rng(0).normal(size=(2, len(cot), N, 2)) * np.array([0, 1])[:, None, None, None]
    for draws in normals:
        where, crossed, slopes = many(path, start, np.full(len(cot), 0.3), draws)
        assert np.isfinite(where).all()
        for slope in jax.tree.leaves(slopes):
            bad = ~np.isfinite(slope).reshape(len(cot), -1).all(1)
            assert not bad.any(), [name for name, b in zip(STRANGE, bad, strict=True) if b]
        met = dict(zip(STRANGE, crossed.tolist(), strict=True))
        assert met["curls inside the third layer"][:5] == [True, True, False, False, False]
        assert not any(met["curls inside the first layer"])
        assert met["starts outside of the first layers"][:2] == [False, False]
        assert not any(met["along the axis"])
        assert not any(met["backwards along the axis"])
    met = dict(zip(STRANGE, many(path, start, np.full(len(cot), 0.3), normals[0])[1].tolist(), strict=True))
    assert met["starts outside of the first layers"][2:5] == [True, True, True]
    assert met["turns back exactly on a layer"][:3] == [True, True, False]
    assert met["the cylinder's very end"][:3] == [True, True, False]
    assert met["the disk's very edge"][5]
    assert met["nothing at all"] == [True] * 5 + [False] * 3
    assert met["turned round by its start"][5:] == [False] * 3


def test_a_muon_that_reaches_a_disk_after_half_a_turn_has_a_derivative():
    """There it is as far out as it gets, and the arcsine of that is steep without end; in single precision some hit it."""
    small = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32) if x.dtype == float else x, LAYERS)
    rolled = Dice(*(jnp.zeros((N, 5), jnp.float32),) * 2)
    physics = Physics(tails=False, straggling=False)

    def moved(kappa, cot, steeper):
        start = Deviation(*(jnp.asarray(x, jnp.float32) for x in (0.0, 0.0, 0.0, 0.0, steeper)))
        return transport(small, Path(kappa, cot), start, jnp.float32(2.0), rolled, physics).moved

    # The reference within rounding of half a turn, the muon a little before it.
    kappas = np.float32(1e-4) * (1 + 1e-7 * np.arange(16, dtype=np.float32))
    cots = np.float32(1e-4 * DISKS[2] / math.pi) * (1 + 6e-8 * np.arange(-64, 64, dtype=np.float32))
    grid = np.meshgrid(kappas, cots, np.float32([1e-6, 1e-5, 1e-4]))
    kappa, cot, steeper = (jnp.asarray(x.ravel(), jnp.float32) for x in grid)

    def slope(kappa, cot, steeper):
        return jax.jvp(lambda k: moved(k, cot, steeper), (kappa,), (jnp.ones_like(kappa),))[1]

    assert np.isfinite(jax.jit(jax.vmap(slope))(kappa, cot, steeper)).all()
