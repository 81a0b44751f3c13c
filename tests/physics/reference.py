"""Track covariance a second time, in NumPy and on purpose in another way.

A particle is a point, a unit direction and a curvature, and flies on a helix along its path in space; where it crosses
a surface is found by root finding. Derivatives of the hits are differences between trajectories that were really
displaced or really kicked, and the covariance is (A^T V^-1 A)^-1 with the full matrix V = R + L L^T.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

MUON_MASS = 0.1056583755


@dataclass(frozen=True)
class State:
    """A particle: where it is (mm), where it goes, and how fast it turns (rad per mm of path in space)."""

    point: np.ndarray
    direction: np.ndarray
    turn: float

    def after(self, path):
        """Points (..., 3) and directions (..., 3) after some path (mm) along the helix."""
        angle = self.turn * np.asarray(path, float)
        along = path * np.sinc(angle / np.pi)  # sin(a) / turn
        aside = path * np.sin(angle / 2) * np.sinc(angle / 2 / np.pi)  # (1 - cos(a)) / turn
        u, v, w = self.direction
        point = self.point + np.stack([along * u - aside * v, along * v + aside * u, path * w], -1)
        cosine, sine = np.cos(angle), np.sin(angle)
        return point, np.stack([cosine * u - sine * v, cosine * v + sine * u, w + 0 * angle], -1)


def start(parameters):
    """The state at the origin of a track (d0, phi, kappa, z0, cot theta)."""
    d0, phi, kappa, z0, cot = parameters
    sine = 1 / np.hypot(1, cot)  # of theta
    point = np.array([-d0 * np.sin(phi), d0 * np.cos(phi), z0])
    return State(point, np.array([np.cos(phi) * sine, np.sin(phi) * sine, cot * sine]), kappa * sine)


def _distance(surface, point):
    """Signed distance of points from a surface, and its gradient."""
    if surface.kind == "cylinder":
        r = np.hypot(point[..., 0], point[..., 1])
        return r - surface.position, np.stack([point[..., 0] / r, point[..., 1] / r, 0 * r], -1)
    return point[..., 2] - surface.position, np.zeros(np.shape(point)) + np.array([0.0, 0.0, 1.0])


def crossing(surface, state):
    """Path in mm to the first crossing within half a turn, None where there is none."""
    longest = np.pi / abs(state.turn) * (1 - 1e-12) if state.turn else 1e5
    if surface.kind != "cylinder" and abs(state.direction[2]) * longest < abs(surface.position):
        return None
    distance = lambda path: float(_distance(surface, state.after(path)[0])[0])  # noqa: E731
    near, far = 1e-9, min(longest, 1e5)
    if distance(near) * distance(far) > 0:
        return None
    path = brentq(distance, near, far, xtol=1e-12, rtol=1e-14)
    point = state.after(path)[0]
    along = point[2] if surface.kind == "cylinder" else np.hypot(point[0], point[1])
    return path if surface.low <= along <= surface.high else None


def hits(surfaces, state, paths, azimuths):
    """Measured coordinates (n, 2), r-phi and z or r, where a trajectory that passes near meets each surface."""
    position = np.array([s.position for s in surfaces])
    cylinder = np.array([s.kind == "cylinder" for s in surfaces])
    for _ in range(4):
        (x, y, z), (u, v, w) = (vector.T for vector in state.after(paths))
        r = np.hypot(x, y)
        paths = paths - np.where(
            cylinder, (r - position) * r / (x * u + y * v), (z - position) / np.where(cylinder, 1.0, w)
        )
    x, y, z = state.after(paths)[0].T
    turned = np.arctan2(y, x) - azimuths[:, 0]
    turned = np.arctan2(np.sin(turned), np.cos(turned))
    return np.stack([azimuths[:, 1] * turned, np.where(cylinder, z, np.hypot(x, y))], -1)


def _slope(function, step):
    """Derivative at 0 by differences of fourth order."""
    return (8 * (function(step) - function(-step)) - (function(2 * step) - function(-2 * step))) / (12 * step)


def highland(thickness, momentum):
    """PDG eq. 34.16 for a muon."""
    beta = momentum / np.hypot(momentum, MUON_MASS)
    if thickness == 0:
        return 0.0
    return 0.0136 / (beta * momentum) * np.sqrt(thickness) * (1 + 0.038 * np.log(thickness / beta**2))


@dataclass(frozen=True)
class Reference:
    """What the least squares found: names of the crossed surfaces in order, arc lengths, and the covariance."""

    crossed: tuple[str, ...]
    arc: np.ndarray
    covariance: np.ndarray


def reference(detector, momentum, theta, parameters=(0, 1, 2, 3, 4)):
    """Covariance of (d0, phi, kappa, z0, cot theta), or some of them, of a muon from the origin; theta in rad."""
    B = 0.0 if detector.field is None else detector.field.B
    nominal = np.array([0, 0, 0.299792458e-3 * B / (momentum * np.sin(theta)), 0, np.cos(theta) / np.sin(theta)])
    track = start(nominal)
    met = [(crossing(s, track), s) for s in detector.surfaces()]
    met = sorted(((path, s) for path, s in met if path is not None), key=lambda m: m[0])
    paths = np.array([path for path, _ in met])
    layers = [s for _, s in met]
    points, directions = track.after(paths)
    azimuths = np.stack([np.arctan2(points[:, 1], points[:, 0]), np.hypot(points[:, 0], points[:, 1])], -1)
    measured = [(j, axis) for j, s in enumerate(layers) if s.resolution for axis in (0, 1) if s.resolution[axis]]
    rows, axes = np.array(measured).T

    def seen(state, shift=0.0, first=0):
        """Every measured coordinate on the surfaces from `first` on; `state` stands `shift` mm along the track."""
        out = np.zeros((len(layers), 2))
        if first < len(layers):
            out[first:] = hits(layers[first:], state, paths[first:] - shift, azimuths[first:])
        return out[rows, axes]

    length = paths[-1] * np.sin(theta)
    steps = np.array([1e-3, 1e-5, 1e-5 / length, 1e-3, 1e-5])
    unit = np.eye(5)
    A = np.stack([_slope(lambda e, k=k: seen(start(nominal + e * unit[k])), steps[k]) for k in parameters], -1)

    V = np.diag([layers[j].resolution[axis] ** 2 for j, axis in measured])
    for i, layer in enumerate(layers):
        normal = _distance(layer, points[i])[1]
        width = highland(layer.x_over_X0 / abs(normal @ directions[i]), momentum)
        if width == 0:
            continue
        n = directions[i]
        first = np.cross(n, [0.0, 0.0, 1.0])
        first /= np.linalg.norm(first)
        for plane in (first, np.cross(n, first)):

            def kicked(angle, i=i, n=n, plane=plane):
                return seen(State(points[i], np.cos(angle) * n + np.sin(angle) * plane, track.turn), paths[i], i + 1)

            lever = _slope(kicked, 1e-5) * width
            V += np.outer(lever, lever)
    # Whiten, then QR: half the digits of the normal equations are kept that way.
    sigma = np.sqrt(np.diag(V))
    lower = np.linalg.cholesky(V / np.outer(sigma, sigma))
    whitened = np.linalg.solve(lower, A / sigma[:, None])
    scale = np.linalg.norm(whitened, axis=0)
    inverse = np.linalg.inv(np.linalg.qr(whitened / scale)[1]) / scale[:, None]
    return Reference(tuple(s.name for s in layers), paths * np.sin(theta), inverse @ inverse.T)
