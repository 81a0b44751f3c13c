"""Which hits belong to a track: a road search among hits of the particle and of noise, and how well it does.

A seed is a track's first few hits. From there the track is followed surface by surface: the hit that is nearest to where it
is expected, in standard deviations of resolution, scattering and of what is known so far, is taken if it lies within the
road, and improves the track (R. Mankel, Rep. Prog. Phys. 67 (2004) 553, on track following). Of all seeds the one with most
hits wins, and among equals the smallest chi2.

What a hit would add to chi2 is the square of its distance in standard deviations, so that the square-root filter of the fit
(`detopt.reconstruction.square_root`) answers without a covariance, in float32, and while a track is not yet determined: all
candidates of a surface are one more measurement, with a value each.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.events import Hits
from detopt.reconstruction.square_root import Row, disturb, measure

__all__ = ["GOOD", "Association", "Quality", "associate", "chosen_hits", "quality"]

GOOD = 0.75  # share of a track's hits that are true, from which on it is the particle's
FAKE = 0.5  # and below which it is a fake
FREE, SKIPPED = -1, -2  # instead of a candidate of a surface: the nearest, and none


class Association(NamedTuple):
    """What the search for one track found."""

    chosen: Int[Array, "*batch n"]  # which candidate of each surface; -1: none
    found: Bool[Array, "*batch"]
    chi2: Float[Array, "*batch"]  # of the chosen hits
    n_hits: Int[Array, "*batch"]
    crowded: Bool[Array, "*batch"]  # there were more seeds than are followed


def associate(
    hit: Float[Array, "n 2 k"],
    kick: Float[Array, "n k 2"],
    scattering: Float[Array, " n"],
    weight: Float[Array, "n 2"],
    crossed: Bool[Array, " n"],
    deviation: Float[Array, "n m 2"],
    valid: Bool[Array, "n m"],
    *,
    min_hits: int,
    seed_hits: int,
    holes: int = 1,
    prior: Float[Array, " k"] | None = None,
    road: float = 5.0,
    most_seeds: int = 256,
) -> Association:
    """Search for one track among m candidates on each of n surfaces, which are in the order along the track.

    The order of the candidates does not matter. Where `seed_hits` do not determine the track, the nearest hit is
    arbitrary until others do. Discrete as it is, nothing is differentiated.

    Args:
        hit: d (measured coordinates) / d (k parameters of the track).
        kick: change of the parameters, for all later surfaces, by a scattering angle in each of two planes, per rad.
        scattering: variance of the projected scattering angle in rad^2.
        weight: 1 / resolution^2 in 1/mm^2; 0 where not measured.
        crossed: which surfaces the track can have met.
        deviation: where the candidates are, less where a reference track is that `hit` is linear about, in mm.
        valid: which candidates there are.
        min_hits: hits that make a track.
        seed_hits: hits that determine a track: 2 of a line in space, 3 of a helix, or 2 with a `prior`.
        holes: surfaces that may have missed the track before its last seed hit.
        prior: 1 / standard deviation of each parameter about the reference's, such as that of d0 from the size of a beam
            spot; 0 where nothing is known. By default nothing is.
        road: how far off a hit may be, in standard deviations.
        most_seeds: seeds to follow; where there are more, those of the first surfaces count, and the event is crowded.
    """
    arrays = (hit, kick, scattering, weight, deviation)
    hit, kick, scattering, weight, deviation = jax.lax.stop_gradient(arrays)
    usable = crossed & jnp.any(weight > 0, axis=1)
    valid = valid & usable[:, None]
    # In an order that does not tell the true hit, which would win where two are equally good.
    order = jnp.argsort(jnp.where(valid, deviation[:, :, 0], jnp.inf), axis=1)
    valid = jnp.take_along_axis(valid, order, 1)
    deviation = jnp.where(valid[:, :, None], jnp.take_along_axis(deviation, order[:, :, None], 1), 0.0)

    root = jnp.sqrt(weight)
    rows = jnp.where(usable[:, None, None], hit * root[:, :, None], 0.0)
    values = jnp.swapaxes(deviation, 1, 2) * root[:, :, None]  # (n, 2, m)
    kicks = jnp.where(crossed[:, None, None], kick * jnp.sqrt(scattering)[:, None, None], 0.0)
    start = jnp.zeros_like(rows[0, 0]) if prior is None else prior
    seeds, exists, crowded = _seeds(usable, valid, seed_hits, holes, most_seeds)

    def follow(seed: Int[Array, " n"]) -> tuple[Array, Array]:
        wanted = (seed == FREE)[:, None] | (seed[:, None] == jnp.arange(valid.shape[1])[None])
        return _follow(rows, values, kicks, start, valid & wanted, road)

    taken, chi2 = jax.vmap(follow)(seeds)
    # The hits of a seed must fit each other.
    whole = exists & jnp.all((seeds < 0) | (taken == seeds), axis=1)
    count = jnp.where(whole, jnp.sum(taken >= 0, axis=1), 0)
    best = jnp.argmin(jnp.where(count == jnp.max(count), chi2, jnp.inf))
    found = count[best] >= max(min_hits, 1)
    chosen = jnp.where(found, taken[best], -1)
    original = jnp.take_along_axis(order, jnp.maximum(chosen, 0)[:, None], 1)[:, 0]
    return Association(
        chosen=jnp.where(chosen >= 0, original, -1),
        found=found,
        chi2=jnp.where(found, chi2[best], 0.0),
        n_hits=jnp.where(found, count[best], 0),
        crowded=crowded,
    )


def _seeds(
    usable: Bool[Array, " n"], valid: Bool[Array, "n m"], seed_hits: int, holes: int, most: int
) -> tuple[Int[Array, "seeds n"], Bool[Array, " seeds"], Bool[Array, ""]]:
    """What seeds want of each surface (a candidate, FREE or SKIPPED), which seeds exist, and whether some are left out.

    They are all choices of the first hits of a track: what is before the last of them, and not among them, was missed.
    """
    n, m = valid.shape
    first = min(seed_hits + holes, n)
    if not 0 < seed_hits <= first:
        raise ValueError(f"seeds of {seed_hits} hits on {n} surfaces")
    places = np.array(list(combinations(range(first), seed_hits)))
    wants = np.where(np.arange(first)[None] < places[:, -1:], SKIPPED, FREE)
    # Valid candidates come first, so that the number of a seed tells where its hits are and which they are.
    surface = jnp.argsort(~usable, stable=True)[:first]
    number = jnp.sum(valid[surface], axis=1)
    ends = jnp.cumsum(jnp.prod(number[places], axis=1))
    seed = jnp.arange(min(most, len(places) * m**seed_hits))
    which = jnp.sum(seed[:, None] >= ends[None, :-1], axis=1)
    rest = seed - jnp.concatenate([jnp.zeros_like(ends[:1]), ends[:-1]])[which]
    seeds = jnp.asarray(wants)[which]
    for i in range(seed_hits):
        at = jnp.asarray(places)[which, i]
        choices = jnp.maximum(number[at], 1)
        seeds = seeds.at[jnp.arange(len(seed)), at].set(rest % choices)
        rest = rest // choices
    everywhere = jnp.full((len(seed), n), FREE).at[:, surface].set(seeds)
    return everywhere, seed < ends[-1], ends[-1] > len(seed)


def _follow(
    rows: Float[Array, "n 2 k"],
    values: Float[Array, "n 2 m"],
    kicks: Float[Array, "n k 2"],
    prior: Float[Array, " k"],
    allowed: Bool[Array, "n m"],
    road: float,
) -> tuple[Int[Array, " n"], Float[Array, ""]]:
    """The nearest allowed candidate of each surface within the road, or -1; and chi2. All in standard deviations."""
    k, m = len(prior), allowed.shape[1]
    zero = jnp.zeros_like(prior[0])

    def step(carry: tuple[list[Row], Array], surface: tuple[Array, Array, Array, Array]) -> tuple[tuple, Array]:
        track, chi2 = carry
        row, value, kick, allowed = surface
        # The track with each of the candidates: they differ in the last column.
        longer = [[*line[:-1], jnp.broadcast_to(line[-1], (m,))] for line in track]
        square = jnp.broadcast_to(zero, (m,))
        for i in range(2):
            longer, square = measure(longer, square, [*row[i], value[i]])
        square = jnp.where(allowed, square, jnp.inf)
        nearest, least = jnp.argmin(square), jnp.min(square)
        takes, this = least <= road**2, jnp.arange(m) == nearest
        track = [
            [
                *(jnp.where(takes, x, y) for x, y in zip(new[:-1], old[:-1], strict=True)),
                jnp.where(takes, jnp.sum(jnp.where(this, new[-1], 0.0)), old[-1]),
            ]
            for new, old in zip(longer, track, strict=True)
        ]
        for i in range(2):
            track, _ = disturb(track, list(kick[:, i]))
        return (track, chi2 + jnp.where(takes, least, 0.0)), jnp.where(takes, nearest, -1)

    start = [[prior[i] if i == j else zero for j in range(k)] + [zero] for i in range(k)]
    (_, chi2), taken = jax.lax.scan(step, (start, zero), (rows, values, kicks, allowed))
    return taken, chi2


def chosen_hits(
    association: Association, deviation: Float[Array, "*batch n m 2"], crossed: Bool[Array, "*batch n"]
) -> Hits:
    """The chosen candidates, for a fit."""
    seen = association.chosen >= 0
    picked = jnp.take_along_axis(deviation, jnp.maximum(association.chosen, 0)[..., None, None], axis=-2)
    return Hits(seen, jnp.where(seen[..., None], picked[..., 0, :], 0.0), crossed)


class Quality(NamedTuple):
    """How well a search did, as sums over events: those of parts of a sample add up. Ratios of nothing are 0."""

    findable: Float[Array, ""]  # events with a true hit on enough surfaces
    good: Float[Array, ""]  # of these, found with a share of at least GOOD of its hits true
    found: Float[Array, ""]  # tracks
    fake: Float[Array, ""]  # of these, with a share of less than FAKE of its hits true
    hits: Float[Array, ""]  # on found tracks
    true: Float[Array, ""]  # of these

    @property
    def efficiency(self) -> Array:
        """Share of the findable events in which a track is found, three quarters or more of its hits true."""
        return _share(self.good, self.findable)

    @property
    def purity(self) -> Array:
        """Share of the hits on found tracks that are true."""
        return _share(self.true, self.hits)

    @property
    def fake_rate(self) -> Array:
        """Share of the found tracks less than half of whose hits are true."""
        return _share(self.fake, self.found)


def quality(association: Association, valid: Bool[Array, "N n m"], min_hits: int) -> Quality:
    """Compare N searches with the truth.

    Args:
        association: of N events.
        valid: which candidates there are, on surfaces that are crossed and measure; the first of each is the true hit.
        min_hits: hits that make a track.
    """
    found, dtype = association.found, association.chi2.dtype
    number = association.n_hits.astype(dtype)
    true = jnp.sum(association.chosen == 0, axis=1).astype(dtype)
    findable = jnp.sum(valid[:, :, 0], axis=1) >= min_hits

    def total(counted: Array) -> Array:
        return jnp.sum(counted.astype(dtype))

    return Quality(
        findable=total(findable),
        good=total(findable & found & (true >= GOOD * number)),
        found=total(found),
        fake=total(found & (true < FAKE * number)),
        hits=total(number),
        true=total(true),
    )


def _share(part: Array, whole: Array) -> Array:
    return jnp.where(whole > 0, part / jnp.maximum(whole, 1.0), 0.0)
