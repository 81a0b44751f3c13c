"""A beam line or portal as a muon meets it: a list of stops, each a plane with perhaps matter behind it."""

import math
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int

from detopt.backend import jax, jnp
from detopt.detector.bodies import BODIES, Slab, Volume
from detopt.detector.detector import Detector
from detopt.detector.medium import Medium, media
from detopt.detector.sensor import Surface
from detopt.materials import Material, material

__all__ = ["Stops", "Voxels", "stops"]


class Voxels(eqx.Module):
    """What the slices of volumes are made of: V voxels of m materials."""

    first: Int[Array, " s"]  # of the voxels of a slice, by x and then y; -1 where a stop is no slice of a volume
    number: Int[Array, "s 2"]  # of voxels along x and y
    densest: Int[Array, " s"]  # of the voxels of a slice, that of least X0
    material: Int[Array, " V"]
    medium: Medium  # (m,)
    body: Float[Array, " V"]  # x/X0, straight down, of the volume at that x and y


class Stops(eqx.Module):
    """s stops in the order of the file: thin planes, slices of bodies, and the ends of magnets. Lengths in mm.

    A plane has its middle, unit vectors along its two sides and a normal, and ends at half of its span (infinite where it
    does not end).
    """

    forward: int = eqx.field(static=True)  # +1 along z in a beam line, -1 in a portal, where muons come down
    names: tuple[str, ...] = eqx.field(static=True)  # every stop has random numbers of its own, by its name
    elements: tuple[tuple[int, int], ...] = eqx.field(static=True)  # first and last stop of each element, or (-1, -1)
    tilted: bool = eqx.field(static=True)  # whether a plane may be tilted
    thick: bool = eqx.field(static=True)  # whether there are bodies
    slow: bool = eqx.field(static=True)  # whether muons lose energy anywhere: where materials are known
    bulk: tuple[bool, ...] = eqx.field(static=True)  # whether it is a slice of a body
    bounded: tuple[bool, ...] = eqx.field(static=True)  # whether it ends at its sides
    order: Int[Array, " s"]  # along the flight
    middle: Float[Array, "s 3"]
    axes: Float[Array, "s 3 3"]  # rows: along the two sides, and the normal
    half: Float[Array, "s 2"]
    depth: Float[Array, " s"]  # of a slice along z; 0 for what is thin
    matter: Float[Array, " s"]  # of the medium, in mm, at right angles
    body: Float[Array, " s"]  # x/X0, at right angles, of all that touches: slices and slabs without a gap are one body
    medium: Medium  # (s,)
    voxels: "Voxels | None"
    field: Float[Array, "m 3"]  # of the magnets, in tesla
    field_z: Float[Array, "m 2"]
    # The order along the flight, where that is known beforehand.
    sequence: tuple[int, ...] | None = eqx.field(static=True, default=None)


@dataclass
class _Stop:
    name: str
    z: Any
    depth: Any = 0.0
    matter: Any = 0.0
    material: Material | None = None
    centre: tuple[Any, Any] = (0.0, 0.0)
    span: tuple[Any, Any] | None = None
    tilt: tuple[Any, Any] = (0.0, 0.0)
    bulk: bool = False
    layer: tuple[Volume, int] | None = None  # of voxels that it is a slice of


def stops(detector: Detector) -> Stops:
    """Line up a detector of arrays in the frames beamline and portal; dtypes follow the detector's leaves."""
    forward = -1 if detector.frame == "portal" else 1
    dtype = jnp.result_type(*jax.tree.leaves(detector))
    listed: list[_Stop] = []
    ranges = []
    for element in detector.elements:
        own = [_plane(s) for s in element.surfaces()]
        if isinstance(element, BODIES):
            own = _slices(element, forward) if isinstance(element, Slab) else _layers(element, forward)
        ranges.append((len(listed), len(listed) + len(own) - 1) if own else (-1, -1))
        listed += own
    magnets = detector.magnets()
    listed += [_Stop(f"{m.name} {i}", end) for m in magnets for i, end in enumerate(m.z)]

    def column(values: list[Any]) -> Array:
        return jnp.stack([jnp.asarray(v, dtype) for v in values])

    z, depth, matter = (
        column([s.z for s in listed]),
        column([s.depth for s in listed]),
        column([s.matter for s in listed]),
    )
    medium = media([s.material for s in listed], dtype)
    spans = [(math.inf, math.inf) if s.span is None else s.span for s in listed]
    fields = [(m.B, 0.0, 0.0) if m.along == "x" else (0.0, m.B, 0.0) for m in magnets]
    return Stops(
        forward=forward,
        names=tuple(s.name for s in listed),
        elements=tuple(ranges),
        tilted=any(not isinstance(t, float) or t != 0 for s in listed for t in s.tilt),
        thick=any(isinstance(e, BODIES) for e in detector.elements),
        slow=any(s.material is not None or s.layer is not None for s in listed),
        bulk=tuple(s.bulk for s in listed),
        bounded=tuple(s.span is not None for s in listed),
        # What is thin comes before a body that begins at the same place.
        order=jnp.lexsort((depth > 0, forward * z)),
        middle=jnp.stack([*(column([s.centre[i] for s in listed]) for i in (0, 1)), z], -1),
        axes=jnp.stack([_axes(*(jnp.asarray(t, dtype) for t in s.tilt)) for s in listed]),
        half=jnp.stack([column([s[i] for s in spans]) for i in (0, 1)], -1) / 2,
        depth=depth,
        matter=matter,
        body=_bodies(forward * z, depth, matter / medium.X0),
        medium=medium,
        voxels=_voxels(listed, dtype),
        field=jnp.stack([column(list(b)) for b in fields]) if magnets else jnp.zeros((0, 3), dtype),
        field_z=jnp.stack([column(list(m.z)) for m in magnets]) if magnets else jnp.zeros((0, 2), dtype),
    )


