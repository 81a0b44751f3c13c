"""Time TomOpt by its own public interface: run in its own environment, by `make bench-tomography`.

1 m3 of beryllium with lead in it, 10x10x10 voxels of 10 cm, four panels above and four below, its X0 inference and loss,
value and gradient to the place and span of all panels. Prints muons per second as JSON.
"""

import json
import sys
import time

import torch
from tomopt.inference import PanelX0Inferrer, ScatterBatch
from tomopt.muon import MuonBatch, MuonGenerator2016
from tomopt.optimisation import VoxelX0Loss
from tomopt.volume import DetectorPanel, PanelDetectorLayer, PassiveLayer, Volume

BERYLLIUM, LEAD = 0.3528, 0.005612  # X0 in m
RESOLUTION, EFFICIENCY, SPAN = 1e3, 0.9, 1.1  # 1/m, 1, m


def density(*, z, lw, size):
    """X0 of the voxels of a layer: lead in the middle."""
    shape = [round(float(side) / size) for side in lw]
    found = torch.full(shape, BERYLLIUM)
    if 0.3 < float(z) - size / 2 < 0.7:
        found[3:7, 3:7] = LEAD
    return found


def portal(step):
    """Eight panels and ten layers, in m, from the ground up."""
    lw, size = torch.tensor([1.0, 1.0]), 0.1

    def panels(position, top):
        made = [
            DetectorPanel(
                res=RESOLUTION, eff=EFFICIENCY, init_xyz=(0.5, 0.5, top - 0.06 * (i + 0.5)), init_xy_span=(SPAN, SPAN)
            )
            for i in range(4)
        ]
        return PanelDetectorLayer(pos=position, lw=lw, z=top, size=0.24, panels=made)

    shift = 0.24
    layers = [PassiveLayer(lw=lw, z=shift + size * (i + 1), size=size, step_sz=step) for i in reversed(range(10))]
    layers = [panels("above", shift + 1.24), *layers, panels("below", shift)]
    volume = Volume(torch.nn.ModuleList(layers))
    volume.load_rad_length(lambda *, z, lw, size: density(z=float(z) - shift, lw=lw, size=size))
    return volume


def step(volume, generator, loss, muons):
    """One value and gradient."""
    batch = MuonBatch(generator(muons), init_z=volume.h)
    volume(batch)
    inferrer = PanelX0Inferrer(volume)
    inferrer.add_scatters(ScatterBatch(batch, volume))
    value = loss(inferrer.get_prediction(), volume)
    volume.zero_grad()
    value.backward()


def main(muons, seconds, thickness):
    """Repeat for so many seconds, and take the best."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    volume = portal(thickness)
    generator = MuonGenerator2016.from_volume(volume, fixed_mom=None, energy_range=(0.5, 100.0))
    loss = VoxelX0Loss(target_budget=None)
    times, started = [], time.perf_counter()
    while time.perf_counter() - started < seconds or len(times) < 3:
        wall, work = time.perf_counter(), time.process_time()
        step(volume, generator, loss, muons)
        times.append((time.perf_counter() - wall, time.process_time() - work))
    wall, work = (min(column) for column in zip(*times, strict=True))
    print(json.dumps({"rate": muons / wall, "busy": muons / work}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
