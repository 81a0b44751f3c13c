# %% [markdown]
# # Scattering, and how thick a layer should be
#
# Matter turns a particle a little, each time in another direction. You will measure by how much in detopt's own
# simulation, and hold it against the formula that everybody uses. Then you will see why the resolution of a tracker is $a
# \oplus b/p$, how thick its layers should be, and what the gradient to a thickness says about a real detector.
#
# `python studies/teaching/02_scattering_and_thickness.py` takes about a minute; `--quick` takes fewer muons. Figures go to
# `--out`. The block and the telescope are in `matter.py`, beside this file.

# %%
import math

import matter
import numpy as np
from lesson import Lesson, listing

import detopt
from detopt.backend import jax, jnp
from detopt.detector.surfaces import as_arrays
from detopt.report.style import AFTER, BEFORE, INK, THIRD, Drawing, log_ticks, styled
from detopt.simulation.scattering import beta, highland

lesson = Lesson("02_scattering_and_thickness")


def formula(depth: float, momentum: float) -> float:
    """Highland's width in rad, as detopt has it."""
    p = jnp.asarray(momentum)
    return float(highland(jnp.asarray([depth]), p, beta(p))[0])


# %% [markdown]
# ## (a) How far matter turns a muon
#
# Many small deflections by nuclei add up to a nearly normal distribution of the projected angle. Its width, by Highland's
# formula in the form of Lynch and Dahl (NIM B 58 (1991) 6,
# [doi:10.1016/0168-583X(91)95671-Y](https://doi.org/10.1016/0168-583X(91)95671-Y); PDG review of *Passage of particles
# through matter*, multiple scattering through small angles), is
#
# $$ \theta_0 = \frac{13.6\ \mathrm{MeV}}{\beta p}\sqrt{\frac{x}{X_0}}
#    \left[1 + 0.038 \ln\frac{x}{X_0\,\beta^2}\right] $$
#
# for the central 98 % of the angles. Only the thickness in radiation lengths $x/X_0$ counts, so 1 mm of lead and 17 mm of
# silicon do the same. The rest, single hard scatters, makes the tails. detopt draws the hardest scatter of each passage by
# itself, and so has them.

# %%
COUNT = lesson.scaled(100_000, 20_000)
DEPTHS = {"silicon": (0.003, 0.01, 0.03, 0.1), "lead": (0.1, 0.3, 1.0, 3.0)}
MOMENTA = {1.0: BEFORE, 3.0: AFTER, 10.0: THIRD}
widths = {
    (name, depth, p): matter.core_width(matter.angles(name, depth, p, COUNT))
    for name, depths in DEPTHS.items()
    for depth in depths
    for p in MOMENTA
}
print("width of the central 98 %, over Highland's formula")
print(f"{'':10}{'x/X0':>8}" + "".join(f"{p:>9.0f} GeV" for p in MOMENTA))
for name, depths in DEPTHS.items():
    for depth in depths:
        ratios = "".join(f"{widths[name, depth, p] / formula(depth, p):>13.3f}" for p in MOMENTA)
        print(f"{name:10}{depth:>8}{ratios}")
shown = 1e3 * matter.angles("lead", 1.0, 3.0, COUNT)
gaussian = 1e3 * matter.angles("lead", 1.0, 3.0, COUNT, tails=False)
width = 1e3 * formula(1.0, 3.0)
beyond = [100 * np.mean(np.abs(angle) > 3 * width) for angle in (shown, gaussian)]
print(f"beyond three widths, 1 X0 of lead at 3 GeV: {beyond[0]:.2f} %; with tails switched off {beyond[1]:.2f} %")

# %% [markdown]
# For silicon the formula is right to a few per cent, for lead to about eleven: just what the PDG claims for it, for
# $10^{-3} < x/X_0 < 100$. But one muon in a hundred is turned by more than three widths, about five times
# as often as a normal distribution allows. Remember that when a few muons decide.

