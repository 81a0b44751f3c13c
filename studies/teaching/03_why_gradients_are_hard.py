# %% [markdown]
# # Why gradients through a detector are hard
#
# A detector design is improved like a neural network is trained: follow the gradient of a score. JAX gives the gradient
# of any program, so what is the problem? A particle hits a panel or misses it, a plane fires or stays silent. These
# decisions are steps, the derivative of a step is zero nearly everywhere, and so autodiff returns the derivative of
# everything *but* the decisions. The answer looks like a gradient, comes without a warning, and is wrong.
#
# This lesson takes a detector so small that its best design can be written down, and holds against it what people do
# about the steps. It runs in two minutes: `python studies/teaching/03_why_gradients_are_hard.py`; with `--quick` in half
# a minute with larger errors. Figures go to `--out`. The detectors are in `telescope.py`, `efficiency.py` and
# `exposures.py`, the estimators that you should not use in `peers.py`, beside this file.

# %%
from collections.abc import Callable
from typing import Any, NamedTuple

import efficiency
import equinox as eqx
import exposures
import numpy as np
import peers
import telescope
from lesson import Lesson, listing

from detopt.backend import jax, jnp
from detopt.report.style import AFTER, BEFORE, FAINT, INK, THIRD, WARNING, Drawing, styled

lesson = Lesson("03_why_gradients_are_hard")
scaled, finish = lesson.scaled, lesson.finish

# %% [markdown]
# ## (a) Two panels
#
# A beam of muons crosses panel 1 anywhere on its width $W$ = 200 mm, with slopes uniform within $\pm U$, $U$ = 1. A thin
# sample on panel 1 scatters each by an angle of width $\tau$ = 5 mrad. Panel 2, as wide, stands a lever arm $s$ behind.
# The resolution of a hit is $\sigma$ = 1 mm. We know the slopes of the beam and want to know how strongly the sample
# scatters.
#
# Move panel 2 away, and angles get sharper: their variance is $v = \tau^2 + 2\sigma^2/s^2$, and a muon tells
# $(\tau^2/v)^2$ about $\ln\tau^2$. Move it closer, and more muons hit it: a fraction $W/(2Us)$. The product is best at
#
# $$ s^* = \sqrt{6}\,\sigma/\tau = 490\ \mathrm{mm}. $$
#
# Here is the simulation. It is *hard-edged*: a muon that misses panel 2 tells nothing.

# %%
listing(telescope.margin, telescope.measured_angle, telescope.information, telescope.score)

START = 300.0  # mm: where the design starts, too close
MUONS = scaled(20_000, 8_000)  # at a time
lever = jnp.asarray(START)
truth = float(jax.grad(telescope.exact_score)(lever))
muons = telescope.draw(jax.random.key(1), (1_000_000,))
sampled = telescope.score(lever, muons)
print(f"mean of a million muons: {jnp.mean(sampled):.5f} ± {jnp.std(sampled) / 1e3:.5f}")
print(f"acceptance x information: {telescope.exact_score(lever):.5f}, its derivative: {1000 * truth:.4f} per metre")

# %%
with styled():
    figure = Drawing(6.6, 4.4)
    ax = figure.panel(0.85, 0.75, 5.5, 3.3)
    s = np.linspace(210, 1500, 400)
    accepted = telescope.WIDTH / (2 * telescope.SPREAD * s)
    told = (telescope.KICK**2 / telescope.variance(s)) ** 2
    best = float(telescope.exact_score(telescope.BEST))
    ax.plot(s, accepted, color=BEFORE, linestyle="--")
    ax.plot(s, told, color=THIRD, linestyle="-.")
    ax.plot(s, accepted * told / best, color=AFTER, linewidth=3)
    ax.axvline(telescope.BEST, color=FAINT, linewidth=1)
    ax.text(telescope.BEST + 15, 0.03, rf"$s^*$ = {telescope.BEST:.0f} mm", color=INK, size="small")
    ax.text(1090, 0.15, "acceptance", color=BEFORE, size="small")
    ax.text(800, 0.93, "information of an accepted muon", color=THIRD, size="small", ha="left")
    ax.text(570, 1.03, "product, relative to its best", color=AFTER, size="small")
    ax.set(xlim=(200, 1500), ylim=(0, 1.1), xlabel=r"lever arm $s$ [mm]", ylabel="fraction")
