"""The track resolutions of three trackers against Bedeschi's SolTrack, the code inside Delphes' TrackCovariance.

Muons at 90 degrees, SolTrack in its Kalman mode. What is left of a difference in pT, 2.5e-5, is that of
0.2998 GeV/(T m), rounded, to 0.299792458 in the curvature of a track.
"""

import numpy as np
import pytest

from .trackers import TRACKERS
from .tracks import covariances

MOMENTA = [1, 2, 5, 10, 20, 50, 100]  # GeV

# sigma(pT)/pT, sigma(d0) in um, sigma(z0) in um at each momentum
SOLTRACK = {
    "fccee_silicon": (
        [0.00233828, 0.00243831, 0.00247679, 0.00251475, 0.00261235, 0.00293207, 0.00342194],
        [13.1629, 7.66838, 4.12825, 2.88236, 2.26539, 1.90369, 1.80797],
        [13.1634, 7.80991, 4.73245, 3.45516, 2.61206, 2.0509, 1.92143],
    ),
    "alice_its2": (
        [0.0348874, 0.0377311, 0.0424021, 0.0459315, 0.0527696, 0.0837389, 0.148377],
        [21.4662, 13.4632, 7.13831, 4.60498, 3.5559, 3.18373, 3.12624],
        [21.0729, 12.5933, 6.22986, 3.97598, 3.0469, 2.59627, 2.47643],
    ),
    "toy10": (
        [0.00339914, 0.00348476, 0.00358414, 0.00373782, 0.00404437, 0.00538134, 0.0085322],
        [121.551, 63.8254, 31.345, 21.0513, 15.6914, 12.6516, 12.0014],
        [194.414, 139.837, 98.3714, 80.0089, 71.803, 68.9054, 68.4624],
    ),
}


@pytest.mark.parametrize("name", SOLTRACK)
def test_resolutions(name):
    tracker = TRACKERS[name]
    covariance = covariances(tracker, MOMENTA, 90)
    sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    kappa = 0.299792458e-3 * tracker.field.B / np.asarray(MOMENTA)
    ours = np.stack([sigma[:, 2] / kappa, 1e3 * sigma[:, 0], 1e3 * sigma[:, 3]])
    np.testing.assert_allclose(ours, SOLTRACK[name], rtol=1e-4)
