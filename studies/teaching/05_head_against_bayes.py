# %% [markdown]
# # A neural head against the Bayes limit
#
# Is this muon prompt, or does it come from a decay a few hairs' breadths away? You will train detopt's own neural head on
# a toy for which the best possible answer is known, and see how near it comes, what happens when the network is too small
# or muons are too few, and whether its probabilities can be believed. Then you will see that the limit itself depends on
# the *detector*.
#
# `python studies/teaching/05_head_against_bayes.py` takes about a minute; `--quick` trains for a shorter time. Figures go
# to `--out`. The toy is in `displaced.py`, the tracker's resolution in `matter.py`, beside this file.

# %%
from dataclasses import replace

import displaced
import matter
import numpy as np
from lesson import Lesson, listing

import detopt
from detopt.backend import jax, jnp
from detopt.detector.surfaces import as_arrays
from detopt.inference.heads import TrackHead
from detopt.report.style import AFTER, BEFORE, FAINT, INK, THIRD, WARNING, Drawing, log_ticks, styled

lesson = Lesson("05_head_against_bayes")

# %% [markdown]
# ## (a) The best there can be
#
# Of each muon we see one number $x$: on which side of the origin its track passes, and how far, in units of the
# resolution. For prompt muons it is normal with width one. Displaced ones are shifted by $A$ = 2, to the left or to the
# right. Half of all muons are displaced. Bayes' theorem gives the log-odds that a muon is displaced,
#
# $$ \ell(x) = \ln\frac{p(x\,|\,\mathrm{displaced})}{p(x\,|\,\mathrm{prompt})} = \ln\cosh(A x) - \frac{A^2}{2}, $$
#
# and nobody can do better. How good an answer is, the *cross-entropy* says: the mean of $-\log_2$ of the probability that
# was given to what is true, in bits. One bit is ignorance, zero is certainty. Its smallest value, reached by $\ell(x)$
# alone, is the Bayes limit (Bishop, *Pattern Recognition and Machine Learning*, sections 1.5 and 1.6).

# %%
APART = 2.0
listing(displaced.best_log_odds, displaced.best_bits)
limit = float(displaced.best_bits(APART))
print(f"Bayes limit at A = {APART:g}: {limit:.4f} bits a muon; a muon tells {1 - limit:.4f} bits about its origin")

# %% [markdown]
# ## (b) Teach a head
#
# detopt's head for single tracks is a small network that takes what is known of a muon and returns log-odds. It is told
# nothing of normal distributions. We show it simulated muons, and it lowers the cross-entropy. The log-odds of Bayes are a
# curve with a kink in the middle; how many units in its layers does a network need to draw it?

# %%
POOL, STEPS = 40_000, lesson.scaled(1500, 400)
WIDTHS = (1, 2, 16) if lesson.quick else (1, 2, 4, 16)


def head(width: int) -> TrackHead:
    """Two hidden layers of so many units."""
    return TrackHead(width=width, layers=2, batch=1024, learning_rate=1e-2)


pool, fresh = displaced.muons(0, POOL, APART), displaced.muons(1, lesson.scaled(400_000, 100_000), APART)
networks, histories = {}, {}
for width in WIDTHS:
    networks[width], histories[width] = displaced.taught(head(width), pool, STEPS)
    worse, error = displaced.excess_bits(networks[width], fresh, APART)
    print(
        f"width {width:2}: {limit + worse:.4f} bits on fresh muons, {1e3 * worse:.2f} ± {1e3 * error:.2f} mbit above Bayes"
    )
INKS = dict(zip((1, 2, 4, 16), (WARNING, BEFORE, THIRD, AFTER), strict=True))