finish(figure, "1_acceptance_and_information")

# %% [markdown]
# ## How we judge an estimator
#
# Two numbers decide whether a gradient is worth anything. Its **bias**: does the mean over many muons agree with the
# exact derivative? And its **noise**: how many muons have to be simulated for a gradient with a 10 % error? A biased
# estimator stops at a wrong design, however long it runs; a noisy one costs, and costs, and costs. A third number says
# what it comes to in practice: where 200 steps of Adam end that start at 300 mm.


# %%
class Result(NamedTuple):
    """What we learn of an estimator."""

    bias: float  # %
    error: float  # %
    muons: float  # simulated for a 10 % gradient
    path: np.ndarray  # the design, step by step


def judge(
    gradient: telescope.Gradient,
    design: float,
    exact: float,
    draw: Callable[[jax.Array], Any],
    each_costs: int = 1,
    **ascent: Any,
) -> Result:
    """Bias, noise, and where the search ends."""
    sampled = telescope.averaged(gradient, draw)
    keys = jax.random.split(jax.random.key(7), scaled(200, 20))
    means, squares = np.array([sampled(jnp.asarray(design), key) for key in keys]).T
    mean = means.mean()
    error = means.std() / len(keys) ** 0.5
    noise = squares.mean() - mean**2
    path = telescope.ascend(sampled, design, steps=scaled(200, 60), **ascent) if ascent else np.array([])
    needed = each_costs * max(noise, 0.0) / (0.1 * exact) ** 2
    return Result(100 * (mean / exact - 1), 100 * error / abs(exact), needed, path)


def table(results: dict[str, Result], best: float, score: Callable[[Any], Any], unit: str, digits: int) -> None:
    """Print what was found."""
    print(f"{'':34}{'bias [%]':>17}{'muons for 10 %':>17}{'ends at' + unit:>15}{'loses [%]':>11}")
    for name, r in results.items():
        line = f"{name:34}{r.bias:>9.1f} ± {r.error:<5.1f}{r.muons:>17,.0f}"
        if len(r.path):
            lost = 100 * (1 - float(score(r.path[-1])) / float(score(best)))
            line += f"{r.path[-1]:>15.{digits}f}{lost:>11.2f}"
        print(line)
    print(f"{'(the best design)':68}{best:>15.{digits}f}")


def beam(key: jax.Array) -> telescope.Muon:
    """Muons for one step."""
    return telescope.draw(key, (MUONS,))


def try_out(gradient: telescope.Gradient, each_costs: int = 1) -> Result:
    """Problem 5, from 300 mm."""
    return judge(gradient, START, truth, beam, each_costs, bounds=telescope.BOUNDS, step=scaled(20, 30))


# %% [markdown]
# ## (b) Plain autodiff runs away
#
# `jax.grad` of the simulation above sees that angles get sharper as panel 2 moves out. It does not see that muons are
# lost: `where(margin > 0, …)` has no derivative with respect to `margin`. Half of the physics is missing, and the design
# runs away.

# %%
results = {"plain autodiff": try_out(peers.plain())}
table(results, telescope.BEST, telescope.exact_score, " [mm]", 0)

