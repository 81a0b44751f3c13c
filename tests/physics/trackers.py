"""Three barrel trackers as tables: radius, half length (m), x/X0 at normal incidence, sigma of r-phi and of z (m).

0 for a sigma means that the layer measures nothing.
"""

from detopt.detector.detector import Detector, Solenoid
from detopt.detector.elements import BarrelLayer

# Barrel of the FCC-ee detector with a silicon tracker (CLD-like): DetectorGeometry of TrackCovariance in Delphes'
# cards/delphes_card_FCCeeDetWithSiTracking.tcl.
FCCEE_SILICON = """
PIPE    0.010     100.0   0.006661753  0      0
VTX_1   0.012     0.0965  0.00298826   3e-06  3e-06
VTX_2   0.020     0.1609  0.00298826   3e-06  3e-06
VTX_3   0.031525  0.2575  0.00298826   3e-06  3e-06
ITK_1   0.127     0.4816  0.010202775  7e-06  9e-05
ITK_1s  0.132     0.4816  0.001696905  0      0
ITK_2   0.400     0.4816  0.010202775  7e-06  9e-05
ITK_2s  0.405     0.4816  0.001696905  0      0
ITK_3   0.670     0.6923  0.010202775  7e-06  9e-05
ITK_3s  0.675     0.6923  0.001696905  0      0
TUBE_1  0.6855    2.3     0.002998933  0      0
TUBE_2  0.686     2.3     0.012497332  0      0
OTK_1   1.000     1.2642  0.010202775  7e-06  9e-05
OTK_1s  1.005     1.2642  0.002604055  0      0
OTK_2   1.568     1.2642  0.010202775  7e-06  9e-05
OTK_2s  1.578     1.2642  0.001248666  0      0
OTK_3s  2.126     1.2642  0.001248666  0      0
OTK_3   2.136     1.2642  0.010202775  7e-06  9e-05
"""

# The fast-simulation set-up of the ALICE ITS upgrade TDR, CERN-LHCC-2013-024 (DetectorK's testDetRS).
ALICE_ITS2 = """
PIPE   0.0200  1.5  0.0022  0      0
L0     0.0232  1.5  0.003   4e-06  4e-06
L1     0.0313  1.5  0.003   4e-06  4e-06
L2     0.0391  1.5  0.003   4e-06  4e-06
L3     0.1941  1.5  0.008   4e-06  4e-06
L4     0.2471  1.5  0.008   4e-06  4e-06
L5     0.3533  1.5  0.008   4e-06  4e-06
L6     0.4053  1.5  0.008   4e-06  4e-06
SHELL  0.4300  1.5  0.01    0      0
"""

# A toy: ten equidistant layers.
TOY10 = "\n".join(f"L{i}  {0.1 * (i + 1):.1f}  1.5  0.01  1e-05  1e-04" for i in range(10))


def barrel(name: str, table: str, B: float) -> Detector:
    """A detector of barrel layers from a table."""

    def layer(line: str) -> BarrelLayer:
        label, *numbers = line.split()
        radius, half_length, x_over_X0, rphi, z = map(float, numbers)
        return BarrelLayer(
            name=label,
            radius=radius * 1e3,
            half_length=half_length * 1e3,
            x_over_X0=x_over_X0,
            resolution=(rphi * 1e3, z * 1e3) if rphi else None,
        )

    layers = tuple(layer(line) for line in table.strip().splitlines())
    return Detector(name=name, frame="barrel", elements=layers, field=Solenoid(B=B))


TRACKERS = {
    "fccee_silicon": barrel("fccee_silicon", FCCEE_SILICON, 2.0),
    "alice_its2": barrel("alice_its2", ALICE_ITS2, 0.5),
    "toy10": barrel("toy10", TOY10, 3.8),
}