# %%
with styled():
    figure = Drawing(7.6, 3.9)
    ax = figure.panel(0.85, 0.75, 2.8, 2.6)
    x = np.linspace(-5, 5, 201)
    seen = displaced.muons(2, len(x), APART)
    line = seen._replace(features=seen.features.at[:, 0, 0].set(jnp.asarray(x, jnp.float32)))
    for width in (1, 16):
        ax.plot(x, displaced.log_odds(networks[width], line), color=INKS[width], label=f"head, width {width}")
    ax.plot(x, displaced.best_log_odds(x, APART), color=INK, linewidth=1.2, linestyle="--", label="Bayes")
    ax.set(xlim=(-5, 5), ylim=(-4, 13), xlabel=r"$x$, impact parameter over resolution", ylabel="log-odds")
    ax.legend(loc="upper center", fontsize="x-small")
    ax = figure.panel(4.55, 0.75, 2.8, 2.6)
    for width, history in histories.items():
        smooth = np.convolve(history, np.ones(25) / 25, "valid")
        ax.plot(np.arange(len(smooth)) + 25, smooth, color=INKS[width], linewidth=1.3, label=f"width {width}")
    ax.axhline(limit, color=INK, linewidth=1.2, linestyle="--", label="Bayes limit")
    ax.set(xlim=(0, STEPS), ylim=(0.5, 1.02), xlabel="training step", ylabel="cross-entropy [bits]")
    ax.legend(loc="upper right", fontsize="x-small", ncols=2)
    figure.say(0.3, "What the head learns (left), and its loss on the way (right, mean of 25 steps)")
lesson.finish(figure, "1_learning")

# %% [markdown]
# ## (c) Too few muons
#
# A network with 16 units a layer has some hundreds of weights. With a hundred muons to learn from it learns *these* muons
# by heart: its loss on them falls below that of Bayes on the same muons, and on fresh ones it rises far above. (Both are
# drawn as the limit plus what the head loses to Bayes on the same muons, so that the luck of the draw drops out.) Always
# look at muons that the head has not seen.

# %%
SIZES = (100, 1000, 40_000) if lesson.quick else (100, 300, 1000, 3000, 10_000, 40_000)
small, on_own, on_fresh = {}, [], []
for size in SIZES:
    some = displaced.muons(3, POOL, APART, different=size)
    small[size], _ = displaced.taught(head(16), some, STEPS)
    on_own.append(limit + displaced.excess_bits(small[size], some, APART)[0])
    on_fresh.append(limit + displaced.excess_bits(small[size], fresh, APART)[0])
    print(f"{size:6} muons: {on_own[-1]:.3f} bits on these, {on_fresh[-1]:.3f} bits on fresh ones (limit {limit:.3f})")
with styled():
    figure = Drawing(6.6, 4.2)
    ax = figure.panel(0.85, 0.75, 5.5, 3.0)
    ax.plot(SIZES, on_fresh, "o-", color=AFTER, label="on fresh muons")
    ax.plot(SIZES, on_own, "s--", color=BEFORE, label="on those it was trained with")
    ax.axhline(limit, color=INK, linewidth=1.2, linestyle="--")
    ax.axhline(1, color=FAINT, linewidth=1.2, linestyle=":")
    ax.text(52_000, limit - 0.02, "Bayes limit", ha="right", va="top", size="small")
    ax.text(52_000, 1.02, "ignorance", ha="right", size="small", color=FAINT)
    ax.set_xlim(80, 60_000)
    log_ticks(ax, "x")
    ax.set(ylim=(0, max(1.3, 1.15 * max(on_fresh))), xlabel="muons to learn from", ylabel="cross-entropy [bits]")
    ax.legend(loc="upper right", fontsize="small")
    figure.say(0.3, "Learnt by heart, or understood? A head of width 16")
lesson.finish(figure, "2_too_few")

# %% [markdown]
# ## (d) Can its probabilities be believed?
#
# Of all muons to which a head gives 80 %, 80 % should be displaced. The head that learnt by heart is far too sure of
# itself. Two numbers, fitted on muons of their own, mend much of that: they scale and shift the log-odds (Platt scaling;
# Guo et al., [arXiv:1706.04599](https://arxiv.org/abs/1706.04599)). They make the head honest, not clever: what it has not
# learnt, it does not know.