# %% [markdown]
# ## (c) Soft edges
#
# The usual remedy makes the edge soft: `sigmoid(margin / width)` in place of the step. There are two ways to use it.
#
# *As a weight of the muon in the sum.* The score is now that of another detector, one that catches some of the muons
# which fly past. If as many fly past as hit, all along the sigmoid, that evens out: our wide beam is kind enough at 490
# mm, but not at 300 mm. In a beam less than half as wide ($U$ = 0.45; acceptance is still $W/(2Us)$ and 490 mm still
# best), the search with 50 mm edges ends elsewhere. Narrow edges are nearly right, but then only the few muons inside the
# sigmoid carry the gradient, and it drowns in noise: at the limit of no bias stands infinite variance.
#
# *As a weight of the hit in the track fit.* Now a muon that misses does not vanish, it is measured badly, with an error of
# $\sigma/\sqrt{w}$. And a large lever arm makes up for a large error! The search finds out, and moves the panel to where
# it "measures" muons that fly past it. Here the bias goes away only as slowly as the width itself, at the price of the
# same noise.

# %%
for width in (50.0, 20.0, 5.0, 1.0):
    results[f"soft edge as weight, {width:.0f} mm"] = try_out(peers.soft_edges(width))
for width in (50.0, 20.0, 5.0, 1.0):
    results[f"soft edge in the fit, {width:.0f} mm"] = try_out(peers.fit_weights(width))
table({k: r for k, r in results.items() if k.startswith("soft")}, telescope.BEST, telescope.exact_score, " [mm]", 0)

# %%
HALF = 0.45
half_truth = float(jax.grad(telescope.exact_score)(600.0)) * telescope.SPREAD / HALF


def half_beam(key: jax.Array) -> telescope.Muon:
    """A beam that thins out where the panel ends."""
    return telescope.draw(key, (MUONS,), spread=HALF)


half = {
    f"U = 0.45: soft edge as weight, {width:.0f} mm": judge(
        peers.soft_edges(width), 600.0, half_truth, half_beam, bounds=telescope.BOUNDS, step=scaled(20, 30)
    )
    for width in (50.0, 20.0, 5.0)
}
table(half, telescope.BEST, telescope.exact_score, " [mm]", 0)

# %% [markdown]
# ## (d) Detached hits
#
# A track goes straight on. When panel 2 moves by $ds$, its hit moves along the track by (slope) $ds$. Some programs
# record hits first and move panels afterwards: the hit stays where it was, beside the track, and each muon's angle
# appears to change by its slope, hundreds of milliradians, where in truth only the noise of the hits changes its lever
# arm.
#
# In our wide beam, muons go left as often as right and the error averages out, slowly: look at the number of muons. A
# narrow beam ($U$ = 0.05, hardly a muon misses) makes it a bias: the slope behind the sample *is* the scattering angle.

# %%
results["detached hits (edge right)"] = try_out(peers.detached_hits(), each_costs=2)
NARROW = 0.05


def narrow_beam(key: jax.Array) -> telescope.Muon:
    """Muons that nearly all hit."""
    return telescope.draw(key, (MUONS,), spread=NARROW)


def narrow_score(lever: Any) -> Any:
    """Acceptance 1 - U s / (2 W), times information."""
    return (1 - lever * NARROW / (2 * telescope.WIDTH)) * (telescope.KICK**2 / telescope.variance(lever)) ** 2


narrow_truth = float(jax.grad(narrow_score)(lever))
narrow = {
    "wide beam: detached hits": results["detached hits (edge right)"],
    "narrow beam: detached hits": judge(peers.detached_hits(), START, narrow_truth, narrow_beam, 2),
    "narrow beam: hits on the track": judge(telescope.with_the_flip, START, narrow_truth, narrow_beam, 2),
}
table(narrow, telescope.BEST, telescope.exact_score, " [mm]", 0)

# %% [markdown]
# ## (e) Unbiased, and noisy
#
# Finite differences need no derivative: simulate the same muons at $s \pm h$. What changes then is, besides a little
# sharpness, the few muons between the two edges; each counts with its full score divided by $2h$. A design of a hundred
# parameters needs two hundred simulations.
#
# REINFORCE jitters the design from muon to muon and follows those that did well. No derivative either, and no bias but
# that of the jitter; but the whole score of each muon is noise here.