# %%
with styled():
    figure = Drawing(7.6, 3.9)
    ax = figure.panel(0.85, 0.75, 2.8, 2.5)
    bins = np.linspace(-40, 40, 81)
    counts = np.histogram(shown, bins)[0] / len(shown) / np.diff(bins)
    ax.stairs(counts, bins, color=AFTER, linewidth=1.6)
    x = np.linspace(-40, 40, 400)
    ax.plot(x, np.exp(-0.5 * (x / width) ** 2) / width / math.sqrt(2 * math.pi), color=INK, linewidth=1.2)
    ax.set_yscale("log")
    ax.set(xlim=(-40, 40), ylim=(1e-5, 0.3), xlabel="projected angle [mrad]", ylabel="share of muons per mrad")
    ax.text(0.04, 0.93, "simulation", color=AFTER, size="x-small", transform=ax.transAxes)
    ax.text(0.04, 0.86, "normal", color=INK, size="x-small", transform=ax.transAxes)
    ax.set_title("1 $X_0$ of lead, 3 GeV", fontsize="small")
    ax = figure.panel(4.55, 0.75, 2.8, 2.5)
    depth = np.geomspace(0.002, 5, 60)
    for p, colour in MOMENTA.items():
        ax.plot(depth, [1e3 * formula(d, p) for d in depth], color=colour, linewidth=1.2)
        for name, marker in (("silicon", "o"), ("lead", "s")):
            measured = [1e3 * widths[name, d, p] for d in DEPTHS[name]]
            ax.plot(DEPTHS[name], measured, marker, color=colour, markersize=5)
        ax.text(0.0025, 1.35e3 * formula(0.0025, p), f"{p:.0f} GeV", color=colour, size="x-small", rotation=26)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set(xlim=(0.002, 5), ylim=(0.03, 60), xlabel="thickness $x/X_0$", ylabel="width of the angle [mrad]")
    ax.set_title("lines: formula; dots: silicon; squares: lead", fontsize="x-small")
    figure.say(0.3, "Multiple scattering: detopt's simulation and Highland's formula")
lesson.finish(figure, "1_highland")

# %% [markdown]
# ## (b) Why a resolution is $a \oplus b/p$
#
# Take the smallest tracker that points back: two layers at $r_1$ = 30 mm and $r_2$ = 120 mm, of 1 % $X_0$ and a resolution
# of $\sigma$ = 50 µm. The hits alone give the impact parameter at the vertex with a variance $\sigma^2 (r_1^2 +
# r_2^2)/(r_2 - r_1)^2$, whatever the momentum. A kick in the first layer moves the track at the vertex by $r_1$ times the
# kick. (One in the second layer changes nothing: there, the track has been measured already.) Together
#
# $$ \sigma(d_0)^2 = a^2 + \frac{b^2}{p^2}, \qquad a^2 = \sigma^2\,\frac{r_1^2 + r_2^2}{(r_2 - r_1)^2}, \qquad
#    b = r_1\, p\, \theta_0 . $$
#
# detopt knows nothing of this formula. It inverts the full covariance of hits and kicks; for two layers that must be the
# same.

# %%
telescope = matter.Telescope()
curve = tuple(np.geomspace(0.5, 50, 13))
simple = 1e3 * np.asarray(
    matter.scorer(telescope.detector(0.01), curve, min_hits=2)(as_arrays(telescope.detector(0.01)))
)
a = 1e3 * telescope.resolution * math.sqrt(telescope.lever)
kicked = 1e3 * telescope.first * np.array([formula(0.01, p) for p in curve])
print(f"two layers: a = {a:.1f} um, b = {kicked[-1] * curve[-1]:.1f} um GeV")
print(f"detopt over the formula, 0.5 to 50 GeV: 1 within {np.abs(simple / np.hypot(a, kicked) - 1).max():.0e}")