# %%
few = SIZES[0]
honest = small[few].calibrated(displaced.muons(4, 20_000, APART))
judged = {
    f"{few} muons": (small[few], WARNING),
    f"{few} muons, calibrated": (honest, BEFORE),
    f"{POOL} muons": (small[POOL], AFTER),
}
truth = np.asarray(fresh.displaced)[:, 0]
with styled():
    figure = Drawing(5.4, 5.0)
    ax = figure.panel(0.85, 0.75, 4.2, 3.8)
    ax.plot([0, 1], [0, 1], color=INK, linewidth=0.9)
    for name, (network, colour) in judged.items():
        said = np.asarray(jax.nn.sigmoid(displaced.log_odds(network, fresh)))
        bins = np.digitize(said, np.linspace(0, 1, 11)[1:-1])
        points = [(said[bins == b].mean(), truth[bins == b].mean()) for b in range(10) if (bins == b).sum() > 100]
        ax.plot(*np.array(points).T, "o-", color=colour, markersize=5, linewidth=1.2, label=name)
        worse, error = displaced.excess_bits(network, fresh, APART)
        print(f"{name:24}: {1e3 * worse:6.1f} ± {1e3 * error:.1f} mbit above Bayes")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability that the head gives", ylabel="share that is displaced")
    ax.legend(loc="lower right", fontsize="small")
    figure.say(0.3, "On the diagonal, probabilities mean what they say")
lesson.finish(figure, "3_calibration")

# %% [markdown]
# ## (e) The design moves the limit
#
# A better head cannot beat Bayes. A better detector can. Let displaced muons of 1 GeV pass the origin at 50 µm; then $A$ =
# 50 µm over the resolution of $d_0$, and that depends on the radius of the first layer (lesson 2). All of it is
# differentiable: from the radius through detopt's covariance to the resolution, to $A$, to the limit in bits.

# %%
FLIGHT, FIRST = 0.05, "L0"  # mm
tracker = as_arrays(detopt.load("its2_like"))
score = matter.scorer(tracker, (1.0,))


def apart(radius: jax.Array) -> jax.Array:
    """Displacement over resolution, with the first layer at a radius in mm."""
    layer = replace(tracker.part(FIRST), radius=radius)
    return FLIGHT / score(tracker.with_part(FIRST, layer))[0]


bits = jax.jit(jax.value_and_grad(lambda radius: displaced.best_bits(apart(radius))))
now = 23.2
(value, slope), (above, _), (below, _) = (bits(jnp.asarray(r)) for r in (now, now + 0.1, now - 0.1))
print(f"first layer at {now} mm: {value:.4f} bits; gradient {1e3 * slope:.3f} mbit/mm,", end=" ")
print(f"by differences {1e3 * (above - below) / 0.2:.3f} mbit/mm")
radii = np.linspace(20.5, 30.5, 21)
curve = [float(bits(jnp.asarray(r))[0]) for r in radii]
places = (now, 28.0) if lesson.quick else (21.0, now, 26.0, 30.0)
reached = []
for r in places:
    a = float(apart(jnp.asarray(r)))
    network, _ = displaced.taught(head(16), displaced.muons(5, POOL, a), STEPS)
    worse, error = displaced.excess_bits(network, displaced.muons(6, len(truth), a), a)
    reached.append(float(displaced.best_bits(a)) + worse)
    print(
        f"{r:5.1f} mm: A = {a:.3f}, limit {float(displaced.best_bits(a)):.4f}, head {reached[-1]:.4f} ± {error:.4f} bits"
    )