# %%
results["REINFORCE, jitter 30 mm"] = try_out(peers.reinforce(30.0))
results["finite differences, ± 15 mm"] = try_out(peers.finite_difference(15.0), each_costs=2)
table(dict(list(results.items())[-2:]), telescope.BEST, telescope.exact_score, " [mm]", 0)

# %% [markdown]
# ## (f) The flip
#
# What is missing can be written down. The mean score is an integral over all that chance decides, cut off where the
# margin
# $g$ is negative. When the design moves, the integrand changes (autodiff has that), and so does the cut:
#
# $$ \frac{d}{ds}\,\mathrm{E}[F] = \mathrm{E}\Big[\frac{dF}{ds}\Big]
#    + \mathrm{E}\Big[\delta(g)\,(F_\mathrm{in} - F_\mathrm{out})\,\frac{dg}{ds}\Big]. $$
#
# The second term looks only at muons *on the edge*. We need not wait for one: take any muon, shift it along panel 1 until
# it stands on the edge of panel 2, and ask what it is worth in and out. It counts with the density that the beam has
# there. In detopt this is a `Flip`: a weight (the density), the two scores, and a *handle* (the margin of the shifted
# muon), the only thing that is differentiated. `with_flips` adds it to the gradient and leaves the value as it is.

# %%
listing(telescope.onto_the_edge, telescope.edge)
print("mean_score = with_flips(lambda lever, muons: jnp.mean(score(lever, muons)), edge)\n")
results["the flip"] = try_out(telescope.with_the_flip, each_costs=2)
table(results, telescope.BEST, telescope.exact_score, " [mm]", 0)


# %%
def rows(names: list[str], height: float) -> tuple[Drawing, Any]:
    """A figure with a row for each name, the first on top."""
    figure = Drawing(7.6, height)
    ax = figure.panel(2.75, 0.75, 4.5, height - 1.25)
    ax.set_yticks(range(len(names))[::-1], names, size="small")
    ax.set_ylim(-0.7, len(names) - 0.3)
    ax.tick_params(axis="y", which="both", length=0)
    return figure, ax


def colour(name: str) -> str:
    """Red where the bias is more than 5 %."""
    biased = abs(results[name].bias) - 2 * results[name].error > 5
    return WARNING if biased else AFTER if name == "the flip" else FAINT


decided = [name for name, r in results.items() if r.error < scaled(6, 20)]
with styled():
    figure, ax = rows(decided, 4.6)
    for y, name in enumerate(reversed(decided)):
        ax.errorbar(
            results[name].bias, y, xerr=results[name].error, fmt="o", color=colour(name), markersize=7, capsize=3
        )
    ax.axvspan(-5, 5, color=FAINT, alpha=0.2, linewidth=0)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_xlabel("bias of the gradient at 300 mm [%]")
    figure.say(0.3, "Wrong by how much? The band is ± 5 %; estimators that are too noisy to tell are left out.")
finish(figure, "2_bias")

# %%
with styled():
    figure, ax = rows(list(results), 5.2)
    for y, name in enumerate(reversed(results)):
        ax.barh(y, results[name].muons, color=colour(name), height=0.62)
    ax.set_xscale("log")
    ax.set_xlim(1e3, 3e8)
    ax.set_xlabel("simulated muons for a gradient with an error of 10 %")
    figure.say(0.3, "At what price? Red ones are biased by more than 5 %, whatever they cost.")
finish(figure, "3_muons_for_ten_percent")

