# %% [markdown]
# # Efficiency or precision?
#
# A forward spectrometer sees J/psi that decay to two muons. Its planes have a threshold: a low one finds nearly every muon
# and measures it with the help of noise, a high one measures well what it finds. Its last plane may stand near, and catch
# most muons, or far, with a long lever. Muons measured precisely but less often, or less precisely but more often: which
# is better?
#
# Neither, until you say what you want to know. This lesson asks six questions of the same simulated muons, and gets
# different detectors. It takes two minutes: `python studies/teaching/06_efficiency_or_precision.py`; `--quick` takes fewer
# muons. The detector is that of `studies/jpsi_peak.yaml`, the questions are in `peak.py`, beside this file.

# %%
import numpy as np
import peak
from lesson import Lesson

from detopt.report.style import AFTER, BEFORE, FAINT, INK, THIRD, WARNING, Drawing, styled

lesson = Lesson("06_efficiency_or_precision")

# %% [markdown]
# ## (a) What can be had together
#
# Every design of a grid, simulated with the same pairs. The efficiency counts pairs whose muons are both found; five hits
# of six make a track. The mass resolution comes from the two fits, scattering included.

# %%
found = peak.scan(lesson.scaled(32_768, 8_192))
front = found.front()
colours = dict(zip(peak.QUESTIONS, (FAINT, BEFORE, WARNING, INK, THIRD, AFTER), strict=True))
with styled():
    figure = Drawing(6.6, 4.4)
    ax = figure.panel(0.85, 0.75, 5.5, 3.2)
    ax.plot(100 * found.efficiency.ravel(), 1e3 * found.resolution.ravel(), ".", color=FAINT, markersize=4)
    ax.step(100 * front[:, 0], 1e3 * front[:, 1], where="pre", color=INK, linewidth=1.2)
    for i, (question, colour) in enumerate(colours.items()):
        at = found.best(question)
        # Where two questions have the same answer both are seen.
        ax.plot(
            100 * found.efficiency[at],
            1e3 * found.resolution[at],
            "o",
            color=colour,
            markersize=14 - 1.6 * i,
            label=question,
        )
    ax.set(xlabel="efficiency for pairs [%]", ylabel="mass resolution [MeV]", xlim=(25, None), ylim=(8, 28))
    ax.legend(loc="upper left", fontsize="small")
    figure.say(0.3, "Six questions, and where on the front their answers are")
lesson.finish(figure, "1_front")

# %% [markdown]
# ## (b) What decides
#
# * **No background.** Each pair counts, however badly it is measured: the relative error of the rate is
#   $1/\sqrt{S}$, and the most efficient design wins. A corner.
# * **Counting** in a window around the peak, on a background that lies under it: a sharper peak needs a narrower window,
#   with less background. The best design lies inside: $\sigma(\mu) = \sqrt{S + B}/S$.
# * **Counting, when the background is only known to 5 %**: now $\sigma(\mu) = \sqrt{S + B + (0.05\,B)^2}/S$, and what is
#   under the peak hurts in proportion to itself. Precision gains.
# * **A fit of the mass spectrum.** The sidebands measure the background, and its uncertainty of 5 % does next to nothing.
#   The optimum goes back. A systematic uncertainty matters as far as the data cannot constrain it.
# * **A bump that looks like the signal** is what data cannot constrain: 5 % of the background under the peak may hide
#   there, and precision is needed again.

# %%
columns = ("sigma(mu) [%]", "threshold", "last plane", "efficiency", "resolution", "at the end")
print(f"{'':30}{columns[0]:>16}" + "".join(f"{column:>12}" for column in columns[1:]))
for question, errors in found.errors.items():
    at, end = found.best(question), found.most_efficient()
    value = f"{100 * errors[at]:.2f} ± {100 * found.spread[question][at]:.2f}"
    print(
        f"{question:30}{value:>16}{peak.THRESHOLDS[at[0]]:>12.1f}{peak.PLACES[at[1]] / 1e3:>10.1f} m"
        f"{100 * found.efficiency[at]:>10.1f} %{1e3 * found.resolution[at]:>8.1f} MeV{errors[end] / errors[at]:>10.2f} x"
    )
with styled():
    figure = Drawing(6.6, 4.4)
    ax = figure.panel(0.85, 0.75, 5.5, 3.2)
    for question, errors in found.errors.items():
        along = errors.min(axis=1)  # over the places of the last plane
        ax.plot(peak.THRESHOLDS, along / along.min(), color=colours[question], label=question)
        ax.plot(peak.THRESHOLDS[int(np.argmin(along))], 1, "o", color=colours[question])
    ax.set(xlabel="threshold of the planes", ylabel="error of the rate, over the best", xlim=(0, 3), ylim=(0.97, 2))
    ax.legend(loc="upper center", fontsize="small")
    figure.say(0.3, "How far each question's error is from its best")
lesson.finish(figure, "2_questions")

# %% [markdown]
# ## (c) Statistics alone would have chosen another detector
#
# Take the design that is best without systematic uncertainties, and ask it the full question.

# %%
for plain, full in (
    ("counting", "counting, background to 5 %"),
    ("mass spectrum", "spectrum, background to 5 %"),
    ("mass spectrum", "spectrum, and a bump of 5 %"),
):
    loss = found.errors[full][found.best(plain)] / found.errors[full].min() - 1
    print(f"the optimum of {plain!r}, asked for {full!r}: {100 * loss:.1f} % worse than the best")

# %% [markdown]
# What the fit sees: the spectra of the most efficient design, and of the best one where a bump may hide.

# %%
with styled():
    figure = Drawing(6.6, 3.6)
    for i, (name, at) in enumerate(
        (("most efficient", found.most_efficient()), ("best with a bump", found.best("spectrum, and a bump of 5 %")))
    ):
        edges, signal, background = peak.spectrum(
            lesson.scaled(65_536, 8_192), peak.THRESHOLDS[at[0]], peak.PLACES[at[1]]
        )
        ax = figure.panel(0.75 + 3.0 * i, 0.75, 2.6, 2.3)
        ax.stairs(background, edges, color=FAINT, fill=True)
        ax.stairs(background + signal, edges, color=AFTER if i else BEFORE)
        ax.set(xlabel="mass of the pair [GeV]", xlim=(2.95, 3.25), ylim=(0, 900), title=name)
        if not i:
            ax.set_ylabel("expected in 10 MeV")
lesson.finish(figure, "3_spectra")

# %% [markdown]
# ## What to remember
#
# * A front says what can be had together. Where on it to stand, the measurement says.
# * $S/\sqrt{S+B}$ is a fair figure for the error of a rate, and is not a discovery significance: that is
#   $\sqrt{2\,[(S+B)\ln(1+S/B) - S]}$ of the expected data (`type: significance`).
# * Ask with the systematic uncertainties in: a design for statistics alone may be the wrong one.
# * Ask which of them the data constrain. A simple count overstates the others.
#
# ## Exercises
#
# 1. Let the background be ten times smaller (`background: 1e4 1/GeV`). Where does the optimum of counting go, and why?
# 2. How large may the bump be before the optimum moves? Try 0.5 %, 1 %, 2 %.
# 3. Let four hits make a track (`tracking: {min_hits: 4}`). Which question gains most?
#
# Solutions: (1) towards efficiency, the corner of no background. (2) The bump counts as soon as its share of what is under
# the peak, bump x B, is as large as $\sqrt{S+B}$: here B under the peak is about
# 1 900 and S 500, and so at 2 to 3 %. (3) Those that ask
# for efficiency at high thresholds: four of six are found where five are not, so the planes can afford a higher threshold.