with styled():
    figure = Drawing(6.6, 4.2)
    ax = figure.panel(0.95, 0.75, 5.4, 3.0)
    ax.plot(radii, curve, color=INK, linestyle="--", label="Bayes limit")
    ax.plot(places, reached, "o", color=AFTER, markersize=8, label="head trained for the design")
    step = np.array([-1.6, 1.6])
    ax.plot(
        now + step, float(value) + float(slope) * step, color=BEFORE, linewidth=4, zorder=1, label="gradient, as built"
    )
    ax.set(xlim=(20, 31), xlabel="radius of the first layer [mm]", ylabel="cross-entropy [bits]")
    ax.legend(loc="upper left", fontsize="small")
    figure.say(0.3, "The detector decides what there is to know (beam pipe at 20 mm)")
lesson.finish(figure, "4_design")

# %% [markdown]
# In real studies the likelihood is not known, and so neither is the limit. There detopt trains the head and moves the
# design together, and the head's loss stands in for the limit (`studies/displaced_muons.yaml`).
#
# ## What to remember
#
# * No head beats the Bayes limit on fresh muons. If one does, look for the mistake.
# * Large enough a network, muons enough, and a calibration on muons of their own: then the loss is the limit.
# * The limit belongs to the detector. The gradient of a head's loss to the design is worth following once the head is
#   good.
#
# ## Exercises
#
# 1. How much does a muon tell at $A$ = 1, 2 and 4? At which $A$ does it tell half a bit?
# 2. A second, independent tracker measures the same displacement. Is that worth twice the information?
# 3. A cut: muons with $|x| > c$ are called displaced, and each of the two classes gets the probability that is right for
#    it. How many bits does the best cut lose to Bayes?
# 4. Make the first layer of the tracker half as thick. What is gained, in bits, and how much nearer would a layer as thick
#    as before have to stand?

# %% [markdown]
# ## Solutions
#
# **1.** From `best_bits`, and by bisection.

# %%
for a in (1.0, 2.0, 4.0):
    print(f"A = {a:g}: {1 - float(displaced.best_bits(a)):.3f} bits")
low, high = 0.0, 8.0
for _ in range(40):
    middle = 0.5 * (low + high)
    low, high = (middle, high) if float(displaced.best_bits(middle)) > 0.5 else (low, middle)
print(f"half a bit: A = {low:.3f}")

# %% [markdown]
# **2.** The mean of the two measurements holds all that there is to know, with an error smaller by $\sqrt2$: $A$ becomes
# $\sqrt2 A$. Where one muon tells little that is worth *more* than twice, where it tells nearly all, less.

# %%
for a in (0.5, 2.0, 4.0):
    one, two = (1 - float(displaced.best_bits(f * a)) for f in (1.0, 2**0.5))
    print(f"A = {a:g}: {one:.4f} bits, with two trackers {two:.4f} bits: {two / one:.2f} times")

# %% [markdown]
# **3.** Of a cut only two shares are left, and their entropy is soon computed.

# %%
x, odds = np.abs(np.asarray(fresh.features)[:, 0, 0]), np.log2


def bits_of_cut(cut: float) -> float:
    """Cross-entropy of a cut on the impact parameter, with the right probability on each side."""
    total = 0.0
    for side in (x > cut, x <= cut):
        p = truth[side].mean()
        total -= side.mean() * (p * odds(p) + (1 - p) * odds(1 - p))
    return float(total)


cuts = np.linspace(0.3, 3, 28)
losses = [bits_of_cut(c) for c in cuts]
print(f"best cut {cuts[int(np.argmin(losses))]:.1f}: {min(losses):.3f} bits, {min(losses) - limit:.3f} above Bayes")

# %% [markdown]
# **4.** Detopt's covariance, and the limit, once more.

# %%
light = replace(tracker.part(FIRST), x_over_X0=tracker.part(FIRST).x_over_X0 / 2)
gained = float(displaced.best_bits(FLIGHT / score(tracker.with_part(FIRST, light))[0]))
low, high = 15.0, now
for _ in range(30):
    middle = 0.5 * (low + high)
    low, high = (middle, high) if float(bits(jnp.asarray(middle))[0]) < gained else (low, middle)
print(
    f"half as thick: {float(value):.4f} -> {gained:.4f} bits; as good as a layer at {low:.1f} mm, the pipe left aside"
)
