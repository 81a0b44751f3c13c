# %% [markdown]
# # Muon tomography: what is in the box?
#
# Cosmic muons scatter in what they pass. You will look into a closed box with them, make an image from where two tracks
# come closest and a better one from a likelihood, and see how long one must look. Then you will move and enlarge the
# panels, and meet the trade-off that all such portals have: sharp angles or many muons.
#
# `python studies/teaching/04_muon_tomography.py` takes about three minutes, most of it to compile; `--quick` tries fewer
# designs. Figures go to `--out`. The portal is in `portal.py`, beside this file.

# %%
from functools import cache
from typing import Any

import numpy as np
import portal
from lesson import Lesson
from matplotlib.colors import LogNorm

from detopt.report.style import AFTER, BEFORE, FAINT, THIRD, WARNING, Drawing, log_ticks, styled

lesson = Lesson("04_muon_tomography")

# %% [markdown]
# ## (a) A portal
#
# Three muons cross four square centimetres of the ground in a minute. Two panels above the box measure each on its way
# in, two below on its way out. Inside, hidden from us, are two blocks of 10 cm, one of lead ($X_0$ = 5.6 mm), one of iron
# ($X_0$ = 17.6 mm). The idea is from Los Alamos: Borozdin et al., Nature 422 (2003) 277,
# [doi:10.1038/422277a](https://doi.org/10.1038/422277a).

# %%
print(portal.Design().yaml())


@cache
def look(design: portal.Design, seconds: float, seed: int = 0) -> Any:
    """The image that a portal makes of its box."""
    path = lesson.write(f"portal_{design.apart:g}_{design.span:g}.yaml", design.yaml())
    found = portal.image(path, seconds, seed)
    print(
        f"{design.apart:6.0f} mm apart, span {design.span:5.0f} mm, {seconds:4.0f} s: {found.seen} of {found.muons} seen"
    )
    return found


# %% [markdown]
# ## (b) Two images
#
# The simplest image takes each muon as scattered once, where the lines of its two tracks come closest (PoCA, the *point of
# closest approach*), and adds the square of its angle there. The angle has a width that Highland's formula gives (lesson
# 2), so the sum in a voxel measures its $1/X_0$. But a muon scatters all along its way, and the point says little about
# the height: where the angle is small, the two lines are nearly parallel.
#
# The better image asks which map of $1/X_0$ makes all measured angles *and* displacements most likely, for all voxels
# together: Schultz et al., IEEE Trans. Image Process. 16 (2007) 1985,
# [doi:10.1109/TIP.2007.901239](https://doi.org/10.1109/TIP.2007.901239). Both know the momentum of each muon here. In
# reality one has to guess it, and exercise 3 asks what that costs.
#
# One number will tell us how good an image is: the share of all the matter in the map that is *misplaced*, outside of the
# two blocks.

# %%
EXPOSURES = (15.0, 60.0) if lesson.quick else (15.0, 60.0, 240.0)
long = look(portal.Design(), EXPOSURES[-1])
NORM = LogNorm(5, 2000)


def slice_of(found: Any, density: np.ndarray) -> np.ndarray:
    """X0 in mm in a vertical slice through the middle of both blocks."""
    middle = found.box.voxels[1] // 2
    with np.errstate(divide="ignore"):
        return 1 / np.nanmean(density[:, middle - 1 : middle + 1], axis=1).T


def show(figure: Drawing, left: float, values: np.ndarray, title: str, first: bool) -> Any:
    """One slice, with the outlines of the blocks."""
    ax = figure.panel(left, 0.75, 2.25, 1.5)
    drawn = ax.imshow(
        np.clip(values, NORM.vmin, NORM.vmax),
        origin="lower",
        norm=NORM,
        cmap="viridis_r",
        extent=(-300, 300, -200, 200),
    )
    for x in (-150, 100):
        ax.plot([x, x + 100, x + 100, x, x], [-50, -50, 50, 50, -50], color=WARNING, linewidth=0.9)
    ax.set_title(title, fontsize="small")
    ax.set_xlabel("x [mm]", fontsize="small")
    ax.tick_params(labelleft=first, labelsize="x-small")
    ax.set_xticks([-200, 0, 200])
    ax.minorticks_off()
    if first:
        ax.set_ylabel("z [mm]", fontsize="small")
    return drawn


def slices(panels: dict[str, np.ndarray], words: str) -> Drawing:
    """Slices side by side, and what their colours mean."""
    width = 0.95 + 2.45 * len(panels) + 0.85
    figure = Drawing(width, 3.2)
    for i, (title, values) in enumerate(panels.items()):
        drawn = show(figure, 0.95 + 2.45 * i, values, title, i == 0)
    bar = figure.panel(0.95 + 2.45 * len(panels), 0.85, 0.14, 1.3)
    figure.colorbar(drawn, cax=bar)
    bar.set_title("$X_0$ [mm]", fontsize="x-small", loc="left")
    bar.tick_params(labelsize="x-small")
    figure.say(0.3, words)
    return figure


