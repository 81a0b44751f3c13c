"""Random channels of a search: a peak over flat and falling backgrounds, padded with empty bins to one compiled shape."""

import numpy as np

from detopt.backend import jnp
from detopt.scoring.likelihood import Templates
from detopt.scoring.nuisances import Nuisances

BINS = 40
SAMPLES = ("signal", "flat", "falling")

MIXED = Nuisances(
    SAMPLES, with_errors=(True, True, False),
    normalisations=("luminosity", "flat_rate"), sizes=((0.03, 0.03, 0.03), (0.0, 0.3, -0.1)),
    free=("falling_rate",), scaled=((False, False, True),),
    shapes=("resolution", "slope"),
)  # fmt: skip
CONSTRAINED = Nuisances(
    SAMPLES, with_errors=(True, True, True),
    normalisations=("luminosity", "flat_rate", "falling_rate"), sizes=((0.1, 0.1, 0.1), (0.0, 0.5, 0.0), (0.0, 0.0, 0.2)),
    shapes=("resolution", "slope"),
)  # fmt: skip


def channel(nuisances, bins, seed, shape_effect=1.0, simulated=True):
    """Templates with `bins` bins: wide or narrow peaks, from a few to thousands of events, with or without MC errors."""
    random = np.random.default_rng(seed)
    edges = np.linspace(0, 1, bins + 1)
    middle, width = (edges[1:] + edges[:-1]) / 2, 1 / bins
    peak, sigma = random.uniform(0.3, 0.7), random.uniform(0.06, 0.12)
    flat, falling = 10 ** random.uniform(0.7, 3, 2)
    signal = random.uniform(2, 6) * np.sqrt((flat + falling) * min(1.0, 4 * sigma) + 4)

    def gauss(sigma):
        density = np.exp(-(((middle - peak) / sigma) ** 2) / 2) * width
        return signal * density / (sigma * np.sqrt(2 * np.pi))

    def exponential(slope):
        return falling * np.exp(-slope * middle) * slope * width / (1 - np.exp(-slope))

    nominal = np.stack([gauss(sigma), np.full(bins, flat * width), exponential(2.0)])
    low, high = (np.tile(nominal, (len(nuisances.shapes), 1, 1)) for _ in range(2))
    if nuisances.shapes:
        change = shape_effect * random.uniform(0.05, 0.2, 2)
        high[0, 0], low[0, 0] = gauss(sigma * (1 + change[0])), gauss(sigma * (1 - 0.8 * change[0]))
        high[1, 2], low[1, 2] = exponential(2.0 * (1 + change[1])), exponential(2.0 * (1 - change[1]))
    error = np.sqrt(nominal * random.uniform(0.02, 0.3)) * simulated
    return Templates(*map(jnp.asarray, (nominal, low, high, error)))


def padded(templates):
    """The same with empty bins at the end."""
    missing = BINS - templates.nominal.shape[-1]
    return Templates(*(jnp.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, missing)]) for a in vars(templates).values()))


def from_hessian(model, data):
    """The error of mu from second differences of pyhf's log likelihood, without the parameters that it fixes."""
    start = np.array(model.config.suggested_init())
    moving = np.flatnonzero(~np.array(model.config.suggested_fixed()))
    step = 2e-3 * np.eye(len(start))[moving]

    def value(shift):
        return -float(model.logpdf(start + shift, data)[0])

    middle, count = value(0.0), len(moving)
    up, down = [value(s) for s in step], [value(-s) for s in step]
    hessian = np.empty((count, count))
    for i in range(count):
        for j in range(i + 1):
            both = value(step[i] + step[j]) + value(-step[i] - step[j])
            hessian[i, j] = hessian[j, i] = (both - up[i] - down[i] - up[j] - down[j] + 2 * middle) / 2
    hessian /= 2e-3**2
    mu = list(moving).index(model.config.poi_index)
    return float(np.sqrt(np.linalg.inv(hessian)[mu, mu]))
