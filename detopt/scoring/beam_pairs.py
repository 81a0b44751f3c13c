"""Pairs of muons of a resonance in a beam line: each event is two flights and two tracks, and has a mass.

Everything that a design decides about one of the two it decides as often about the other, since a decay has no preferred
muon: it is enough to flip the first, and to count that twice. The numbers of an event make both: where they carry the first
onto an edge, the other goes along.
"""

from typing import Any

from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.reconstruction.arms import PairMass, Reconstructed
from detopt.reconstruction.pair_mass import measured_mass
from detopt.scoring.beam_muons import BeamMuons
from detopt.scoring.muon_statistics import of_pairs, statistics_of
from detopt.simulation.beam_event import BeamDraws, Decided, Line, undecided
from detopt.simulation.muon_pairs import counts, is_background, mass_of, mirrored
from detopt.simulation.source import Resonance
from detopt.simulation.streams import stream

__all__ = ["BeamPairs"]


class BeamPairs(BeamMuons):
    """See `BeamMuons`. A muon is one of the two at random, and passes where both do."""

    copies = 2
    source: Resonance

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.fits, self.looks = True, 1

    def draws(self, key: jax.Array, count: int, dtype: Any, evenly: bool = True) -> BeamDraws:
        """The random numbers of so many pairs."""
        first, other = (super(BeamPairs, self).draws(k, count, dtype, evenly) for k in (key, stream(key, "partner")))
        return first._replace(partner=other._replace(numbers={}))

    def muon(self, line: Line, draws: BeamDraws, decided: Decided) -> Reconstructed:
        """Simulate and reconstruct one pair. What is decided is so for the first muon."""
        assert draws.partner is not None
        # Both at once: one flight and one fit are compiled, and not two.
        each = draws._replace(partner=None), draws.partner._replace(numbers=mirrored(draws.numbers))
        of_two = jax.vmap(lambda d, c: super(BeamPairs, self).muon(line, d, c))
        both = of_two(*(jax.tree.map(lambda *x: jnp.stack(x), *two) for two in (each, (decided, undecided(line)))))
        first, other = (jax.tree.map(lambda x, i=i: x[i], both) for i in (0, 1))
        event = jax.tree.map(lambda x: x[None], draws.numbers)
        background = is_background(self.source, event)[0]
        tracks = [next(t for t in muon.tracks if len(t.parameters) == 5) for muon in (first, other)]
        passes = first.passes & other.passes & counts(self.source, event, self.start.frame)[0]
        pair = PairMass(mass_of(self.source, event)[0], *measured_mass(*tracks), background)
        signal = jnp.where(background, 0.0, first.weight)
        return first._replace(weight=signal, passes=passes, pair=pair)

    def _columns(self, muon: Reconstructed) -> Float[Array, " k"]:
        """Objectives about muons look at those of the resonance; those about masses at all."""
        columns = [muon.weight[None]]
        for term in self.terms:
            own = statistics_of(term, muon)
            columns.append(own if of_pairs(term) else muon.weight * own)
        return jnp.concatenate(columns)

    def pieces(self, line: Line, draws: BeamDraws, decided: Decided) -> tuple[Array, ...]:
        """Of one pair, what `total` makes sums of."""
        return (self.statistics(line, draws, decided),)

    def total(self, pieces: tuple[Float[Array, "N ..."], ...]) -> Float[Array, " k"]:
        """The sum of `statistics` over N pairs."""
        return jnp.sum(pieces[0], axis=0)