for name, density in (("closest approach", long.poca), ("likelihood", long.likely)):
    print(f"{name:18}{100 * portal.misplaced(long, density):5.0f} % misplaced", end="")
    for block in ("lead", "iron"):
        print(f"; 1/X0 of the {block} {portal.thickness(long, density, block):.2f} of the true one", end="")
    print()
with styled():
    figure = slices(
        {
            "true": slice_of(long, long.truth),
            "closest approach": slice_of(long, long.poca),
            "most likely": slice_of(long, long.likely),
        },
        f"The box from the side, {EXPOSURES[-1]:.0f} s of muons; outlines: the blocks",
    )
lesson.finish(figure, "1_images")

# %% [markdown]
# ## (c) How long must one look?
#
# The lead block sees about 75 muons a minute; those that both sides measure are fewer. A variance measured with $N$
# angles has a relative error of $\sqrt{2/N}$, or $\sqrt{1/N}$ from two projections. No image can be better than that, and
# that is why the noise falls only as one over the root of the exposure. Blocks come out too thin as long as there are few
# muons: the map starts with the same matter everywhere, and what the muons do not decide stays there.

# %%
SEEDS = lesson.scaled(2, 1)
timed = {t: [look(portal.Design(), t, seed) for seed in range(SEEDS)] for t in EXPOSURES}
with styled():
    figure = slices(
        {f"{t:.0f} s": slice_of(timed[t][0], timed[t][0].likely) for t in EXPOSURES},
        "The most likely map as time goes by",
    )
lesson.finish(figure, "2_exposure")


# %%
def mean_misplaced(images: list[Any]) -> float:
    """Mean share of misplaced matter in the most likely maps, in %."""
    return float(np.mean([100 * portal.misplaced(i, i.likely) for i in images]))


with styled():
    figure = Drawing(7.6, 3.7)
    ax = figure.panel(0.85, 0.75, 2.8, 2.4)
    ax.plot(EXPOSURES, [mean_misplaced(timed[t]) for t in EXPOSURES], "o-", color=AFTER)
    ax.set(xlim=(10, 400), ylim=(0, 100), xlabel="exposure [s]", ylabel="misplaced matter [%]")
    log_ticks(ax, "x")
    ax = figure.panel(4.55, 0.75, 2.8, 2.4)
    for block, colour, marker in (("lead", AFTER, "o"), ("iron", THIRD, "s")):
        for t in EXPOSURES:
            values = [portal.thickness(i, i.likely, block) for i in timed[t]]
            label = block if t == EXPOSURES[0] else None
            ax.plot([t] * len(values), values, marker, color=colour, markersize=6, alpha=0.75, label=label)
    ax.axhline(1, color=FAINT, linewidth=1)
    ax.set(xlim=(10, 400), ylim=(0, 1.6), xlabel="exposure [s]", ylabel="$1/X_0$, over the true")
    log_ticks(ax, "x")
    ax.legend(loc="upper right", fontsize="x-small", ncols=2)
    figure.say(0.3, "Left: how much is in the wrong place. Right: what the blocks are found to be")
lesson.finish(figure, "3_exposure_decides")

# %% [markdown]
# ## (d) Move a panel, enlarge a panel
#
# The error of an angle is $\sqrt2\,\sigma/L$, with $\sigma$ = 1 mm and $L$ the distance of the two panels of a side. At
# $L$ = 10 cm that is 14 mrad, about as much as 10 cm of iron scatter at 3 GeV. Move the outer panels away, and angles get
# sharp. But oblique muons now miss them, and those that are left are fewer: the same trade-off as in lesson 3. Larger
# panels catch them again, at the price of their area.

# %%
SECONDS = EXPOSURES[1]


def mean_off(images: list[Any]) -> float:
    """Error of the 1/X0 of both blocks (root of the mean square), in % of the true ones."""
    found = np.array([portal.thickness(i, i.likely, block) for i in images for block in ("lead", "iron")])
    return float(100 * np.sqrt(np.mean((found - 1) ** 2)))