real = detopt.load("its2_like")
pixels = 1e3 * np.asarray(matter.scorer(real, curve)(as_arrays(real)))
columns = np.stack([np.ones(len(curve)), 1 / np.square(curve)], 1)
fitted = np.linalg.lstsq(columns / pixels[:, None] ** 2, np.ones(len(curve)), rcond=None)[0]
real_a, real_b = np.sqrt(fitted)
off = np.abs(np.sqrt(columns @ fitted) / pixels - 1).max()
print(f"its2_like: a = {real_a:.1f} um, b = {real_b:.1f} um GeV; the two numbers describe it within {100 * off:.0f} %")

# %%
with styled():
    figure = Drawing(6.6, 4.4)
    ax = figure.panel(0.85, 0.75, 5.5, 3.2)
    fine = np.geomspace(0.4, 60, 100)
    for points, colour, at_high, at_low, name, place in (
        (simple, BEFORE, a, kicked[-1] * curve[-1], "two layers", (9, 77)),
        (pixels, AFTER, real_a, real_b, "its2_like, seven layers", (0.43, 13)),
    ):
        ax.plot(fine, np.hypot(at_high, at_low / fine), color=colour)
        ax.axhline(at_high, color=colour, linewidth=0.9, linestyle=":")
        ax.plot(fine, at_low / fine, color=colour, linewidth=0.9, linestyle="--")
        ax.plot(curve, points, "o", color=colour, markersize=6)
        ax.text(*place, name, color=colour, size="small")
    ax.set(xlim=(0.4, 60), ylim=(2, 300), xlabel="momentum [GeV]", ylabel=r"$\sigma(d_0)$ [$\mu$m]")
    log_ticks(ax, "x")
    log_ticks(ax, "y")
    figure.say(
        0.3, "Dots: detopt. Lines: $a$ and $b/p$ in quadrature. Dotted: $a$, the hits. Dashed: $b/p$, scattering"
    )
lesson.finish(figure, "2_resolution")

# %% [markdown]
# ## (c) How thick should a layer be?
#
# In many sensors a thicker layer measures better: twice the scintillator gives twice the photons, and a resolution better
# by $\sqrt 2$. It also scatters more. With $\sigma^2 = \sigma_1^2 t_1/t$,
#
# $$ \sigma(d_0)^2 = \frac{A}{t} + B\,t, \qquad t^* = \sqrt{A/B}, \qquad \sigma(d_0)^{*2} = 2\sqrt{AB}, $$
#
# as long as the logarithm of Highland's formula is left out. At the optimum, hits and scattering contribute the same. Thin
# layers are for slow particles: $B \propto 1/p^2$, and $t^*$ grows like $p$.
#
# detopt differentiates to a thickness as to anything else. The derivative $d\ln\sigma / d\ln t$ is half the share of the
# scattering minus half that of the hits: $-\frac12$ where only hits count, $+\frac12$ where only scattering does, 0 at the
# best.

# %%
listing(matter.Telescope.scorer)
score = telescope.scorer(tuple(MOMENTA))


@jax.jit
def sigma_and_slope(log_thickness: jax.Array) -> tuple[jax.Array, jax.Array]:
    """sigma(d0) in mm at each momentum, and its logarithmic derivative."""

    def log_sigma(x: jax.Array) -> jax.Array:
        return jnp.log(score(jnp.exp(x)))

    return jnp.exp(log_sigma(log_thickness)), jax.jacfwd(log_sigma)(log_thickness)


def best_thickness(which: int) -> float:
    """Where the slope is zero, by bisection."""
    low, high = math.log(1e-3), math.log(1.0)
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if float(sigma_and_slope(jnp.asarray(middle))[1][which]) > 0 else (middle, high)
    return math.exp(0.5 * (low + high))


