"""The head of a study, with random weights."""

from typing import Any

from detopt.backend import jax, jnp
from detopt.inference.deep_set import make_deep_set
from detopt.inference.heads import PortalHead, VoxelHead
from detopt.inference.networks import make_network
from detopt.inference.voxel_network import make_voxel_network
from detopt.study.questions import grid_of, question_of
from detopt.study.studies import Study

__all__ = ["make_head"]


def make_head(study: Study, key: jax.Array) -> Any:
    """A network of float32 that fits the study's head and question."""
    head = study.head
    assert head is not None
    variables = len(study.space) if head.conditioned else 0
    if isinstance(head, PortalHead):
        question, grid = question_of(study), grid_of(study)
        make = make_voxel_network if isinstance(head, VoxelHead) else make_deep_set
        return make(grid, question, head.width, head.layers, variables, key, jnp.float32)
    return make_network(head, variables, key, jnp.float32)
