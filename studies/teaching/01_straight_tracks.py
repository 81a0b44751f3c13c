# %% [markdown]
# # Straight tracks: where should the planes stand?
#
# Twelve planes measure points of a straight track. You will learn what the least-squares fit of a line makes of them,
# where the planes should stand to know its slope, or where it came from, and how a gradient finds such places by itself,
# first by hand and then with detopt. You will also meet the first thing that can go wrong: a local optimum.
#
# `python studies/teaching/01_straight_tracks.py` takes about a minute and a half; `--quick` leaves out the longer
# searches. Figures go to `--out`.

# %%
import math
from typing import Any

import numpy as np
from lesson import Lesson
from matplotlib.ticker import MaxNLocator

import detopt
from detopt.backend import jax, jnp
from detopt.report.style import AFTER, BEFORE, FAINT, INK, THIRD, WARNING, Drawing, styled

lesson = Lesson("01_straight_tracks")

# %% [markdown]
# ## (a) The line fit
#
# Planes at $x_i$ measure $y_i$ with errors of width $\sigma$ each; the line is $y = c + s\,x$. Least squares (PDG review
# of *Statistics*, method of least squares) gives the slope and the height of the line at any other place $x$ with
#
# $$ \mathrm{var}(s) = \frac{\sigma^2}{S}, \qquad
#    \mathrm{var}(y(x)) = \sigma^2\left[\frac{1}{N} + \frac{(x-\bar x)^2}{S}\right], \qquad
#    S = \sum_i (x_i - \bar x)^2 . $$
#
# Only the positions and $\sigma$ count, not what was measured. That is what makes the design of a tracker so pleasant: the
# error is known before there is any data.

# %%
NUMBER, LENGTH, SIGMA = 12, 1000.0, 0.1  # planes; mm; mm


def slope_variance(x: Any) -> Any:
    """Of the slope, in units of SIGMA^2."""
    return 1 / jnp.sum((x - jnp.mean(x)) ** 2)


def height_variance(x: Any, at: Any) -> Any:
    """Of the height of the line at a place, in units of SIGMA^2."""
    return 1 / len(x) + (at - jnp.mean(x)) ** 2 * slope_variance(x)


def split(near: int, number: int = NUMBER) -> np.ndarray:
    """So many planes at 0, the rest at LENGTH."""
    return np.where(np.arange(number) < near, 0.0, LENGTH)


rng = np.random.default_rng(1)
evenly = np.linspace(0, LENGTH, NUMBER)
lines = [np.polyfit(evenly, 0.3 * evenly + SIGMA * rng.normal(size=NUMBER), 1)[0] for _ in range(20_000)]
predicted = SIGMA * math.sqrt(slope_variance(evenly))
print(f"error of the slope: 20 000 fitted lines {1e6 * np.std(lines):.1f} urad, the formula {1e6 * predicted:.1f} urad")

# %% [markdown]
# ## (b) Where the planes should stand
#
# $S$ is largest when half of the planes stand at each end: $S = N L^2/4$, and
#
# $$ \mathrm{var}(s) = \frac{4\,\sigma^2}{N L^2}. $$
#
# Planes at equal distances have $S = N(N+1)L^2 / 12(N-1)$. Their variance is larger by $3(N-1)/(N+1)$: nearly a factor of
# three for nothing. (For curved tracks the same question was answered by Gluckstern, NIM 24 (1963) 381,
# [doi:10.1016/0029-554X(63)90347-1](https://doi.org/10.1016/0029-554X(63)90347-1).)

