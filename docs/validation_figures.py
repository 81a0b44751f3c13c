"""The figures of docs/physics.md: detopt beside the reference numbers of its tests."""

from pathlib import Path

import numpy as np

from detopt.report.style import AFTER, BEFORE, FAINT, THIRD, Drawing, log_ticks, styled
from detopt.simulation.flux import guan
from tests.physics.slabs import figures, left, slabs, through
from tests.physics.test_flux import COSINES, GUAN, table
from tests.physics.test_flux import MOMENTA as COSMIC_MOMENTA
from tests.physics.test_matter import GEANT4
from tests.physics.test_tracker_resolutions import MOMENTA, SOLTRACK
from tests.physics.trackers import TRACKERS
from tests.physics.tracks import covariances

HERE = Path(__file__).parent / "validation"
COLOURS = (AFTER, BEFORE, THIRD, "#3f9b4f")
REFERENCE = {"color": FAINT, "marker": "o", "linestyle": "", "markersize": 7, "markerfacecolor": "none", "zorder": 1}


def resolutions() -> Drawing:
    """Impact parameter and momentum of three trackers against SolTrack."""
    fine = np.geomspace(1, 100, 16)
    names = {"fccee_silicon": "FCC-ee silicon", "alice_its2": "ALICE ITS2", "toy10": "ten layers"}
    figure = Drawing(10.2, 4.3)
    d0, pt = figure.panel(0.85, 0.7, 3.9, 2.9), figure.panel(5.95, 0.7, 3.9, 2.9)
    for (key, _), colour in zip(names.items(), COLOURS, strict=False):
        sigma = np.sqrt(np.diagonal(covariances(TRACKERS[key], fine, 90), axis1=1, axis2=2))
        kappa = 0.299792458e-3 * TRACKERS[key].field.B / fine
        d0.plot(fine, 1e3 * sigma[:, 0], color=colour)
        pt.plot(fine, 100 * sigma[:, 2] / kappa, color=colour)
        d0.plot(MOMENTA, SOLTRACK[key][1], **REFERENCE)
        pt.plot(MOMENTA, 100 * np.array(SOLTRACK[key][0]), **REFERENCE)
    for ax, label in ((d0, r"σ($d_\mathrm{0}$) [µm]"), (pt, r"σ($p_\mathrm{T}$) / $p_\mathrm{T}$ [%]")):
        ax.set(xlabel="$p$ [GeV]", ylabel=label)
        log_ticks(ax, "x")
        log_ticks(ax, "y")
    lines = [(name, {"color": colour}) for name, colour in zip(names.values(), COLOURS, strict=False)]
    figure.entries([*lines, ("SolTrack", REFERENCE)], 0.85)
    return figure


def scattering() -> Drawing:
    """Angle and energy loss in slabs over Geant4's."""
    figure = Drawing(10.2, 4.3)
    angle, lost = figure.panel(0.85, 0.7, 3.9, 2.9), figure.panel(5.95, 0.7, 3.9, 2.9)
    entries = []
    for name, colour in zip(("G4_Al", "G4_Fe", "G4_Pb", "G4_Si"), COLOURS, strict=True):
        rows = [row for row in GEANT4 if row[0] == name]
        momenta, thickness = [row[2] for row in rows], rows[0][1]
        truth = through(slabs(name, thickness), momenta, 100_000)
        found = [figures(*left(truth, i), p) for i, p in enumerate(momenta)]
        style = {"color": colour, "marker": "o", "markersize": 5}
        angle.plot(momenta, [f["q68"] / row[3] for f, row in zip(found, rows, strict=True)], **style)
        lost.plot(momenta, [f["median"] / row[8] for f, row in zip(found, rows, strict=True)], **style)
        entries.append((f"{thickness:g} mm {name[3:]}", style))
    for ax, label in ((angle, "68 % angle / Geant4"), (lost, "median energy loss / Geant4")):
        ax.axhline(1, color=FAINT, linewidth=1)
        ax.set(xlabel="$p$ [GeV]", ylabel=label, ylim=(0.965, 1.035), xlim=(0.8, 12.5))
        log_ticks(ax, "x")
    figure.entries(entries, 0.85)
    return figure


def cosmic_flux() -> Drawing:
    """Guan's flux at four zenith angles against another implementation."""
    fine, figure, entries = np.geomspace(0.5, 1000, 120), Drawing(6.6, 4.3), []
    ax, rows = figure.panel(1.0, 0.7, 5.2, 2.9), table(GUAN)
    for i, colour in zip((0, 2, 4, 5), COLOURS, strict=True):
        ax.plot(fine, fine**2.7 * np.asarray(guan(fine, np.full(len(fine), COSINES[i]))), color=colour)
        ax.plot(COSMIC_MOMENTA, COSMIC_MOMENTA**2.7 * rows[:, i], **REFERENCE)
        entries.append((rf"$\cos\theta$ = {COSINES[i]:g}", {"color": colour}))
    ax.set(xlabel="$p$ [GeV]", ylabel=r"$p^{2.7}$ flux [GeV$^{1.7}$ / (cm$^2$ s sr)]")
    log_ticks(ax, "x")
    log_ticks(ax, "y")
    figure.entries([*entries, ("mulder", REFERENCE)], 0.3)
    return figure


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    with styled():
        for name, draw in (("resolutions", resolutions), ("scattering", scattering), ("flux", cosmic_flux)):
            draw().savefig(HERE / f"{name}.png", dpi=110)
            print(HERE / f"{name}.png")