A = telescope.lever * telescope.resolution**2 * 0.01
best = [best_thickness(i) for i in range(len(MOMENTA))]
print(f"{'':8}{'sqrt(A/B)':>12}{'detopt':>10}{'scattering':>14}")
for p, t in zip(MOMENTA, best, strict=True):
    B = (telescope.first * 13.6e-3 / float(beta(jnp.asarray(p))) / p) ** 2
    share = (telescope.first * formula(t, p)) ** 2 / (A / t + (telescope.first * formula(t, p)) ** 2)
    print(f"{p:>4.0f} GeV{100 * math.sqrt(A / B):>10.2f} %{100 * t:>8.2f} %{100 * share:>11.0f} %")

# %% [markdown]
# The logarithm makes thin layers scatter less than their share. The best ones are therefore thicker than $\sqrt{A/B}$, and
# a little less than half of the variance is left to the scattering. An approximation that forgets the logarithm gives the
# right idea and a number that is an eighth off at 1 GeV.

# %%
with styled():
    figure = Drawing(6.6, 5.6)
    top, low = figure.panel(0.95, 2.75, 5.4, 2.4), figure.panel(0.95, 0.75, 5.4, 1.75)
    grid = np.geomspace(2e-3, 0.5, 50)
    curves = [sigma_and_slope(jnp.asarray(math.log(t))) for t in grid]
    for i, (p, colour) in enumerate(MOMENTA.items()):
        top.plot(100 * grid, [1e3 * float(c[0][i]) for c in curves], color=colour, label=f"{p:.0f} GeV")
        least = 1e3 * float(sigma_and_slope(jnp.asarray(math.log(best[i])))[0][i])
        top.plot(100 * best[i], least, "o", color=colour, markersize=8)
        low.plot(100 * grid, [float(c[1][i]) for c in curves], color=colour)
        low.plot(100 * best[i], 0, "o", color=colour, markersize=8)
    low.axhline(0, color=INK, linewidth=0.8)
    for ax in (top, low):
        ax.set_xlim(0.2, 50)
        log_ticks(ax, "x")
    top.tick_params(labelbottom=False)
    top.set(ylim=(0, 300), ylabel=r"$\sigma(d_0)$ [$\mu$m]")
    low.set(ylim=(-0.6, 0.6), xlabel="thickness of a layer [% $X_0$]", ylabel=r"$d\ln\sigma\,/\,d\ln t$")
    top.legend(loc="upper left", fontsize="small", ncols=3)
    figure.say(0.3, "Too thin: few photons. Too thick: scattering. Best where the gradient is zero")
lesson.finish(figure, "3_thickness")

# %% [markdown]
# ## (d) What a gradient says about a real detector
#
# In the pixel tracker `its2_like` the resolution of a layer does not depend on its thickness, so every derivative is
# positive: lighter is better. The question is *which* layer. One gradient answers it for all:
# $d\ln\sigma(d_0)/d\ln(x/X_0)$ of each element is the per cent by which $d_0$ improves when that element gets one per cent
# lighter.

# %%
elements = [e.name for e in real.elements]
asked = (1.0, 10.0)
score_real = matter.scorer(real, asked)
sensitivity = np.asarray(
    jax.jit(jax.jacfwd(lambda k: jnp.log(score_real(matter.thicker(as_arrays(real), k)))))(jnp.ones(len(elements)))
)
print(f"{'':8}" + "".join(f"{name:>8}" for name in elements) + f"{'sum':>8}")
for p, row in zip(asked, sensitivity, strict=True):
    print(f"{p:>4.0f} GeV" + "".join(f"{100 * s:>7.1f}%" for s in row) + f"{100 * row.sum():>7.1f}%")
with styled():
    figure = Drawing(6.6, 3.9)
    ax = figure.panel(0.85, 0.75, 5.5, 2.7)
    for i, (p, colour) in enumerate(zip(asked, (BEFORE, THIRD), strict=True)):
        ax.bar(np.arange(len(elements)) + 0.4 * i - 0.2, 100 * sensitivity[i], 0.36, color=colour, label=f"{p:.0f} GeV")
    ax.set_xticks(range(len(elements)), elements)
    ax.tick_params(axis="x", which="both", length=0)
    ax.set(ylim=(0, 24), ylabel=r"$d\ln\sigma(d_0)\,/\,d\ln(x/X_0)$ [%]")
    ax.legend(loc="upper right", fontsize="small")
    figure.say(0.3, "Which element should be lighter? Elements of its2_like, from the beam outwards")