# %%
BEST_SLOPE = 4 / (NUMBER * LENGTH**2)
ratio = slope_variance(evenly) / BEST_SLOPE
print(f"variance of the slope, equal distances over the best: {ratio:.4f} = 3 x 11 / 13 = {33 / 13:.4f}")
with styled():
    figure = Drawing(7.6, 3.7)
    x = np.linspace(-500, 1100, 200)
    for i, (name, places, colour) in enumerate(
        (("equal distances", evenly, BEFORE), ("half at each end", split(6), AFTER))
    ):
        ax = figure.panel(0.85 + 3.35 * i, 0.75, 3.05, 2.25)
        band = 1e3 * SIGMA * np.sqrt(1 / NUMBER + (x - places.mean()) ** 2 / ((places - places.mean()) ** 2).sum())
        ax.fill_between(x, -band, band, color=colour, alpha=0.35, linewidth=0)
        ax.axhline(0, color=INK, linewidth=0.8)
        for end in np.unique(places):
            stacked = (places == end).sum()
            ax.plot([end, end], [-25, 25], color=INK, linewidth=1 + 0.5 * stacked)
            if stacked > 1:
                ax.text(end, -52, f"{stacked} planes", ha="center", size="x-small")
        ax.set(xlim=(-500, 1150), ylim=(-120, 120), title=name, xlabel="place $x$ [mm]")
        if i == 0:
            ax.set_ylabel(r"height of the line [$\mu$m]")
        else:
            ax.tick_params(labelleft=False)
    figure.say(0.3, r"One standard deviation of the fitted line ($\sigma$ = 100 $\mu$m a plane)")
lesson.finish(figure, "1_bands")

# %% [markdown]
# ## (c) By gradient
#
# Suppose nobody had told us. JAX differentiates `slope_variance` to the twelve positions, and we walk downhill: each step
# against the gradient (of the logarithm, so that steps have a natural size), and back to $[0, L]$ where a plane has left
# it.


# %%
@jax.jit
def descend(start: jax.Array) -> jax.Array:
    """Positions along 1000 steps downhill, (1000, planes)."""

    def step(x: jax.Array, _: Any) -> tuple[jax.Array, jax.Array]:
        slope = jax.grad(lambda x: jnp.log(slope_variance(x)))(x)
        x = jnp.clip(x - 0.02 * LENGTH**2 * slope, 0, LENGTH)
        return x, x

    return jax.lax.scan(step, start, None, 1000)[1]


STARTS = lesson.scaled(2000, 500)
starts = rng.uniform(0, LENGTH, (STARTS, NUMBER))
paths = np.asarray(jax.vmap(descend)(jnp.asarray(starts)))
ends = paths[:, -1]
above = np.asarray(jax.vmap(slope_variance)(jnp.asarray(ends))) / BEST_SLOPE
near = (ends < LENGTH / 2).sum(1)
print(f"{STARTS} random starts; where they end:")
for fewer in range(6, 1, -1):
    here = np.minimum(near, NUMBER - near) == fewer
    if here.any():
        print(
            f"  {fewer:2}:{NUMBER - fewer:<2}{100 * here.mean():6.1f} %   {above[here].mean():.4f} x the best variance"
        )

# %% [markdown]
# Every search ends with all planes at the ends, but not always with six at each. Seven at one end and five at the other
# are a *local optimum*: the variance is 36/35 of the best, and yet no small step improves it. Each plane is pushed away
# from the mean of all others. One of the seven would have to cross the middle, and on its way there things get worse
# before they get better. The right figure shows the hill.

# %%
with styled():
    figure = Drawing(7.6, 3.9)
    ax = figure.panel(0.85, 0.75, 2.8, 2.5)
    shown = int(np.argmax(np.minimum(near, NUMBER - near) == 5))
    moving = int((paths[shown] != ends[shown]).any(1).sum()) + 5
    ax.plot(paths[shown], color=BEFORE, linewidth=1.2)
    ax.set(xlim=(0, moving), ylim=(-40, 1040), xlabel="step", ylabel="places of the planes [mm]")
    ax.set_title(f"a search that ends at {near[shown]}:{NUMBER - near[shown]}", fontsize="small")
    ax = figure.panel(4.55, 0.75, 2.8, 2.5)
    way = np.linspace(0, LENGTH, 101)
    for fixed, colour, name in ((6, AFTER, "7:5 to 6:6"), (7, THIRD, "8:4 to 7:5")):
        others = np.delete(split(fixed + 1), 0)
        hill = [float(slope_variance(jnp.append(others, w))) / BEST_SLOPE for w in way]
        ax.plot(way, hill, color=colour)
        ax.text(500, max(hill) + 0.008, name, color=colour, size="small", ha="center")
        ax.plot([0, LENGTH], [hill[0], hill[-1]], "o", color=colour, markersize=6)
    ax.set(xlim=(-40, 1040), ylim=(0.98, 1.3), xlabel="place of one plane [mm]", ylabel="variance, over the best")
    ax.set_title("the hill between two optima", fontsize="small")
    figure.say(0.3, "What a local optimum is")
