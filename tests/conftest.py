"""Strict settings for every test: shapes and types are checked, and nothing is promoted silently."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("JAX_PLATFORMS", "cpu")

# The rooms that compute; pydantic does the checking where YAML is read.
ROOMS = ["units", "parameters", "materials", "detector", "events", "simulation", "reconstruction"]
ROOMS += ["inference", "scoring", "search"]
install_import_hook([f"detopt.{room}" for room in ROOMS], "typecheck.checker")

from detopt.backend import jax  # noqa: E402  (after the hook)

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture
def strict_dtypes():
    """No silent promotion of types; optax, which counts steps in int32, does not live with it."""
    with jax.numpy_dtype_promotion("strict"):
        yield
