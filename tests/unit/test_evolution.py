"""pymoo's algorithms as searches for a front."""

import numpy as np
import pytest

import detopt
from detopt.search.evolution import EVOLUTIONS, EvolutionSearcher
from detopt.search.fronts import hypervolume
from detopt.search.options import OptionCodes
from detopt.search.pareto import Forgotten
from detopt.study.pareto import pareto_study

A, B = np.array([0.2, 0.3, 0.6, 0.5]), np.array([0.8, 0.7, 0.4, 0.5])
REFERENCE = np.zeros(2)


def both(u, key=None):
    """Two distances; the front is on the line from A to B."""
    return np.stack([((u[:, :4] - A) ** 2).sum(1), ((u[:, :4] - B) ** 2).sum(1)], axis=1) - 1.0


def searcher(algorithm="nsga2", evaluations=1500, excess=None, codes=None, scores=both):
    start = np.full((1, 4), 0.9)
    if codes is not None:
        start = codes.with_codes(start, np.zeros((1, len(codes.sizes)), int))
    return EvolutionSearcher(algorithm, excess, evaluations, scores, start, 1, codes=codes)


def run(search, state=None, rounds=10**6):
    state = search.init() if state is None else state
    while not search.done(state) and state.rounds < rounds:
        state = search.step(state)
    return state


@pytest.mark.parametrize("algorithm", EVOLUTIONS)
def test_finds_the_front(algorithm):
    state = run(searcher(algorithm))
    assert 1400 < state.spent <= 1500
    assert len(state.archive.u) == state.spent
    t, length = np.linspace(0, 1, 4000), ((A - B) ** 2).sum()
    exact = hypervolume(np.stack([t**2 * length, (1 - t) ** 2 * length], 1) - 1, REFERENCE)
    assert 0.97 * exact < hypervolume(state.archive.values, REFERENCE) < exact


@pytest.mark.parametrize("algorithm", EVOLUTIONS)
def test_goes_on_as_if_it_had_not_stopped(algorithm):
    whole, part = run(searcher(algorithm, 400)), run(searcher(algorithm, 400), rounds=7)
    rest = run(searcher(algorithm, 400), part)
    np.testing.assert_array_equal(rest.archive.u, whole.archive.u)
    np.testing.assert_array_equal(rest.archive.values, whole.archive.values)


def test_another_past_is_noticed():
    part = run(searcher(evaluations=400), rounds=3)
    part.archive.u[-1] += 0.01
    with pytest.raises(Forgotten):
        run(searcher(evaluations=400), part)


def test_constraints_and_failures():
    """Half of the front is not allowed; some designs cannot be scored."""
    search = searcher(
        excess=lambda u: u[:, :1] - 0.5,
        scores=lambda u, key: np.where((u[:, :1] > 0.5) | (u[:, 3:4] > 0.9), np.nan, both(u)),
    )
    archive = run(search).archive
    assert (archive.u[-100:, 0] <= 0.5).mean() > 0.9
    assert np.isfinite(archive.values[-100:]).mean() > 0.9


def test_options():
    """The second of three options is the best one everywhere."""
    codes = OptionCodes(4, (3,))

    def scores(u, key):
        assert (u[:, 4:].sum(axis=1) == 1).all()
        return both(u) + 0.3 * (1 - u[:, 5:6])

    archive = run(searcher(codes=codes, scores=scores)).archive
    assert (codes.options(archive.u[-100:])[:, 0] == 1).mean() > 0.8


def test_as_a_search_of_a_study(tmp_path, small_text, front_text, cli):
    (tmp_path / "small.yaml").write_text(small_text)
    text = front_text.replace("type: pareto,", "type: pareto, algorithm: nsga2,")
    assert text != front_text
    (tmp_path / "study.yaml").write_text(text)
    study = detopt.load(tmp_path / "study.yaml")
    run = study.pareto(out=tmp_path / "run")
    assert run.front_result["evaluations"] <= 400 + 64
    assert run.front().num_rows > 3
    assert run.front_result["failed"] > 0  # random designs miss the gap, and are not moved
    whole = run.front()
    # A search that its time limit ended goes on to the same front.
    stopped = pareto_study(study, out=tmp_path / "stopped", time_limit=0)
    assert stopped.front_result["evaluations"] < run.front_result["evaluations"]
    assert detopt.resume(stopped.folder).front().equals(whole)
    (tmp_path / "study.yaml").write_text(text.replace("nsga2", "nsga4"))
    answer = cli("check", str(tmp_path / "study.yaml"))
    assert answer.code == 2
    assert "nsga2" in answer.err