lesson.finish(figure, "2_local_optimum")

# %% [markdown]
# ## (d) Where did it come from?
#
# Often one wants to know the track not between the planes but before them, at a vertex a distance $d$ in front of the
# first. With a fraction $f$ of the planes at $0$ and the rest at $L$, both ends are averages with errors
# $\sigma/\sqrt{fN}$ and $\sigma/\sqrt{(1-f)N}$, and the line through them has at $-d$
#
# $$ \frac{N\,\mathrm{var}}{\sigma^2} = \frac{(L+d)^2}{f L^2} + \frac{d^2}{(1-f) L^2},
#    \qquad f^* = \frac{L+d}{L+2d}, \qquad \frac{N\,\mathrm{var}^*}{\sigma^2} = \left(\frac{L+2d}{L}\right)^2. $$
#
# That two places are enough, and which share of the planes each takes, is a theorem: Elfving, Ann. Math. Statist. 23
# (1952) 255, [doi:10.1214/aoms/1177729442](https://doi.org/10.1214/aoms/1177729442).

# %%
DISTANCE = LENGTH / 2
with styled():
    figure = Drawing(6.6, 4.4)
    ax = figure.panel(0.85, 0.75, 5.5, 3.2)
    f = np.linspace(0.2, 0.98, 200)
    for d, colour, dash in ((0.25, BEFORE, "--"), (0.5, AFTER, "-"), (1.0, THIRD, "-.")):
        ax.plot(f, (1 + d) ** 2 / f + d**2 / (1 - f), color=colour, linestyle=dash, label=f"$d$ = {d:g} $L$")
        whole = np.arange(3, 12)
        ax.plot(whole / 12, (1 + d) ** 2 * 12 / whole + d**2 * 12 / (12 - whole), "o", color=colour, markersize=4)
        ax.plot((1 + d) / (1 + 2 * d), (1 + 2 * d) ** 2, "*", color=colour, markersize=15)
        equal = NUMBER * float(height_variance(evenly, -d * LENGTH))
        ax.plot([0.2, 0.26], [equal, equal], color=colour, linewidth=3)
        print(
            f"d = {d:.2f} L: best {(1 + 2 * d) ** 2:.2f} at f = {(1 + d) / (1 + 2 * d):.2f}; equal distances {equal:.2f}"
        )
    ax.text(0.27, 27.9, "short bars: equal distances", size="small", va="center")
    ax.set(xlim=(0.2, 1), ylim=(0, 32), xlabel="fraction $f$ of the planes at the near end")
    ax.set_ylabel(r"$N$ var / $\sigma^2$ at the vertex")
    ax.legend(loc="upper right", fontsize="small", bbox_to_anchor=(0.93, 0.99))
    figure.say(0.3, "Stars: the best. Dots: twelve whole planes, some here and the rest there")
lesson.finish(figure, "3_vertex")

# %% [markdown]
# ## (e) The same with detopt
#
# A detector is a YAML file. Here twelve cylinders stand around the beam, between 0.5 m and 1.5 m; they weigh nothing, and
# there is no magnetic field, so a particle from the origin is a straight track through twelve planes. Its azimuth `phi` is
# the slope, and `d0`, how far from the origin it passes, the height of the line at $-d$, $d$ = 0.5 m. A study says what is
# free and what counts.