# %%
SHOWN = {
    "plain autodiff": (WARNING, "-"),
    "soft edge in the fit, 50 mm": (BEFORE, "-"),
    "soft edge in the fit, 20 mm": (BEFORE, "--"),
    "soft edge in the fit, 5 mm": (BEFORE, ":"),
    "the flip": (AFTER, "-"),
}
with styled():
    figure = Drawing(7.6, 4.6)
    ax = figure.panel(0.95, 0.75, 4.2, 3.3)
    for name, (ink, dash) in SHOWN.items():
        path = results[name].path
        ax.plot(np.arange(1, len(path) + 1), path, color=ink, linestyle=dash)
        ax.text(1.02 * len(path), path[-1], name, color=ink, size="small", va="center")
    ax.axhline(telescope.BEST, color=FAINT, linewidth=1)
    ax.text(0.75 * len(path), telescope.BEST - 12, "best", color=FAINT, size="small", va="top")
    ax.set(xlim=(0, len(path)), ylim=(250, 1150), xlabel="step", ylabel=r"lever arm $s$ [mm]")
    figure.say(0.3, "Where each search goes that starts at 300 mm")
finish(figure, "4_ascent")

# %% [markdown]
# ## (g) Efficiencies
#
# Four planes see a muon with probability $e$ each, three hits make a track. Better planes are dearer: maximise $P(\geq 3\
# \mathrm{of}\ 4) + c \ln(1-e)$ with $c$ = 0.12. The best is $e^*$ = 0.8873. A hit is a step again: `uniform < e`.
#
# *Concrete relaxation*: hits become numbers between 0 and 1, at some "temperature". It solves another problem, whose
# optimum is elsewhere. *Straight-through*: count hits forwards, and backwards pretend that the threshold was a sigmoid.
# The value is right, the gradient is anybody's guess, and depends on a width that nobody knows. *As a weight in the fit*,
# an inefficient panel is taken for an imprecise one: half of the gradient is gone, and there is no width to be made
# narrower.
#
# No approximation is needed. Sixteen patterns of hits can be summed, and where only the number of hits matters, a
# recursion over planes is enough (the Poisson-binomial distribution). Where there are too many, or the score is more than
# a count, there is the flip: its weight is 1, and its handle the probability of a hit.

# %%
listing(efficiency.at_least, efficiency.plane_by_plane)
blind = jax.grad(peers.efficiency_in_the_fit, 1)(lever, 0.9) / (peers.efficiency_in_the_fit(lever, 0.9) / 0.9)
print(
    f"panel 2 of (a) with 90 %: d ln(score) / d ln(e) is 1; as a weight in the fit {blind:.2f}: {100 * (blind - 1):.0f} %"
)
E_START = 0.8
e_truth = float(jax.grad(efficiency.exact_score)(E_START))