APART = (400.0,) if lesson.quick else (100.0, 400.0, 800.0, 1600.0)
SPANS = (600.0, 800.0) if lesson.quick else (600.0, 800.0, 1200.0)
moved = {a: [look(portal.Design(apart=a), SECONDS, seed) for seed in range(SEEDS)] for a in APART}
enlarged = {s: [look(portal.Design(span=s), SECONDS, seed) for seed in range(SEEDS)] for s in SPANS}
with styled():
    figure = Drawing(7.6, 5.2)
    for column, (words, tried) in enumerate((("panels apart [mm]", moved), ("span of the panels [mm]", enlarged))):
        top, low = (figure.panel(0.95 + 3.45 * column, bottom, 3.0, 1.8) for bottom in (2.75, 0.75))
        x = list(tried)
        top.plot(x, [np.mean([i.seen for i in tried[v]]) for v in x], "o-", color=THIRD)
        low.plot(x, [mean_misplaced(tried[v]) for v in x], "o-", color=AFTER, label="matter that is misplaced")
        low.plot(x, [mean_off(tried[v]) for v in x], "s--", color=BEFORE, label="error of a block's $1/X_0$")
        top.set(ylim=(0, 2200))
        low.set(ylim=(0, 119), xlabel=words)
        top.tick_params(labelbottom=False)
        for ax in (top, low):
            ax.set_xlim(*((0, 1700) if column == 0 else (500, 1300)))
            ax.tick_params(labelleft=column == 0)
        if column == 0:
            top.set_ylabel("muons that are seen")
            low.set_ylabel("share [%]")
            low.legend(loc="upper right", fontsize="x-small")
    figure.say(0.3, f"Sharp angles or many muons: {SECONDS:.0f} s, spans of 800 mm (left), 400 mm apart (right)")
lesson.finish(figure, "4_designs")
for words, tried in (("apart", moved), ("span", enlarged)):
    for value, images in tried.items():
        seen = np.mean([i.seen for i in images])
        print(
            f"{words:6}{value:6.0f} mm:{seen:6.0f} muons seen, {mean_misplaced(images):.0f} % misplaced, "
            f"blocks wrong by {mean_off(images):.0f} %"
        )

# %% [markdown]
# Two questions, two answers. Farther out, less matter is misplaced, as far as we go: the few muons that are left point
# sharply. But they are too few to say how dense the blocks are, and for that 400 mm is best of the four. These are errors
# of two images each, and so no better than a rough guide; larger panels help with both.
#
# ## What to remember
#
# * A block is seen by the variance of angles. Its relative error is $1/\sqrt N$ at best, so time buys little: four times
#   the exposure for half the noise.
# * The closest points give an image at once; the likelihood of all muons puts the matter where it is.
# * A panel farther out measures better and sees less. Which of the two counts, the image must say.
#
# ## Exercises
#
# 1. How many muons cross the lead block in a minute, seen or not? How well can its $1/X_0$ be known at best?
# 2. In a uniform slab, how often does the point of closest approach lie *outside* the slab? Take a projection in which
#    angle and displacement have variances $1$ and $T^2/3$ and the correlation $\sqrt3/2$ (per $\theta_0$, seen from the
#    entry).
# 3. Momenta are not known, only their spectrum (`momentum="spectrum"`). What does the image of a minute lose?
# 4. Panels are paid by their area. Which span of (d) sees most muons for its money?

# %% [markdown]
# ## Solutions
#
# **1.** As many as cross the top of the box, by area.

# %%
a_minute = look(portal.Design(), 60.0)
through_the_top = a_minute.muons
area = 4 * portal.HALF[0] * portal.HALF[1] / 100  # cm2
crossing = through_the_top / area * 100
print(
    f"{through_the_top} through {area:.0f} cm2: {crossing:.0f} through the block; at best {100 / crossing**0.5:.0f} %"
)
share = a_minute.seen / a_minute.muons
print(f"{100 * share:.0f} % of all are seen: {100 / (share * crossing) ** 0.5:.0f} %")

# %% [markdown]
# **2.** The two lines meet at the depth where the line behind the slab, drawn backwards, crosses the one in front: at the
# displacement over the angle, before the exit. It lies outside if that is negative or larger than $T$.

# %%
rng = np.random.default_rng(4)
angle, other = rng.normal(size=(2, 1_000_000, 2))
aside = np.sqrt(1 / 3) * (np.sqrt(3) / 2 * angle + other / 2)  # in units of T
depth = (angle * aside).sum(1) / (angle**2).sum(1)  # of two projections: where the lines come closest
print(
    f"outside: {100 * np.mean((depth < 0) | (depth > 1)):.1f} % (by formula 13.4 %: Student's t, 2 degrees of freedom)"
)

# %% [markdown]
# **3.** A slow muon in little matter turns as far as a fast one in much. (Not in a quick run: it takes a while.)

# %%
if not lesson.quick:
    unknown = portal.image(lesson.out / "portal_400_800.yaml", 60.0, momentum="spectrum")
    for name, found in (("known", a_minute), ("spectrum only", unknown)):
        print(f"{name:14}{100 * portal.misplaced(found, found.likely):4.0f} % misplaced", end="")
        print("".join(f"; {b} {portal.thickness(found, found.likely, b):.2f}" for b in ("lead", "iron")))

# %% [markdown]
# **4.** Four panels of each span.

# %%
for span, images in enlarged.items():
    seen = np.mean([i.seen for i in images])
    print(f"{span:5.0f} mm: {seen:5.0f} muons, {seen / (4 * span**2 / 1e6):5.0f} for each square metre")
