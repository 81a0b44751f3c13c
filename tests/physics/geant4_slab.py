"""Muons through a slab with Geant4, as a program: Geant4 lives only once in a process.

    python geant4_slab.py MATERIAL THICKNESS_MM MOMENTUM_GEV MUONS SEED OUT.npz

A pencil of mu- along z. Electromagnetic processes of the muon alone (multiple scattering by the model WentzelVI with
single Coulomb scattering, ionisation, bremsstrahlung, pairs; electrons from a range of 0.7 mm on are made one by one),
secondaries killed where they start, 50 steps a slab, each with its sideways displacement. That needs none of Geant4's
data sets, so empty folders stand in for them.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np

# Of G4…DATA, which say where the data sets are
DATA_SETS = ["NEUTRONHP", "LE", "LEVELGAMMA", "RADIOACTIVE", "PARTICLEXS", "PII", "REALSURFACE", "SAIDXS", "ABLA"]
DATA_SETS += ["INCL", "ENSDFSTATE", "CHANNELING"]
STEPS = 50
GAP = 1e-6  # mm of vacuum before and behind the slab
SIDE = 1e5  # mm from the middle to the sides


def without_data_sets(folder):
    """Make Geant4 look for its data sets in empty folders; without this, its import asks for a download."""
    os.environ["GEANT4_DATA_DIR"] = str(folder)
    for name in DATA_SETS:
        (folder / name).mkdir()
        os.environ[f"G4{name}DATA"] = str(folder / name)
    (folder / "ENSDFSTATE" / "ENSDFSTATE.dat").touch()


def simulate(material, thickness, momentum, muons, seed):
    """x, y (mm), px, py, pz (GeV) and lost energy (MeV) of the muons behind the slab, and x_over_X0 of the slab."""
    import geant4_pybind as g4

    rows = []

    class Slab(g4.G4VUserDetectorConstruction):
        def Construct(self):
            nist = g4.G4NistManager.Instance()
            self.vacuum, self.matter = (nist.FindOrBuildMaterial(name) for name in ("G4_Galactic", material))
            self.world = g4.G4LogicalVolume(g4.G4Box("world", SIDE, SIDE, thickness / 2 + GAP), self.vacuum, "world")
            self.slab = g4.G4LogicalVolume(g4.G4Box("slab", SIDE, SIDE, thickness / 2), self.matter, "slab")
            self.steps = g4.G4UserLimits(thickness / STEPS)
            self.slab.SetUserLimits(self.steps)
            world = g4.G4PVPlacement(None, g4.G4ThreeVector(), self.world, "world", None, False, 0)
            g4.G4PVPlacement(None, g4.G4ThreeVector(), self.slab, "slab", self.world, False, 0)
            return world

    class OfMuonsOnly(g4.G4VPhysicsConstructor):
        def __init__(self):
            super().__init__("of muons only")
            self.standard = g4.G4EmStandardPhysics()

        def ConstructParticle(self):
            self.standard.ConstructParticle()

        def ConstructProcess(self):
            self.standard.ConstructProcess()
            for particle in list(g4.G4ParticleTable.GetParticleTable().GetParticleList()):
                if particle.GetParticleName() in ("mu+", "mu-") or particle.GetProcessManager() is None:
                    continue
                for process in list(particle.GetProcessManager().GetProcessList()):
                    if process.GetProcessName() != "Transportation":
                        particle.GetProcessManager().RemoveProcess(process)

    class Physics(g4.G4VModularPhysicsList):
        def __init__(self):
            super().__init__()
            self.parts = (OfMuonsOnly(), g4.G4StepLimiterPhysics())
            for part in self.parts:
                self.RegisterPhysics(part)

    class Pencil(g4.G4VUserPrimaryGeneratorAction):
        def __init__(self):
            super().__init__()
            muon = g4.G4MuonMinus.Definition()
            self.gun = g4.G4ParticleGun(1)
            self.gun.SetParticleDefinition(muon)
            self.gun.SetParticleMomentumDirection(g4.G4ThreeVector(0, 0, 1))
            self.gun.SetParticlePosition(g4.G4ThreeVector(0, 0, -thickness / 2))
            self.gun.SetParticleEnergy(np.hypot(momentum * g4.GeV, muon.GetPDGMass()) - muon.GetPDGMass())

        def GeneratePrimaries(self, event):
            self.gun.GeneratePrimaryVertex(event)

    class Alone(g4.G4UserStackingAction):
        def ClassifyNewTrack(self, track):
            kinds = g4.G4ClassificationOfNewTrack
            return kinds.fUrgent if track.GetParentID() == 0 else kinds.fKill

    class Behind(g4.G4UserTrackingAction):
        def PostUserTrackingAction(self, track):
            at, p = track.GetPosition(), track.GetMomentum() / g4.GeV
            if at.z > thickness / 2 and p.z > 0:
                lost = (track.GetVertexKineticEnergy() - track.GetKineticEnergy()) / g4.MeV
                rows.append((at.x, at.y, p.x, p.y, p.z, lost))

    class Actions(g4.G4VUserActionInitialization):
        def Build(self):
            for action in (Pencil(), Alone(), Behind()):
                self.SetUserAction(action)

    manager, slab = g4.G4RunManager(), Slab()
    g4.HepRandom.setTheSeed(seed)
    for part in (slab, Physics(), Actions()):
        manager.SetUserInitialization(part)
    parameters = g4.G4EmParameters.Instance()
    parameters.SetFluo(False)
    parameters.SetMuHadLateralDisplacement(True)
    parameters.SetVerbose(0)
    manager.Initialize()
    manager.BeamOn(muons)
    columns = np.array(rows).reshape(-1, 6).T
    return dict(zip(("x", "y", "px", "py", "pz", "lost"), columns, strict=True)) | {
        "x_over_X0": thickness / slab.matter.GetRadlen()
    }


if __name__ == "__main__":
    name, thickness, momentum, muons, seed, out = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        without_data_sets(Path(folder))
        np.savez(out, **simulate(name, float(thickness), float(momentum), int(muons), int(seed)))
