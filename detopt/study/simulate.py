"""`detopt simulate`: particles through a detector of any frame, to tables of truth, hits and tracks."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array

from detopt.backend import jax, jnp
from detopt.detector.arms import Arm, arms_of
from detopt.detector.detector import Detector
from detopt.detector.stops import stops
from detopt.detector.surfaces import Surfaces, as_arrays, surfaces
from detopt.events import Deviation, Particles
from detopt.reconstruction.association import Association, Quality, associate, chosen_hits, quality
from detopt.reconstruction.beam_fit import LINE, LinearTrack, fit_line, linear_track
from detopt.reconstruction.expected import fewest_hits
from detopt.reconstruction.reconstruct import reconstruct
from detopt.reconstruction.track_fit import fitted_parameters
from detopt.simulation.flight import Muon
from detopt.simulation.generate import generate
from detopt.simulation.helix import Path, helix, solenoid
from detopt.simulation.hits import Candidates, barrel_hits, beam_hits
from detopt.simulation.kicks import kick_variance
from detopt.simulation.noise import (
    Patches,
    barrel_patches,
    expected_noise,
    most_noise_hits,
    noise_hits,
    plane_patches,
)
from detopt.simulation.physics import Physics
from detopt.simulation.rays import expected_number, rays
from detopt.simulation.simulate import barrel_flight, roll
from detopt.simulation.source import Cosmic, Decay, Source
from detopt.simulation.streams import stream
from detopt.simulation.transport import deviations, outward_order
from detopt.simulation.truth import barrel_truth, beam_flight, beam_truth, elements_with_truth
from detopt.study.faults import BadInput, Fault
from detopt.study.staging import aim_of, start_of

__all__ = ["Simulation", "Tables", "prepared"]

CHUNK = 8192  # events that are flown at once
_SEEDS = 64  # of a track that are followed, where there is noise
_AT_ONCE = 256  # particles whose hits are searched together
_CROWDED = 16  # noise hits on a sensor that can be searched
_HELIX = ("d0", "phi", "kappa", "z0", "cot_theta")

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Tables:
    """Columns of the three tables. Elements are numbers here, into `Simulation.elements` and `Simulation.sensors`."""

    truth: Columns
    hits: Columns
    tracks: Columns


def prepared(
    detector: Detector, source: Source, events: int | None, seed: int, physics: Physics | None
) -> "Simulation":
    """A simulation of so many events; where that is None of as many as an exposure is expected to give, or 10 000.

    Raises:
        BadInput: the number makes no sense, cosmic muons have nothing to aim at, or there is too much noise.
    """
    if events is not None and (not isinstance(events, int) or events < 1):
        raise BadInput([Fault("--events", None, None, "", f"expected a whole number from 1 on, got {events!r}")])
    try:
        simulation = Simulation(detector, source, 10_000 if events is None else events, seed, physics or Physics())
    except ValueError as error:
        raise BadInput([Fault("--source", None, None, "", str(error))]) from None
    if events is None and simulation.expected is not None:
        simulation.events = max(1, round(simulation.expected))
    return simulation


class Simulation:
    """Events of one source in one detector, chunk by chunk. The same seed gives the same events, however many."""

    def __init__(self, detector: Detector, source: Source, events: int, seed: int, physics: Physics) -> None:
        """
        Args:
            detector: its numbers are floats.
            source: of a kind that goes with the detector's frame.
            events: how many.
            seed: of all random numbers.
            physics: which effects are on.

        Raises:
            ValueError: cosmic muons have nothing to aim at, or there is too much noise; the message says what to do.
        """
        self.detector, self.source, self.events, self.seed, self.physics = detector, source, events, seed, physics
        self.elements = elements_with_truth(detector)
        if not self.elements:
            raise ValueError(f"{detector.name} has nothing that a particle could meet")
        self.sensors = tuple(s.name for s in detector.sensors())
        self.aim = aim_of(detector, source) if isinstance(source, Cosmic) else None
        self.chunk = CHUNK
        self.met = 0  # events that met an element, so far
        self.barrel = detector.frame == "barrel"
        self.start_z = 0.0 if self.barrel else start_of(detector)
        self.arms = () if self.barrel else arms_of(detector)
        noisy = any(s.noise > 0 for s in detector.sensors())
        self.room = most_noise_hits(np.asarray(self._noise(as_arrays(detector))[1])) if noisy else 0
        if self.room > _CROWDED:
            worst = np.asarray(self._noise(as_arrays(detector))[1])
            name, mean = self.sensors[int(worst.argmax())], worst.max()
            raise ValueError(
                f"noise: {mean:.3g} hits are expected on {name} in a time window; among more than about 6 no search for "
                "tracks is in this version: lower noise, time_window or area"
            )
        self.quality: Quality | None = None  # of the association, so far; None without noise

    @property
    def expected(self) -> float | None:
        """Of an exposure of cosmic muons: how many are expected through what they aim at."""
        if isinstance(self.source, Cosmic) and self.aim is not None:
            return expected_number(self.source, self.aim)
        return None

    def chunks(self) -> Iterator[Tables]:
        """Simulate, a chunk at a time."""
        for number, found in enumerate(self.flown()):
            first = number * CHUNK
            yield self._tables(found, first, min(CHUNK, self.events - first))

    def flown(self) -> Iterator[dict[str, Any]]:
        """The same as arrays of all that was flown: always whole chunks, for one compilation."""
        design, key = as_arrays(self.detector), jax.random.key(self.seed)
        fly = jax.jit(self._barrel if self.barrel else self._beam)
        for number in range(-(-self.events // CHUNK)):
            yield jax.tree.map(np.asarray, fly(design, jax.random.fold_in(key, number)))

    def _noise(self, design: Detector) -> tuple[Patches, Array]:
        """Areas of the sensors, and the mean number of noise hits on each."""
        sensors = design.sensors()
        dtype = jnp.result_type(*jax.tree.leaves(design))
        density = jnp.stack([jnp.asarray(s.noise, dtype) for s in sensors])
        if self.barrel:
            at = np.flatnonzero([s.resolution is not None for s in self.detector.surfaces()])
            patches = barrel_patches(surfaces(design))
            patches = Patches(patches.low[at], patches.high[at], tuple(patches.disk[i] for i in at.tolist()))
        else:
            patches = plane_patches(_stacked([s.span for s in sensors], dtype) / 2)
        return patches, expected_noise(patches, density)

    def _noise_hits(self, design: Detector, count: int, key: jax.Array) -> tuple[Array, Array] | None:
        if not self.room:
            return None
        patches, expected = self._noise(design)
        return noise_hits(self.sensors, patches, expected, self.room, count, key)

    # -- on the arrays of a chunk ------------------------------------------------------------------------------------------

    def _beam(self, design: Detector, key: jax.Array) -> dict[str, Any]:
        listed = stops(design)
        dtype = listed.middle.dtype
        made = rays(self.source, stream(key, "source"), CHUNK, self.detector.frame, self.start_z, self.aim, dtype)
        particles = made.momentum.shape[1]
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), made._replace(weight=made.momentum))
        muons = Muon(flat.position, flat.direction, flat.momentum, jnp.ones(flat.momentum.shape, bool))
        legs = beam_flight(listed, muons, flat.charge, self.physics, key)
        found = {"truth": beam_truth(listed, legs), "weight": made.weight, "particles": np.arange(particles)}
        if not self.sensors:
            return found
        at = np.array([listed.names.index(name) for name in self.sensors])
        measured = design.sensors()
        resolution = _stacked([s.resolution for s in measured], dtype)
        efficiency = jnp.stack([jnp.asarray(s.efficiency, dtype) for s in measured])
        noise = self._noise_hits(design, len(flat.momentum), key)
        hits = beam_hits(listed, legs, tuple(at.tolist()), resolution, efficiency, noise, key)
        weight = jnp.where(resolution > 0, 1 / jnp.where(resolution > 0, resolution, 1.0) ** 2, 0.0)
        found["hits"] = hits
        found["tracks"] = [self._arm(listed, legs, flat.charge, hits, weight, at, arm) for arm in self.arms]
        return found

    def _arm(
        self, listed: Any, legs: Any, charge: Array, hits: Candidates, weight: Array, at: np.ndarray, arm: Arm
    ) -> dict[str, Array]:
        first, own = int(at[arm.sensors[0]]), np.array(arm.sensors)

        def one(muon: Muon, charge: Array, local: Array, valid: Array) -> dict[str, Any]:
            track = linear_track(listed, muon, charge, self.physics, first, arm.bends)
            # From the sensors of the arm to all stops, along the flight.
            shape = (len(listed.names), *valid.shape[1:])
            deviation = jnp.zeros((*shape, 2), local.dtype).at[at[own]].set(local - track.local[at[own]][:, None])
            exists = jnp.zeros(shape, bool).at[at[own]].set(valid) & track.crossed[:, None]
            weights = jnp.zeros((shape[0], 2), local.dtype).at[at[own]].set(weight[own])
            taken = self._choose(track, weights, deviation, exists, listed.order, arm.min_hits)
            hits = chosen_hits(taken, deviation, track.crossed)
            fit = fit_line(
                listed.order, track, hits.deviation, jnp.where(hits.seen[:, None], weights, 0.0), arm.min_hits
            )
            slopes = muon.direction[:2] / muon.direction[2]
            start = jnp.concatenate([muon.position[:2], slopes, (charge / muon.momentum)[None]])
            k = len(fit.change)
            return {
                "found": fit.found & muon.alive,
                "z": muon.position[2],
                "parameters": start[:k] + fit.change,
                "covariance": fit.covariance,
                "chi2": fit.chi2,
                "ndf": fit.freedom,
                "hits": jnp.sum(hits.seen),
                "association": taken,
                "exists": exists & muon.alive,
            }

        starts = jax.tree.map(lambda x: x[:, first], legs.before)
        return self._each(one, starts, charge, hits.local[:, own], hits.valid[:, own])

    def _each(self, one: Any, *columns: Any) -> Any:
        """Of every particle; a search among noise hits takes so much memory that few are done at once."""
        if not self.room:
            return jax.vmap(one)(*columns)
        return jax.lax.map(lambda row: one(*row), columns, batch_size=_AT_ONCE)

    def _choose(
        self, track: Any, weight: Array, deviation: Array, exists: Array, order: Array, min_hits: int
    ) -> Association:
        """Which hit belongs to the track on each surface: the particle's own where there is no noise, else by search."""
        if not self.room:
            chosen = jnp.where(exists[:, 0], 0, -1)
            count = jnp.sum(exists[:, 0])
            zero = jnp.zeros((), deviation.dtype)
            return Association(chosen, count >= min_hits, zero, count, jnp.zeros((), bool))
        sorted_ = (
            x[order] for x in (track.hit, track.kick, track.scattering, weight, track.crossed, deviation, exists)
        )
        found = associate(*sorted_, min_hits=min_hits, seed_hits=2 + (track.hit.shape[2] == 5), most_seeds=_SEEDS)
        return found._replace(chosen=found.chosen[jnp.argsort(order)])

    def _barrel(self, design: Detector, key: jax.Array) -> dict[str, Any]:
        stacked = surfaces(design)
        dtype = stacked.position.dtype
        if isinstance(self.source, Decay):
            particles, _ = generate(self.source, stream(key, "source"), (CHUNK, 1), solenoid(design), dtype)
            azimuth = 2 * math.pi * jax.random.uniform(stream(key, "azimuth"), (CHUNK, 1), dtype)
            charge, weight = jnp.full((CHUNK, 1), self.source.charge, dtype), jnp.ones(CHUNK, dtype)
        else:
            made = rays(self.source, stream(key, "source"), CHUNK, "barrel", 0.0, None, dtype)
            x, y, z = (made.direction[..., i] for i in range(3))
            nothing = Deviation(*(jnp.zeros_like(x),) * 5)
            theta = jnp.arctan2(jnp.sqrt(x**2 + y**2), z)
            particles = Particles(made.momentum, theta, nothing, jnp.zeros(x.shape, bool))
            azimuth, charge, weight = jnp.arctan2(y, x), made.charge, made.weight
        number = charge.shape[1]
        particles, azimuth, charge = jax.tree.map(lambda x: x.reshape(-1), (particles, azimuth, charge))
        rolled = roll(stacked, key, len(charge), self.physics)
        flown = barrel_flight(design, stacked, particles, charge, self.physics, rolled)
        found = {"truth": barrel_truth(stacked, flown, azimuth), "weight": weight, "particles": np.arange(number)}
        if not self.sensors:
            return found
        at = np.flatnonzero([s.resolution is not None for s in self.detector.surfaces()])
        noise = self._noise_hits(design, len(charge), key)
        if noise is not None:  # from the sensors to all surfaces
            shape = (len(charge), len(stacked.names), self.room)
            noise = (
                jnp.zeros((*shape, 2), dtype).at[:, at].set(noise[0]),
                jnp.zeros(shape, bool).at[:, at].set(noise[1]),
            )
        hits, deviation = barrel_hits(stacked, flown, azimuth, noise, key)
        exists = hits.valid & flown.flight.crossed[:, :, None]
        taken = self._choose_in_barrel(design, stacked, particles, flown.path, deviation, exists)
        seen = chosen_hits(taken, deviation, flown.flight.crossed)
        tracks = reconstruct(design, particles, seen, charge, self.physics, fewest_hits(design))
        found["hits"] = jax.tree.map(lambda x: x[:, at], hits)
        found["tracks"] = [
            {
                "found": tracks.found,
                "z_found": tracks.z_found,
                "parameters": jnp.stack(
                    [tracks.fitted.d0, tracks.fitted.phi + azimuth, tracks.kappa, tracks.fitted.z0, tracks.cot_theta],
                    -1,
                ),
                "covariance": tracks.covariance,
                "chi2": tracks.chi2,
                "ndf": tracks.freedom,
                "hits": jnp.sum(seen.seen, -1),
                "association": taken,
                "exists": exists,
            }
        ]
        return found

    def _choose_in_barrel(
        self, design: Detector, stacked: Surfaces, particles: Particles, path: Path, deviation: Array, exists: Array
    ) -> Association:
        fitted = fitted_parameters(design.field is not None)

        def one(path: Path, start: Deviation, p: Array, deviation: Array, exists: Array) -> Association:
            crossings = helix(stacked, path.kappa, path.cot_theta)
            scattering = kick_variance(stacked, crossings, p, self.physics)
            # About the undisturbed muon, where the model is linear.
            moved = deviation - deviations(stacked, path, start, p, self.physics)[:, None]
            track = LinearTrack(
                crossings.hit[:, :, fitted], crossings.kick[:, fitted], scattering, moved[:, 0], crossings.crossed
            )
            order = outward_order(stacked, path)
            return self._choose(track, stacked.weight, moved, exists, order, fewest_hits(self.detector))

        return self._each(one, path, particles.start, particles.momentum, deviation, exists)

    # -- to columns -----------------------------------------------------------------------------------------

    def _tables(self, found: dict[str, Any], first: int, count: int) -> Tables:
        number = len(found["particles"])
        # The weights of a chunk sum to what is expected of all events.
        share = CHUNK / self.events if self.aim is not None else 1.0
        truth, keep = found["truth"], slice(0, count * number)
        for tracks, min_hits in zip(found.get("tracks", ()), self._min_hits(), strict=False) if self.room else ():
            taken, exists = jax.tree.map(lambda x: jnp.asarray(x[keep]), (tracks["association"], tracks["exists"]))
            seen = quality(taken, exists, min_hits)
            self.quality = seen if self.quality is None else jax.tree.map(jnp.add, self.quality, seen)
        exists = np.stack([truth.entered, truth.left], -1)[keep]
        rows = np.nonzero(exists)
        position = np.stack([truth.entry_position, truth.exit_position], 2)[keep][rows]
        momentum = np.stack([truth.entry_momentum, truth.exit_momentum], 2)[keep][rows]
        columns: Columns = {
            "event": first + rows[0] // number,
            "particle": rows[0] % number,
            "element": rows[1],
            "side": rows[2],
            **{name: position[:, i] for i, name in enumerate("xyz")},
            **{f"p{name}": momentum[:, i] for i, name in enumerate("xyz")},
            "stopped": truth.stopped[keep][rows[:2]],
            "weight": share * found["weight"][rows[0] // number],
        }
        if not self.sensors:
            return Tables(columns, _empty(_HIT), _empty(self._track_names()))
        hits = self._hits(found["hits"], first, number, keep)
        return Tables(columns, hits, self._tracks(found, first, number, keep))

    def _min_hits(self) -> tuple[int, ...]:
        return (fewest_hits(self.detector),) if self.barrel else tuple(arm.min_hits for arm in self.arms)

    def _track_names(self) -> tuple[str, ...]:
        names = _HELIX if self.barrel else LINE
        pairs = (label for name in names for label in (name, f"sigma_{name}"))
        return ("event", "particle", "arm", *(() if self.barrel else ("z",)), *pairs, "chi2", "ndf", "hits")

    def _hits(self, hits: Any, first: int, number: int, keep: slice) -> Columns:
        # Noise is that of the event: the one drawn with its first particle.
        first_only = np.arange(len(hits.valid[keep]))[:, None, None] % number == 0
        own = np.arange(hits.valid.shape[2])[None, None] == 0
        rows = np.nonzero(hits.valid[keep] & (own | first_only))
        sensors = self.detector.sensors()
        resolution = np.array([[math.nan if r is None else r for r in s.resolution or ()] for s in sensors])[rows[1]]
        local, position = hits.local[keep][rows], hits.position[keep][rows]
        return {
            "event": first + rows[0] // number,
            "particle": np.where(rows[2] == 0, rows[0] % number, -1),  # -1: noise
            "element": rows[1],
            **{name: position[:, i] for i, name in enumerate("xyz")},
            # What is not measured is not known.
            "u": np.where(np.isnan(resolution[:, 0]), math.nan, local[:, 0]),
            "v": np.where(np.isnan(resolution[:, 1]), math.nan, local[:, 1]),
            "sigma_u": resolution[:, 0],
            "sigma_v": resolution[:, 1],
        }

    def _tracks(self, found: dict[str, Any], first: int, number: int, keep: slice) -> Columns:
        pieces = []
        for arm, tracks in enumerate(found["tracks"]):
            rows = np.flatnonzero(tracks["found"][keep])
            names = _HELIX if self.barrel else LINE
            values, covariance = tracks["parameters"][keep][rows], tracks["covariance"][keep][rows]
            sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
            piece: Columns = {
                "event": first + rows // number,
                "particle": rows % number,
                "arm": np.full(len(rows), arm),
            }
            if not self.barrel:
                piece["z"] = tracks["z"][keep][rows]
            unknown = np.full(len(rows), math.nan)
            second = tracks["z_found"][keep][rows] if "z_found" in tracks else np.ones(len(rows), bool)
            for i, name in enumerate(names):
                known = i < values.shape[1] and not (name == "kappa" and self.detector.field is None)
                for label, column in ((name, values), (f"sigma_{name}", sigma)):
                    piece[label] = column[:, i] if known else unknown
                    if name in ("z0", "cot_theta"):
                        piece[label] = np.where(second, piece[label], math.nan)
            for name in ("chi2", "ndf", "hits"):
                piece[name] = tracks[name][keep][rows]
            pieces.append(piece)
        if not pieces:
            return _empty(self._track_names())
        joined = {name: np.concatenate([p[name] for p in pieces]) for name in self._track_names()}
        order = np.lexsort((joined["arm"], joined["particle"], joined["event"]))
        return {name: column[order] for name, column in joined.items()}


_HIT = ("event", "particle", "element", "x", "y", "z", "u", "v", "sigma_u", "sigma_v")


def _empty(names: tuple[str, ...]) -> Columns:
    return {name: np.zeros(0, int if name in ("event", "particle", "element") else float) for name in names}


def _stacked(pairs: list[Any], dtype: Any) -> Array:
    """(n, 2); 0 where nothing is measured."""
    return jnp.stack([jnp.stack([jnp.asarray(0.0 if r is None else r, dtype) for r in pair]) for pair in pairs])
