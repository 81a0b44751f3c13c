"""What a detector costs. Plain arithmetic: it works on floats, before JAX is imported, and on traced arrays."""

from dataclasses import dataclass
from typing import Any

from detopt.detector.detector import Detector
from detopt.parameters import quantities, quantity

__all__ = ["Prices", "cost"]


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Unit prices; what is not given costs nothing. Elements that measure nothing cost nothing."""

    sensor_area: Any = quantity("kEUR/mm2", min=0, default=None, doc="sensors, per area")
    channel: Any = quantity("kEUR", min=0, default=None, doc="readout, per channel (needs `pitch`)")
    light_support: Any = quantity(
        "kEUR/mm2",
        min=0,
        default=None,
        doc="supports and cooling, per area, for a layer of 1 % X0; half of it costs twice",
    )
    layer: Any = quantity("kEUR", min=0, default=None, doc="a layer, whatever its size")


def cost(detector: Detector, prices: Prices) -> dict[str, Any]:
    """Cost in kEUR by item: sensor_area, channel, light_support, layer (those that have a price), and total.

    The support of a layer of area A and thickness x/X0 costs price x A x (1 % / (x/X0)): light is dear.
    """
    readouts = [r for element in detector.elements for r in element.readouts()]
    drivers = {
        "sensor_area": lambda r: r.area,
        "channel": lambda r: r.channels,
        "light_support": lambda r: r.area * 0.01 / r.x_over_X0,
        "layer": lambda r: 1.0,
    }
    items = {}
    for item in quantities(Prices):
        price = getattr(prices, item)
        if price is not None:
            items[item] = price * sum(drivers[item](r) for r in readouts)
    return {**items, "total": sum(items.values())}