lesson.finish(figure, "4_sensitivity")

# %% [markdown]
# At 1 GeV the first layer matters most, and the beam pipe, which measures nothing, comes second. What lies behind the last
# hit matters not at all. At 10 GeV the fit leans on layers farther out as well, and what is in front of them counts: this
# is also why two numbers $a$ and $b$ do not describe seven layers exactly. If $d_0$ were scattering only, the numbers
# would add up to a little more than 50 %; what is missing is the share of the hits.
#
# ## What to remember
#
# * Scattering grows like $\sqrt{x/X_0}/p$; Highland's width is good to about eleven per cent, and its tails are not
#   normal.
# * $a \oplus b/p$: hits limit fast particles, the material at the smallest radius slow ones.
# * A gradient to a thickness is the share of the error that this matter is to blame for. At the best thickness it is zero.
#
# ## Exercises
#
# 1. At which momentum do hits and scattering contribute the same to $d_0$ of `its2_like`?
# 2. Move the first layer of the telescope in (b) from 30 mm to 20 mm. What is gained at 1 GeV, and what at 50 GeV?
# 3. Make the first layer of `its2_like` a third lighter. What does the gradient of (d) predict for 1 GeV, and what comes
#    out?
# 4. Cut a layer of 2 % $X_0$ in two. By Highland's formula, do the halves scatter as much as the whole? And in the
#    simulation?

# %% [markdown]
# ## Solutions
#
# **1.** Where $a = b/p$.

# %%
print(f"p = b/a = {real_b / real_a:.1f} GeV")

# %% [markdown]
# **2.** The scattering term follows the radius, the other one follows it less, by the lever arm.

# %%
nearer = telescope._replace(first=20.0)
ends = matter.scorer(telescope.detector(0.01), (1.0, 50.0), min_hits=2)
for i, p in ((0, 1.0), (1, 50.0)):
    before, after = (1e3 * float(ends(as_arrays(t.detector(0.01)))[i]) for t in (telescope, nearer))
    print(f"{p:>4.0f} GeV: {before:.1f} um -> {after:.1f} um ({100 * (after / before - 1):.0f} %)")

# %% [markdown]
# **3.** The gradient is the start of the way. A third is not a small step, but the logarithm of $\sigma$ is nearly
# straight.

# %%
factors = np.ones(len(elements))
factors[elements.index("L0")] = 2 / 3
change = score_real(matter.thicker(as_arrays(real), factors))[0] / score_real(as_arrays(real))[0]
guess = sensitivity[0, elements.index("L0")] * math.log(2 / 3)
print(f"predicted {100 * (math.exp(guess) - 1):.1f} %, evaluated {100 * (float(change) - 1):.1f} %")

# %% [markdown]
# **4.** By the formula they scatter less, and that is its flaw: two halves *are* the whole. In the simulation, one half
# added to another is the whole but for a per cent or two, because the core of a distribution with tails does not add up
# like a variance.

# %%
whole, halves = formula(0.02, 1.0), math.sqrt(2) * formula(0.01, 1.0)
print(f"formula: whole {1e3 * whole:.3f} mrad, halves {1e3 * halves:.3f} mrad ({100 * (halves / whole - 1):.1f} %)")
one = matter.angles("silicon", 0.01, 1.0, COUNT)
added = one + np.roll(one, 1)  # the angles of a muon in the first half, of another in the second
thick = matter.core_width(matter.angles("silicon", 0.02, 1.0, COUNT))
print(f"simulation: whole {1e3 * thick:.3f} mrad, angles of halves added {1e3 * matter.core_width(added):.3f} mrad")
