"""The elements as materials, by symbol."""

from detopt.materials.elements import TABLE
from detopt.materials.material import Material

__all__ = ["PDG_SOURCE", "PURE"]

PDG_SOURCE = "density, I, density effect: PDG, Atomic and Nuclear Properties of Materials (2020)"


def _pure() -> dict[str, Material]:
    found: dict[str, Material] = {}
    for line in TABLE.strip().splitlines():
        _, symbol, name, _, i, density, *effect = line.split()
        numbers = [float(v) for v in effect]
        found[symbol] = Material(name, float(density), ((symbol, 1.0),), float(i), *numbers, source=PDG_SOURCE)
    return found


PURE: dict[str, Material] = _pure()
