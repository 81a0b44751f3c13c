"""Exposures of a portal, as its heads are given them, and the truth that they are to find."""

from typing import NamedTuple

from jaxtyping import Array, Float

from detopt.backend import jax, jnp

__all__ = ["Crowds", "Pictures", "Series"]


class Pictures(NamedTuple):
    """Exposures as a head sees them, and the truth that it is to find."""

    sums: Float[Array, "exposures ..."]  # means over the muons of an exposure, seen or not, of what the head looks at
    muons: Float[Array, " exposures"]  # in each
    truth: Float[Array, "exposures answers"]
    condition: Float[Array, "exposures variables"]  # the design in the unit box, for heads that serve many designs

    @property
    def number(self) -> int:
        """Number of exposures."""
        return len(self.truth)


class Series(NamedTuple):
    """Long exposures in parts that last equally long: any number of these in a row are a shorter one."""

    sums: Float[Array, "exposures parts z x y channels"]
    muons: Float[Array, " exposures"]  # in each part
    truth: Float[Array, "exposures answers"]
    condition: Float[Array, "exposures variables"]

    @property
    def number(self) -> int:
        """Number of exposures."""
        return len(self.truth)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Parts of a shorter exposure: 1, 2, 4, … up to all."""
        return tuple(2**i for i in range(self.sums.shape[1].bit_length()))

    def first(self, parts: int) -> Pictures:
        """The exposures as they were after some parts."""
        return Pictures(self.sums[:, :parts].mean(1), self.muons * parts, self.truth, self.condition)

    def stretches(self, key: jax.Array, size: int) -> Pictures:
        """Shorter exposures from some of these, at random as they are, as long and from when on."""
        number, (rows, long, since) = self.sums.shape[1], jax.random.split(key, 3)
        row = jax.random.randint(rows, (size,), 0, self.number)
        length = jnp.asarray(self.lengths)[jax.random.randint(long, (size,), 0, len(self.lengths))]
        begin = jax.random.randint(since, (size,), 0, number - length + 1)
        inside = (jnp.arange(number)[None] >= begin[:, None]) & (jnp.arange(number)[None] < (begin + length)[:, None])
        share = inside.astype(self.sums.dtype) / length[:, None].astype(self.sums.dtype)
        sums = jnp.einsum("bp,bp...->b...", share, self.sums[row])
        return Pictures(sums, self.muons[row] * length.astype(self.muons.dtype), self.truth[row], self.condition[row])


class Crowds(NamedTuple):
    """Exposures muon by muon, for heads that learn what to look at: then sums would not outlast a step of training."""

    columns: Float[Array, "exposures muons f"]  # see `MuonColumns`
    truth: Float[Array, "exposures answers"]
    condition: Float[Array, "exposures variables"]

    @property
    def number(self) -> int:
        """Number of exposures."""
        return len(self.truth)

    @property
    def muons(self) -> Float[Array, " exposures"]:
        """In each exposure."""
        return jnp.full(self.number, self.columns.shape[1], self.columns.dtype)