# %%
layers = "\n".join(
    f"  - {{name: L{i}, type: barrel_layer, radius: {r:.1f} mm, half_length: 10 m, x_over_X0: 0 %, resolution: 100 um}}"
    for i, r in enumerate(DISTANCE + evenly)
)
lesson.write("twelve_layers.yaml", f"schema: 1\nname: twelve_layers\nframe: barrel\nelements:\n{layers}\n")


def study_text(of: str, search: str, more: str = "") -> str:
    """A study of the twelve layers."""
    radii = "\n".join(f"  L{i}.radius: {{bounds: [500 mm, 1500 mm]}}" for i in range(NUMBER))
    return f"""schema: 1
name: straight_{of}
detector: ./twelve_layers.yaml
source: {{type: gun, momentum: 10 GeV, theta: 90 deg}}
variables:
{radii}
objectives: {{{of}: {{type: resolution, of: {of}}}}}
{more}search: {{type: gradient, steps: 100, learning_rate: 0.05, {search}}}
"""


def optimised(of: str, search: str, more: str = "") -> tuple[float, float, np.ndarray]:
    """Resolution of the initial and of the best design found, and its radii in mm."""
    study = detopt.load(lesson.write(f"straight_{of}.yaml", study_text(of, search, more)))
    run = study.optimise(out=lesson.out / "runs" / f"{of}_{len(list((lesson.out / 'runs').glob('*')))}")
    result = run.result
    first, last = (result[which]["objectives"][of]["value"] for which in ("initial", "final"))
    return first, last, np.sort([v["final"] for v in result["variables"]])


print(study_text("phi", "restarts: 0"))
study = detopt.load(lesson.write("straight_phi.yaml", study_text("phi", "restarts: 0")))
value = study.evaluate()["objectives"]["phi"]["value"]
print(f"study.evaluate(): {1e6 * value:.2f} urad; by hand {1e6 * SIGMA * math.sqrt(slope_variance(evenly)):.2f} urad")

# %% [markdown]
# `study.optimise()` follows the gradient of that number, as we did in (c), with a better rule for its steps, and leaves a
# folder with a report. For the slope it finds the optimum from equal distances at once. For the vertex it does not: the
# search gets stuck with seven layers near and five far, where nine and three are best. Random `restarts` help. Better is
# `placement: grid`, which first asks how large a *share* of the layers should stand at each place of a grid. That question
# has no local optimum (it is convex), and its answer is where the search then starts.

# %%
searches = {"slope, from equal distances": ("phi", "restarts: 0")}
if not lesson.quick:
    searches["vertex, from equal distances"] = ("d0", "restarts: 0")
searches["vertex, from shares on a grid"] = ("d0", "restarts: 0, placement: grid")
found = {name: optimised(*asked) for name, asked in searches.items()}
best = {"phi": SIGMA * math.sqrt(BEST_SLOPE), "d0": SIGMA * 2 / math.sqrt(NUMBER)}
print(f"{'':32}{'equal':>10}{'found':>10}{'best':>10}{'near:far':>10}")
for name, (first, last, radii) in found.items():
    of = searches[name][0]
    scale, unit = (1e6, "urad") if of == "phi" else (1e3, "um")
    near_far = f"{(radii < 1000).sum()}:{(radii > 1000).sum()}"
    print(f"{name:32}{scale * first:>10.2f}{scale * last:>10.2f}{scale * best[of]:>10.2f}{near_far:>10} {unit}")