_TOUCH = 1e-3  # mm between slabs that are one body


def _bodies(begin: Float[Array, " s"], depth: Float[Array, " s"], x_over_X0: Float[Array, " s"]) -> Float[Array, " s"]:
    """For each slice what it and all that touches it have together; what is thin stands for itself."""
    order = jnp.lexsort((begin, depth == 0))  # slices first
    start, end, thick = begin[order], (begin + depth)[order], depth[order] > 0
    gap = jnp.concatenate([jnp.zeros(1, bool), ~thick[1:] | (start[1:] > end[:-1] + _TOUCH)])
    body = jnp.cumsum(gap)
    total = jax.ops.segment_sum(x_over_X0[order], body, len(begin))
    return jnp.zeros_like(begin).at[order].set(total[body])


def _plane(s: Surface) -> _Stop:
    thickness = s.x_over_X0 * material("silicon").X0 if s.material is None else s.thickness
    return _Stop(s.name, s.position, 0.0, thickness, s.material, s.centre, s.span, s.tilt)


def _slices(slab: Slab, forward: int) -> list[_Stop]:
    """The slices of a slab, in the order in which a muon takes them."""
    begin, end = slab.z if forward > 0 else slab.z[::-1]
    step = (end - begin) / slab.slices
    return [
        _Stop(f"{slab.name} {i}", begin + i * step, abs(step), abs(step), slab.material, span=slab.span, bulk=True)
        for i in range(slab.slices)
    ]


def _layers(volume: Volume, forward: int) -> list[_Stop]:
    """The slices of a volume, each a part of a layer of voxels, in the order in which a muon takes them."""
    scene, count = volume.scene, volume.voxels[2]
    begin, end = volume.z[::forward]
    found = []
    for i in range(count):
        layer = i if forward > 0 else count - 1 - i
        dense, slices = scene.materials[scene.index[0, 0, layer]], scene.slices[layer]
        step = (end - begin) / count / slices
        for j in range(slices):
            z = begin + (i * slices + j) * step
            found.append(
                _Stop(
                    f"{volume.name} {layer} {j}", z, abs(step), abs(step), dense,
                    centre=volume.centre, span=volume.span, bulk=True, layer=(volume, layer),
                )
            )  # fmt: skip
    return found


def _voxels(listed: list[_Stop], dtype: Any) -> Voxels | None:
    """The voxels of all volumes, one after the other."""
    volumes = {s.layer[0].name: s.layer[0] for s in listed if s.layer is not None}
    if not volumes:
        return None
    materials = list(dict.fromkeys(m for v in volumes.values() for m in v.scene.materials))
    per_mm = np.array([1 / m.X0 for m in materials])
    index, body, starts, total = [], [], {}, 0
    for name, volume in volumes.items():
        number = np.array([materials.index(m) for m in volume.scene.materials])[volume.scene.index]
        deep = jnp.asarray(volume.size[2] / number.shape[2], dtype)
        column = deep * per_mm.astype(dtype)[number].sum(2, keepdims=True)
        # By layers, so that the voxels of a slice are neighbours.
        index.append(np.moveaxis(number, 2, 0).ravel())
        body.append(jnp.broadcast_to(column, number.shape).transpose(2, 0, 1).ravel())
        starts[name], total = total, total + number.size
    every = np.concatenate(index)
    rows = []  # first voxel, numbers along x and y, densest voxel
    for s in listed:
        if s.layer is None:
            rows.append((-1, 1, 1, -1))
            continue
        volume, layer = s.layer
        x, y, _ = volume.voxels
        first = starts[volume.name] + layer * x * y
        rows.append((first, x, y, first + int(per_mm[every[first : first + x * y]].argmax())))
    columns = jnp.array(rows, jnp.int32)
    return Voxels(
        first=columns[:, 0],
        number=columns[:, 1:3],
        densest=columns[:, 3],
        material=jnp.asarray(every, jnp.int32),
        medium=media([*materials], dtype),
        body=jnp.concatenate(body),
    )


def _axes(about_x: Array, about_y: Array) -> Float[Array, "3 3"]:
    """The plane's two sides and its normal, turned about x and then about y."""
    (sx, cx), (sy, cy) = ((jnp.sin(t), jnp.cos(t)) for t in (about_x, about_y))
    return jnp.stack(
        [
            jnp.stack([cy, jnp.zeros_like(cy), -sy]),
            jnp.stack([sy * sx, cx, cy * sx]),
            jnp.stack([sy * cx, -sx, cy * cx]),
        ]
    )
