"""detopt: an optimiser for particle detectors."""

__version__ = "0.1.0"