# %%
with styled():
    rows = {"where all start": DISTANCE + evenly} | {name: radii for name, (*_, radii) in found.items()}
    figure = Drawing(7.6, 1.35 + 0.62 * len(rows))
    ax = figure.panel(2.75, 0.75, 4.5, 0.62 * len(rows))
    for y, (name, radii) in zip(range(len(rows))[::-1], rows.items(), strict=True):
        colour = BEFORE if y == len(rows) - 1 else AFTER
        if y != len(rows) - 1:
            of = searches[name][0]
            colour = AFTER if found[name][1] < 1.01 * best[of] else WARNING
        places, stacked = np.unique(radii.round(0), return_counts=True)
        for r, n in zip(places, stacked, strict=True):
            ax.plot([r, r], [y - 0.3, y + 0.3], color=colour, linewidth=1.5 + 0.4 * n)
            if n > 1:
                ax.text(r + (22 if r < 1000 else -22), y, f"{n}", ha="left" if r < 1000 else "right", va="center")
    ax.axvline(0, color=FAINT, linewidth=1, linestyle=":")
    ax.text(20, len(rows) - 0.55, "vertex", color=FAINT, size="small", va="top")
    ax.set_yticks(range(len(rows))[::-1], list(rows), size="small")
    ax.tick_params(axis="y", which="both", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set(xlim=(-60, 1600), ylim=(-0.6, len(rows) - 0.4), xlabel="radius of the layers [mm]")
    figure.say(0.3, "Blue: the optimum. Red: a local one. Numbers: layers at the same place")
lesson.finish(figure, "4_detopt")

# %% [markdown]
# ## What to remember
#
# * The error of a straight track follows from where its planes stand: half at each end for the slope, most at the near end
#   for a vertex. Equal distances cost a factor of 2.5 to 2.8 in variance.
# * A gradient needs no such formula, and finds the same places.
# * It stops where no small step helps. Start from several places, or from a question that has no local optimum.
#
# ## Exercises
#
# 1. With eleven planes, half at each end is not possible. What is best, and how far is it from $4\sigma^2/NL^2$?
# 2. The vertex lies at $d = 2L$. Which share of the planes stands at the near end, and what is gained over equal
#    distances?
# 3. From (c): how many random starts does one need, to find the best split with a probability of 99 %?
# 4. Planes have a thickness: they need a gap of 30 mm between neighbours. What does that cost the slope? Work it out by
#    hand, then let detopt find it (`constraints: {gap: {type: minimum_gap, min: 30 mm}}`).

# %% [markdown]
# ## Solutions
#
# **1.** Five and six. Each plane is at one end, so that $S = n(N-n)L^2/N$ is all that there is to compare.

# %%
for n in range(3, 6):
    off = float(slope_variance(split(n, 11))) / (4 / (11 * LENGTH**2))
    print(f"{n}:{11 - n}: {off:.4f} x the formula's variance")

# %% [markdown]
# **2.** The farther the vertex, the more it is a question about the slope, and the nearer to one half is the share.

# %%
d = 2 * LENGTH
share, least = (LENGTH + d) / (LENGTH + 2 * d), ((LENGTH + 2 * d) / LENGTH) ** 2
whole = min(range(1, NUMBER), key=lambda n: float(height_variance(split(n), -d)))
equal = NUMBER * float(height_variance(evenly, -d))
print(f"share {share:.2f}; with twelve planes {whole}:{NUMBER - whole}")
print(
    f"N var / sigma^2: {least:.1f} at best, {NUMBER * float(height_variance(split(whole), -d)):.1f} with whole planes"
)
print(f"equal distances: {equal:.1f}, {equal / least:.2f} times the best variance")

# %% [markdown]
# **3.** If one start succeeds with probability $p$, all of $k$ fail with $(1-p)^k$.

# %%
success = float((near == NUMBER // 2).mean())
print(f"p = {success:.2f}; {math.ceil(math.log(0.01) / math.log(1 - success))} starts")

# %% [markdown]
# **4.** Six planes at each end, one gap behind the other: the outer ones stay where they were, the others move inwards.

# %%
GAP = 30.0
inward = GAP * np.arange(6)
stacks = np.concatenate([inward, LENGTH - inward])
print(
    f"by hand: {1e6 * SIGMA * math.sqrt(slope_variance(stacks)):.2f} urad, without a gap {1e6 * best['phi']:.2f} urad"
)
if not lesson.quick:
    _, last, radii = optimised("phi", "restarts: 0", "constraints: {gap: {type: minimum_gap, min: 30 mm}}\n")
    print(f"detopt:  {1e6 * last:.2f} urad, smallest gap {np.diff(radii).min():.2f} mm")
