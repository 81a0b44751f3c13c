"""A small portal for the fourth lesson: two panels above and two below a box in which blocks are hidden."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

import detopt
from detopt.study.image import Image, aimed, image_of
from detopt.study.simulate import prepared
from detopt.study.source_option import source_from

HALF = (300.0, 300.0, 200.0)  # mm, of the box, around the origin
VOXEL = 50.0  # mm
CLEARANCE = 20.0  # mm, between box and panels


class Design(NamedTuple):
    """What may be moved; lengths in mm."""

    apart: float = 400.0  # the two panels of a side
    span: float = 800.0  # of all panels
    resolution: float = 1.0

    def yaml(self) -> str:
        """The portal as a detector's file."""
        near = HALF[2] + CLEARANCE
        panel = f"type: panel, span: {self.span:g} mm, resolution: {self.resolution:g} mm, x_over_X0: 1 %"
        return f"""schema: 1
name: small_portal
frame: portal
elements:
  - {{name: upper_1, z: {near + self.apart:g} mm, {panel}}}
  - {{name: upper_2, z: {near:g} mm, {panel}}}
  - name: load
    type: volume
    corner: [-30 cm, -30 cm, -20 cm]
    size: [60 cm, 60 cm, 40 cm]
    voxels: [12, 12, 8]
    scene:
      type: shapes
      shapes:
        - {{type: box, material: lead, centre: [-10 cm, 0 cm, 0 cm], size: [10 cm, 10 cm, 10 cm]}}
        - {{type: box, material: iron, centre: [15 cm, 0 cm, 0 cm], size: [10 cm, 10 cm, 10 cm]}}
  - {{name: lower_1, z: {-near:g} mm, {panel}}}
  - {{name: lower_2, z: {-near - self.apart:g} mm, {panel}}}
"""


SOURCE = source_from("cosmic", "portal", exposure="60 s")


def image(path: Path, seconds: float, seed: int = 0, momentum: str = "known") -> Image:
    """What so many seconds of cosmic muons show of the portal in a file."""
    portal = detopt.load(path)
    a_minute = prepared(portal, aimed(portal, SOURCE), None, seed, None).events
    return image_of(portal, SOURCE, events=round(a_minute * seconds / 60), seed=seed, momentum=momentum)


def blocks(found: Image) -> dict[str, np.ndarray]:
    """Which voxels are lead, and which iron."""
    materials = np.sort(np.unique(found.truth))  # air, iron, lead
    return {"lead": found.truth == materials[-1], "iron": found.truth == materials[-2]}


def misplaced(found: Image, density: np.ndarray) -> float:
    """Share of the matter in a map that lies outside of the blocks."""
    inside = np.logical_or.reduce(list(blocks(found).values()))
    return float(np.nansum(density[~inside]) / np.nansum(density))


def thickness(found: Image, density: np.ndarray, block: str) -> float:
    """Mean 1 / X0 of a block, over the true one."""
    inside = blocks(found)[block]
    return float(np.nanmean(density[inside]) / found.truth[inside].mean())