def planes(key: jax.Array) -> jax.Array:
    """Draws for one step."""
    return efficiency.draw(key, MUONS // 2)


ways = {f"Concrete, temperature {t:g}": peers.concrete(t) for t in (1.0, 0.5, 0.2)}
ways |= {f"straight-through, width {w:g}": peers.straight_through(w) for w in (1.0, 0.5, 0.25)}
ways |= {
    "REINFORCE": peers.score_function(),
    "all patterns summed": efficiency.enumerated,
    "the flip": efficiency.with_the_flip,
}
found = {name: judge(way, E_START, e_truth, planes, bounds=efficiency.BOUNDS, step=0.01) for name, way in ways.items()}
table(found, efficiency.BEST, efficiency.exact_score, "", 4)

# %%
STYLES = [(BEFORE, "-"), (BEFORE, "--"), (BEFORE, ":"), (WARNING, "-"), (WARNING, "--"), (WARNING, ":")]
grid = jnp.linspace(0.78, 0.95, 35)
draws = efficiency.draw(jax.random.key(3), scaled(100_000, 20_000))
with styled():
    figure = Drawing(7.6, 4.6)
    ax = figure.panel(0.95, 0.75, 4.0, 3.3)
    curves = list(ways.items())[:6]
    for (name, way), (ink, dash) in zip(curves, STYLES, strict=True):
        mean = jax.jit(lambda e, way=way: jnp.mean(way(e, draws)))
        ax.plot(grid, [float(mean(e)) for e in grid], color=ink, linestyle=dash, linewidth=1.6, label=name)
    ax.plot(grid, jax.vmap(jax.grad(efficiency.exact_score))(grid), color=AFTER, linewidth=3, label="exact; the flip")
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.plot(efficiency.BEST, 0, "o", color=AFTER, markersize=9)
    ax.set(xlim=(0.78, 0.95), ylim=(-1.2, 1.2), xlabel=r"efficiency $e$", ylabel=r"gradient of the score, $dJ/de$")
    figure.legend(loc="center left", bbox_to_anchor=(5.05 / 7.6, 0.52), fontsize="small", frameon=False)
    figure.say(0.3, "A search stops where its gradient crosses zero")
finish(figure, "5_efficiency")

# %% [markdown]
# ## (h) When the score is not a sum over muons
#
# Let a neural network look at all muons of an exposure and say how strongly the sample scatters. Its width is now
# $\tau\,e^{y/2}$, and the loss is the squared error of $y$. The network (DeepSets) embeds each angle, sums over
# accepted muons, and reads $y$ off the sums. Network and lever arm are trained together, 300 muons an exposure.
#
# It is tempting to take the flips of (f) and attach them to the *sums*: autodiff then multiplies them with the slope of
# the loss. But what a muon changes when it comes in is $L(m + \phi) - L(m)$, not $L'(m)\,\phi$. The difference is of
# second order in one muon, and yet does not go away with many: the squared error of $y$ is itself of second order, a sum
# over muons of the square of what each adds to the error. The finite flip asks the right question. It costs two more
# readouts.
#
# First with the head as it is after training: gradients of its loss at $s$ = 600 mm, against finite differences.

# %%
listing(exposures.edge)
rules = {
    "flips attached to the sums": peers.through_the_sums,
    "finite flips": exposures.loss_with_flips(32),
}
STEPS = scaled(300, 40)
traces = {name: exposures.train(rule, 700.0, STEPS, warm_up=scaled(400, 100)) for name, rule in rules.items()}
head = traces["finite flips"].head


def compare(incident: int, keys: int, at: float = 600.0, step: float = 24.0) -> None:
    """Gradients of the loss with the head held fixed, the same exposures for all."""
    s = jnp.float32(at)
    number = 60_000 // incident

    @jax.jit
    def difference(batch: exposures.Exposures) -> jax.Array:
        return (exposures.loss(s + step, head, batch) - exposures.loss(s - step, head, batch)) / (2 * step)

    ways = {name: eqx.filter_jit(jax.grad(rule)) for name, rule in {"plain autodiff": exposures.loss, **rules}.items()}
    wanted, losses = [], []
    gradients: dict[str, list[float]] = {name: [] for name in ways}
    for key in jax.random.split(jax.random.key(11), keys):
        batch = exposures.expose(key, number, incident)
        wanted.append(difference(batch))
        losses.append(exposures.loss(s, head, batch))
        for name, way in ways.items():
            gradients[name].append(way(s, head, batch))
    unit = at / np.mean(losses)

    def line(name: str, values: np.ndarray) -> str:
        return f"    {name:30}{values.mean() * unit:7.3f} ± {values.std() * unit / keys**0.5:.3f}"

    truth = np.array(wanted)
    print(f"{incident} muons an exposure: d ln(loss) / d ln(s)")
    print(line("finite differences", truth))
    for name, values in gradients.items():
        off = 100 * (np.array(values) - truth) / abs(truth.mean())
        print(f"{line(name, np.array(values))}   bias {off.mean():6.1f} ± {off.std() / keys**0.5:.1f} %")


if not lesson.quick:
    compare(300, 100)
compare(30, scaled(50, 4))

# %% [markdown]
# And where do the two searches end? The smallest loss that any head could have is known by integration (the posterior
# mean of
# $y$), so that designs can be compared without training heads for them.

# %%
best_lever, best_loss = exposures.bayes_optimum()
print(f"{'':34}{'ends at [mm]':>14}{'regret [%]':>12}")
for name, trace in traces.items():
    end = float(trace.lever[-1])
    print(f"{name:34}{end:>14.0f}{100 * exposures.regret(end):>12.2f}")
print(f"{'(the best design)':34}{best_lever:>14.0f}")

with styled():
    figure = Drawing(6.6, 4.4)
    ax = figure.panel(0.85, 0.75, 5.5, 3.2)
    s = np.linspace(330, 720, 79)
    ax.plot(s, [100 * (exposures.bayes_loss(x) / best_loss - 1) for x in s], color=INK)
    ax.axvline(best_lever, color=FAINT, linewidth=1)
    for (name, trace), (ink, up) in zip(traces.items(), ((WARNING, 0.35), (AFTER, 0.9)), strict=True):
        end, above = float(trace.lever[-1]), 100 * exposures.regret(float(trace.lever[-1]))
        ax.plot(end, above, "o", color=ink, markersize=11, zorder=3)
        ax.text(end + 8, above + up, name, color=ink, size="small")
    ax.set(xlim=(330, 720), ylim=(-0.3, 8), xlabel=r"lever arm $s$ [mm]")
    ax.set_ylabel("loss of the best head, above its minimum [%]", size="small")
    figure.say(0.3, "Head and design trained together, from 700 mm")
finish(figure, "6_head")

# %% [markdown]
# ## What to remember
#
# * A gradient without a check is a rumour: simulate the same particles at two neighbouring designs and compare the means
#   (`detopt gradients studies/yours.yaml`).
# * Autodiff is right for what moves smoothly and blind to what is decided. Every decision (edge, hit, cut, count) is a
#   flip. Soft edges trade bias for noise, and as a weight in a fit a search exploits them.
# * Efficiencies: sum over patterns, or flip. If the score is not a sum over particles, flip the particle in the score.
#
# ## Exercises
#
# 1. Plain autodiff is off by +114 % at 300 mm. What does it say, and what is true, at the best lever arm? Use
#    `exact_score`.
# 2. A finite difference with steps of $\pm h$ has a bias of its own: the curve is not straight. How large is it at 300 mm
#    for $h$ = 5, 15, 50 and 80 mm?
# 3. Four planes need three hits. With five planes that need three, where is the best efficiency, at the same cost of
#    $\ln(1-e)$?

# %% [markdown]
# ## Solutions
#
# **1.** What autodiff does not see is the acceptance, and $d\ln(1/s)/ds = -1/s$ at any design. At the best one the two
# terms cancel, so plain autodiff sees $+1/s$ where the truth is zero.

# %%
for place in (START, telescope.BEST):
    true = float(jax.grad(telescope.exact_score)(place) / telescope.exact_score(place))
    print(
        f"{place:4.0f} mm: d ln(score)/ds = {1e3 * true:6.3f} per metre, without acceptance {1e3 * (true + 1 / place):6.3f}"
    )

# %% [markdown]
# **2.** From the exact score, so that there is no noise.

# %%
for h in (5.0, 15.0, 50.0, 80.0):
    difference = (telescope.exact_score(START + h) - telescope.exact_score(START - h)) / (2 * h)
    print(f"± {h:3.0f} mm: {100 * (float(difference) / truth - 1):6.2f} %")

# %% [markdown]
# **3.** The recursion over planes takes any number. More planes forgive more: each may be worse, and cheaper.

# %%
for number in (4, 5):
    e = jnp.linspace(0.5, 0.99, 4901)
    value = efficiency.at_least([e] * number, efficiency.NEEDED) + efficiency.cost(e)
    print(f"{number} planes: best efficiency {float(e[jnp.argmax(value)]):.4f}, score {float(value.max()):.4f}")
