"""Whether a plane stands in a body, its corners included. Floats only, no JAX."""

import math
from typing import Any

from detopt.detector.sensor import Surface

__all__ = ["stands_in"]

_TOUCH = 1e-6  # mm

Point = tuple[float, float, float]


def stands_in(plane: Surface, body: Any) -> bool:
    """Whether the middle of a plane lies within a body's heights, or a tilted plane cuts into the body itself.

    The rectangle of the plane is clipped at the six sides of the body (Sutherland and Hodgman, Comm. ACM 17 (1974) 32),
    and cuts into it where something is left.
    """
    low, high = body.z
    if low + _TOUCH < plane.position < high - _TOUCH:
        return True
    if plane.span is None or not any(plane.tilt):
        return False
    sides = [(2, low, high)]
    if body.span is not None:
        sides += [(i, c - w / 2, c + w / 2) for i, (c, w) in enumerate(zip(body.centre, body.span, strict=True))]
    left = _corners(plane, plane.span)
    for axis, least, most in sides:
        left = _clipped(left, axis, 1, least + _TOUCH)
        left = _clipped(left, axis, -1, -(most - _TOUCH))
    return bool(left)


def _corners(plane: Surface, span: tuple[float, float]) -> list[Point]:
    """The corners in order around the plane, which is turned about x, then about y."""
    (sx, cx), (sy, cy) = ((math.sin(t), math.cos(t)) for t in plane.tilt)
    along, across = (cy, 0.0, -sy), (sy * sx, cx, cy * sx)
    middle = (*plane.centre, plane.position)
    found = []
    for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        x, y, z = (m + 0.5 * (a * span[0] * u + b * span[1] * v) for m, u, v in zip(middle, along, across, strict=True))
        found.append((x, y, z))
    return found


def _clipped(corners: list[Point], axis: int, sign: int, least: float) -> list[Point]:
    """The part of a polygon where sign times a coordinate is at least a number."""
    found: list[Point] = []
    for before, after in zip(corners[-1:] + corners[:-1], corners, strict=True):
        depth, next_depth = (sign * p[axis] - least for p in (before, after))
        if (depth < 0) != (next_depth < 0):
            share = depth / (depth - next_depth)
            x, y, z = (a + share * (b - a) for a, b in zip(before, after, strict=True))
            found.append((x, y, z))
        if next_depth >= 0:
            found.append(after)
    return found
