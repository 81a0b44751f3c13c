"""What particles really do in a detector of any frame, in the coordinates of the laboratory."""

from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.elements import Magnet
from detopt.detector.stops import Stops
from detopt.detector.surfaces import Surfaces
from detopt.events import Truth
from detopt.simulation.flight import Leg, Muon, fly
from detopt.simulation.matter import dice
from detopt.simulation.physics import Physics
from detopt.simulation.simulate import BarrelFlight
from detopt.simulation.streams import each, stream
from detopt.simulation.transport import points

__all__ = ["barrel_truth", "beam_flight", "beam_truth", "elements_with_truth"]


def elements_with_truth(detector: Detector) -> tuple[str, ...]:
    """The columns of `Truth`: surfaces of a barrel (a stack has several), elements of a beam line but its magnets."""
    if detector.frame == "barrel":
        return tuple(s.name for s in detector.surfaces())
    return tuple(e.name for e in detector.elements if not isinstance(e, Magnet))


# -- beam lines and portals -----------------------------------------------------------------------------------------------


def beam_flight(listed: Stops, muons: Muon, charge: Float[Array, " N"], physics: Physics, key: jax.Array) -> Leg:
    """Fly N muons past all stops; every stop has random numbers of its own."""
    count, dtype = len(charge), listed.middle.dtype
    keys = each(stream(key, "scattering"), listed.names)
    rolled = jax.vmap(lambda k: dice(k, count, dtype, physics, False))(keys)
    rolled = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), rolled)
    return jax.vmap(lambda m, q, r: fly(listed, m, q, r, physics))(muons, charge, rolled)


def beam_truth(listed: Stops, legs: Leg) -> Truth:
    """The first and last stop of each element that has any."""
    ranges = [pair for pair in listed.elements if pair[0] >= 0]
    first, last = jnp.array([a for a, _ in ranges]), jnp.array([b for _, b in ranges])

    def momentum(muon: Muon) -> Float[Array, "N s 3"]:
        return muon.direction * muon.momentum[..., None]

    return Truth(
        entered=legs.crossed[:, first],
        left=legs.crossed[:, last] & legs.after.alive[:, last],
        stopped=legs.crossed[:, first] & ~legs.after.alive[:, last],
        entry_position=legs.before.position[:, first],
        entry_momentum=momentum(legs.before)[:, first],
        exit_position=legs.after.position[:, last],
        exit_momentum=momentum(legs.after)[:, last],
    )


# -- barrels -------------------------------------------------------------------------------------------------------------


def barrel_truth(stacked: Surfaces, flown: BarrelFlight, azimuth: Float[Array, " N"]) -> Truth:
    """In the laboratory, where the muons start in directions of these azimuths."""
    path, flight = flown
    sine, cosine = jnp.sin(azimuth)[:, None], jnp.cos(azimuth)[:, None]

    def turned(vector: Float[Array, "N n 3"]) -> Float[Array, "N n 3"]:
        x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
        return jnp.stack([cosine * x - sine * y, sine * x + cosine * y, z], -1)

    before = jax.vmap(lambda p, s: points(stacked, p, s))(path, flight.before)
    after = jax.vmap(lambda p, s: points(stacked, p, s))(path, flight.after)
    return Truth(
        entered=flight.crossed,
        left=flight.crossed & flight.goes_on,
        stopped=flight.crossed & ~flight.goes_on,
        entry_position=turned(before.position),
        entry_momentum=turned(before.direction) * flight.momentum_before[..., None],
        exit_position=turned(before.position),  # thin: it leaves where it enters
        exit_momentum=turned(after.direction) * flight.momentum_after[..., None],
    )
