"""Scenes from files: a `.npz` with `X0`, or with `material` and `materials`, as `numpy.savez` writes it. No pickle is read.

np.savez("cargo.npz", X0=X0)                                     # (nx, ny, nz) in mm; or with unit="m"
np.savez("cargo.npz", material=index, materials=["air", "lead"])  # whole numbers from 0 on
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from detopt.detector.voxel_map import LONGEST, SHORTEST, VoxelMap, map_of_X0
from detopt.materials import Material
from detopt.study.document import Document, Place
from detopt.study.schema import near
from detopt.units import UnitError, parse_quantity

__all__ = ["read_voxels", "scene_files_in"]

_KEYS = ("X0", "unit", "material", "materials")
_MOST_BYTES = 500**3 * 8 + 1000  # of an array: 500 voxels along each axis
_MOST = 500

Fault = Callable[[str], None]


def scene_files_in(data: Any, folder: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Every scene of a YAML document that stands in a file, and that file; `folder` is where the YAML lies."""
    children = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    scene = data.get("scene") if isinstance(data, dict) else None
    if isinstance(scene, dict) and scene.get("type") == "file" and isinstance(scene.get("path"), str):
        yield scene, folder / scene["path"]
    for child in children:
        yield from scene_files_in(child, folder)


def read_voxels(
    name: str, voxels: tuple[int, int, int] | None, document: Document, place: Place, materials: Mapping[str, Material]
) -> VoxelMap | None:
    """Read the file of a scene; faults are noted in the document.

    Args:
        name: the path, relative to the document's folder.
        voxels: that the volume has; None: as many as the file has.
        document: that names the file.
        place: of the scene in it.
        materials: that the file may name.
    """

    def fault(message: str) -> None:
        document.fault((*place, "path"), f"{name}: {message}")

    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or path.suffix != ".npz":
        fault("a scene is a .npz file beside this file or in a folder below it: give its path from here")
        return None
    arrays = _arrays(document.path.parent / path, fault)
    if arrays is None:
        return None
    found = _by_X0(arrays, fault) if "X0" in arrays else _by_index(arrays, materials, fault)
    if found is not None and voxels is not None and found.index.shape != voxels:
        kind = "X0" if "X0" in arrays else "material"
        document.fault(
            (*place[:-1], "voxels"),
            f"voxels are {_times(voxels)}, and {kind} in {name} is {_times(found.index.shape)}: make them agree, or leave "
            "voxels out, which takes them from the file",
        )
        return None
    return found


def _arrays(path: Path, fault: Fault) -> dict[str, np.ndarray] | None:
    """What the file holds, if its keys go together."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {i.filename.removesuffix(".npy"): i.file_size for i in archive.infolist()}
        for key, size in sizes.items():
            if key not in _KEYS:
                fault(f"has {key!r}, which is none of {', '.join(_KEYS)}{near(key, _KEYS)}")
                return None
            if size > _MOST_BYTES:
                fault(f"{key} has {size / 1e9:.3g} GB: at most {_MOST} voxels along an axis can be read")
                return None
        if missing := _missing(set(sizes)):
            fault(missing)
            return None
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in sizes}
        if all(isinstance(a, np.ndarray) for a in arrays.values()):
            return arrays
        fault("holds something that is no array: write it with numpy.savez")
    except FileNotFoundError:
        others = [p.name for p in path.parent.glob("*.npz")] if path.parent.is_dir() else []
        fault(f"no such file{near(path.name, others)}: paths are relative to the YAML file that they stand in")
    except ValueError as error:
        if "pickle" not in str(error):
            fault(f"cannot be read: {error}")
        else:
            fault("holds Python objects, which are not read: save plain numbers and texts, as in np.savez(…, X0=X0)")
    except (OSError, EOFError, MemoryError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        fault(f"is no .npz file that can be read ({error}): write it with numpy.savez")
    return None


def _missing(keys: set[str]) -> str | None:
    """What is wrong with the keys of a file."""
    if {"X0", "material"} <= keys:
        return "has X0 and material: one of them says what the voxels are"
    if not keys & {"X0", "material"}:
        return f"has {', '.join(sorted(keys)) or 'nothing'}: it needs X0, or material and materials"
    if "X0" in keys and "materials" in keys:
        return "has materials beside X0: they go with material"
    if "material" in keys and "materials" not in keys:
        return "has material without materials, the names that its numbers stand for"
    if "material" in keys and "unit" in keys:
        return "has a unit beside material: it goes with X0"
    return None


def _by_X0(arrays: dict[str, np.ndarray], fault: Fault) -> VoxelMap | None:
    X0 = arrays["X0"]
    if X0.dtype.kind not in "fiu":
        fault(f"X0 must be real numbers, got {X0.dtype}")
        return None
    if not _is_grid("X0", X0, fault):
        return None
    factor = 1.0
    if "unit" in arrays:
        unit = arrays["unit"]
        if unit.shape != () or unit.dtype.kind != "U":
            fault(f"unit must be one text, such as unit='m', got {_seen(unit)}")
            return None
        try:
            factor = parse_quantity(f"1 {unit}", "mm")
        except UnitError as error:
            fault(f"unit: {error}")
            return None
    lengths: Float[np.ndarray, "x y z"] = X0.astype(np.float64) * factor
    for wrong, why in (
        (~np.isfinite(lengths), "must be finite; for nothing at all take that of air, 304 m"),
        (lengths <= 0, "must be > 0"),
        (lengths < SHORTEST, f"is below {SHORTEST:g} mm, shorter than in any matter: is unit missing, as in unit='m'?"),
        (
            lengths > LONGEST,
            f"is above {LONGEST / 1e6:g} km, longer than in any gas: is unit missing, as in unit='um'?",
        ),
    ):
        if wrong.any():
            at = np.argwhere(wrong)[0]
            fault(
                f"X0[{', '.join(map(str, at))}] is {lengths[tuple(at)]:g} mm, as are {wrong.sum()} of {X0.size}: it {why}"
            )
            return None
    return map_of_X0(lengths)


def _by_index(arrays: dict[str, np.ndarray], known: Mapping[str, Material], fault: Fault) -> VoxelMap | None:
    index: Int[np.ndarray, "x y z"] = arrays["material"]
    names = arrays["materials"]
    if names.ndim != 1 or names.dtype.kind != "U" or not names.size:
        fault(f"materials must be a list of names, such as ['air', 'lead'], got {_seen(names)}")
        return None
    unknown = [str(n) for n in names if str(n) not in known]
    for one in unknown:
        fault(f"materials names an unknown material {one!r}{near(one, known)}")
    if index.dtype.kind not in "iu":
        fault(f"material must be whole numbers, got {index.dtype}")
        return None
    if not _is_grid("material", index, fault) or unknown:
        return None
    wrong = (index < 0) | (index >= len(names))
    if wrong.any():
        at = np.argwhere(wrong)[0]
        fault(
            f"material[{', '.join(map(str, at))}] is {index[tuple(at)]}, and {wrong.sum()} of {index.size} are such: with "
            f"{len(names)} materials they are 0 to {len(names) - 1}"
        )
        return None
    return VoxelMap([known[str(n)] for n in names], index.astype(np.int64))


def _is_grid(key: str, array: np.ndarray, fault: Fault) -> bool:
    good = array.ndim == 3 and all(1 <= n <= _MOST for n in array.shape)
    if not good:
        fault(f"{key} must have 1 to {_MOST} voxels along each of x, y and z, got {_seen(array)}")
    return good


def _seen(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
