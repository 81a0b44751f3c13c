"""JAX, set up once: 64-bit floats allowed, and a compilation cache that lasts between runs.

Every module that computes imports `jax` and `jnp` from here, and nothing that only reads YAML does: `detopt check` on a
bad file must answer before JAX would be imported.
"""

import dataclasses
import os
from importlib.metadata import version
from pathlib import Path

if version("jaxlib") == "0.10.2":
    # Its CPU compiler fuses some reductions wrongly: rows of a batch get each other's sums (jax issue 39103).
    # Before all other flags: what does not begin with dashes would end the list.
    os.environ["XLA_FLAGS"] = (
        f"--xla_cpu_experimental_ynn_fusion_type=-reduce {os.environ.get('XLA_FLAGS', '')}".strip()
    )

import jax
import jax.flatten_util
import jax.numpy as jnp

__all__ = ["jax", "jnp", "register"]

jax.config.update("jax_enable_x64", True)
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "detopt" / "xla"
    jax.config.update("jax_compilation_cache_dir", str(_cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

_registered: set[type] = set()


def register(cls: type) -> None:
    """Make a frozen dataclass a pytree (once): fields declared by `quantity` are leaves, all others are structure."""
    from detopt.parameters import quantities

    if cls in _registered:
        return
    leaves = [*quantities(cls), *getattr(cls, "children", ())]
    jax.tree_util.register_dataclass(cls, leaves, [f.name for f in dataclasses.fields(cls) if f.name not in leaves])
    _registered.add(cls)
