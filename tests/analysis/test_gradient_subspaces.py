"""The analysis of gradient subspaces: on small runs, and on agents whose data are known."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from agents.small_agents import dqn, loss_batch, ppo, sac, trained
from pydantic import ValidationError
from scipy import stats

from suite.analysis.checkpoint_data import CheckpointData
from suite.analysis.curvature import explicit_hessian, hessian_of
from suite.analysis.derivatives import gradient_of
from suite.analysis.eigenpairs import explicit_eigenpairs
from suite.analysis.gradient_subspaces import (
    Checkpoints,
    GradientSubspaces,
    GradientSubspacesSettings,
)
from suite.analysis.protocol import document_of
from suite.analysis.recorded import RecordedRun
from suite.analysis.registry import build_analysis, recordings_of
from suite.analysis.subspaces import fractions, log_probability, overlap, stability
from suite.conformance.small_runs import result, small_runs, train
from suite.specs.models import AnalysisSpec, TaskSpec

PENDULUM = TaskSpec(name="pendulum", family="classic", environment="Pendulum-v1", episode_limit=20)
SMALL = {"dimensions": [1, 2, 4], "samples": 64, "estimate": 48, "smoothing": 0}
PHASES = ("initial", "training", "convergence")
ORDERS = ("algebraic", "magnitude")
GROUPS = {"ppo": ("actor", "critic"), "sac": ("actor", "critic"), "td3": ("actor", "critic")}
BY_DIMENSION = (
    "fraction",
    "estimated_gradient",
    "estimated",
    "held_out",
    "ceiling",
    "overlap",
    "stability",
)
STEPS = [0, 25, 50, 75, 80]


def asked(**changes):
    whole = GradientSubspacesSettings.model_validate_json(json.dumps(SMALL | changes))
    return AnalysisSpec(kind="gradient_subspaces", settings=whole.model_dump(mode="json"))


@cache
def _trained(kind, root, seed):
    if kind in ("ppo", "sac", "td3"):
        (run,) = small_runs(kind, [seed], task=PENDULUM, hidden_units=6)
    elif kind == "dqn":
        (run,) = small_runs(kind, [seed], hidden_units=6)
    else:
        (run,) = small_runs(kind, [seed], budget=20)
    run = run.model_copy(update={"recordings": recordings_of(asked())})
    return run, train([run], root)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A finished small run of an agent as analyses see it."""
    root = tmp_path_factory.mktemp("gradient_subspaces")

    def give(kind, seed=0):
        return RecordedRun(*_trained(kind, root / f"{kind}-{seed}", seed))

    return give


@pytest.fixture(scope="module")
def found_in(recorded):
    """What the analysis finds in such a run, at the settings of this file."""
    return cache(lambda kind: analysed(recorded(kind)))


def analysed(run, **changes):
    return build_analysis(asked(**changes)).analyse(run)


def series_of(what, group, order, k):
    """The main k, 4, goes without saying."""
    return f"{what}/{group}/{order}" + (f"/{k}" if k != 4 else "")


def by_dimension(what, group, order):
    """The series of one thing."""
    names = {series_of(what, group, order, k) for k in (1, 2, 4)}
    return names if what == "stability" else names | {f"times_chance/{what}/{group}/{order}"}


def names_of(groups):
    """The series that the analysis promises, without `legacy` and `spectrum`."""
    names = set()
    for group in groups:
        names |= {f"chance/{group}", f"final_spectrum/{group}"}
        for order in ORDERS:
            for what in BY_DIMENSION:
                names |= by_dimension(what, group, order)
            names |= {f"eigenvalue/{group}/{order}/{k}" for k in (1, 4)}
            names |= {f"{what}/{group}/{order}" for what in ("residual", "log10_p", "gap")}
    return names


@pytest.mark.parametrize("kind", ["ppo", "sac", "td3", "dqn"])
def test_series_are_those_promised_at_the_recorded_checkpoints(kind, found_in):
    groups = GROUPS.get(kind, ("q",))
    found = found_in(kind)
    assert {*found.series} == names_of(groups)
    later = ("overlap/", "times_chance/overlap/", "stability/")
    for name, (steps, values) in found.series.items():
        if name.startswith("final_spectrum/"):
            assert steps.tolist() == [1, 2, 3, 4] and (np.diff(values) <= 0).all()
            continue
        # The first subspace from a tenth of the budget on is that of step 25.
        assert steps.tolist() == (STEPS[2:] if name.startswith(later) else STEPS), name
        if not name.startswith(("stability/", "residual/")):
            assert np.isfinite(values).all(), name
    for name in (*BY_DIMENSION[:-1], "chance"):
        for series, (_, values) in found.series.items():
            if series.startswith(f"{name}/"):
                assert (values >= 0).all() and (values <= 1 + 1e-6).all(), series
    for group in groups:
        for order in ORDERS:
            for what in ("fraction", "estimated_gradient", "estimated", "held_out"):
                rows = [found.series[series_of(what, group, order, k)][1] for k in (1, 2, 4)]
                assert (np.diff(rows, axis=0) >= -1e-9).all(), (what, group, order)
    assert {*found.arrays} == {f"eigenvalues/{g}/{o}" for g in groups for o in ORDERS}
    assert all(values.shape == (5, 4) for values in found.arrays.values())
    for name, values in found.arrays.items():
        keys = np.abs(values) if name.endswith("magnitude") else values
        assert (np.diff(keys, axis=1) <= 1e-9 * np.abs(keys).max()).all(), name
        group_order = name.removeprefix("eigenvalues/")
        for k in (1, 4):
            _, series = found.series[f"eigenvalue/{group_order}/{k}"]
            np.testing.assert_array_equal(series, values[:, k - 1])
    assert all(
        value is None or np.isfinite(value) for value in document_of(found)["figures"].values()
    )


@pytest.mark.parametrize("kind", ["ppo", "dqn"])
def test_figures_are_those_promised(kind, found_in):
    groups = GROUPS.get(kind, ("q",))
    expected = {"phases_told", *(f"checkpoints/{phase}" for phase in (*PHASES, "later"))}
    for phase in (*PHASES, "later"):
        for group in groups:
            expected |= {f"chance/{group}/{phase}"}
            expected |= {f"magnitude_less_algebraic/fraction/{group}/{phase}"}
            for order in ORDERS:
                whats = (*BY_DIMENSION, "residual", "log10_p", "gap")
                expected |= {f"{what}/{group}/{order}/{phase}" for what in whats}
                times = {f"times_chance/{what}/{group}/{order}" for what in BY_DIMENSION[:-1]}
                expected |= {f"{name}/{phase}" for name in times}
        if kind == "ppo":
            for order in ORDERS:
                for what in ("fraction", "stability"):
                    expected.add(f"critic_less_actor/{what}/{order}/{phase}")
    for group in groups:
        for order in ORDERS:
            expected |= {f"later_less_initial/fraction/{group}/{order}"}
            expected |= {f"decay/{group}/{order}", f"plateau/{group}/{order}"}
    assert {*found_in(kind).figures} == expected


def test_equal_runs_give_equal_bits_and_other_seeds_others(recorded, found_in):
    one, again = document_of(found_in("sac")), document_of(analysed(recorded("sac")))
    assert one == again
    other = document_of(analysed(recorded("sac", seed=1)))
    assert other["series"].keys() == one["series"].keys()
    name = "eigenvalue/critic/algebraic/1"
    assert other["series"][name]["value"] != one["series"][name]["value"]


def test_a_recorded_run_is_the_run_that_nobody_looks_at(recorded, tmp_path):
    run = recorded("ppo")
    before = result(run._store, run.spec)
    analysed(run)
    assert result(run._store, run.spec) == before
    plain = run.spec.model_copy(update={"recordings": ()})
    assert plain.key() == run.key
    alone = result(train([plain], tmp_path), plain)
    assert {name: before[name] for name in alone if name != "COMPLETE"} == {
        name: value for name, value in alone.items() if name != "COMPLETE"
    }


def test_every_setting_is_in_the_key_of_a_result():
    changes = [
        {"every": 2},
        {"dimensions": [1, 2, 5]},
        {"samples": 65},
        {"estimate": 49},
        {"overlap_from": 0.2},
        {"smoothing": 1},
        {"spectrum": True},
        {"tolerance": 1e-3},
        {"precision": "float64"},
        {"legacy": True},
    ]
    assert {name for one in changes for name in one} == {*GradientSubspacesSettings.model_fields}
    keys = {asked(**one).key("run") for one in changes} | {asked().key("run")}
    assert len(keys) == len(changes) + 1
    assert asked().key("run") != asked().key("other run")
    assert asked().key("run") == asked().key("run")


def test_the_setting_of_precision_is_the_precision_of_products(recorded, found_in):
    single, double = found_in("ppo"), analysed(recorded("ppo"), precision="float64")
    assert single.series.keys() == double.series.keys()
    for name, (_, values) in single.series.items():
        if name.startswith(("eigenvalue/critic", "fraction/critic", "eigenvalue/actor")):
            np.testing.assert_allclose(values, double.series[name][1], rtol=0.01, err_msg=name)
    name = "eigenvalue/critic/algebraic/1"
    assert (single.series[name][1] != double.series[name][1]).any()
    assert double.series["residual/critic/algebraic"][1].max() <= 1.01e-4


def test_whole_spectra_agree_with_what_the_block_method_finds(recorded):
    run = recorded("ppo")
    found = analysed(run, precision="float64", tolerance=1e-7)
    whole = analysed(run, precision="float64", tolerance=1e-7, spectrum=True)
    extra = {f"steep_share/{group}" for group in ("actor", "critic")}
    assert {*whole.series} == {*found.series} | extra
    for name, (_, values) in found.series.items():
        if name.partition("/")[0] not in ("residual", "stability", "final_spectrum"):
            _, other = whole.series[name]
            np.testing.assert_allclose(other, values, rtol=1e-3, atol=1e-5, err_msg=name)
    for group in ("actor", "critic"):
        spectrum = whole.arrays[f"spectrum/{group}"]
        agents = dict(run.agents(every=1))
        size = agents[0].groups[group].network.parameter_slices()[-1].stop
        assert spectrum.shape == (5, size)
        numbers, final = whole.series[f"final_spectrum/{group}"]
        assert numbers.tolist() == [*range(1, size + 1)]
        np.testing.assert_array_equal(final, spectrum[-1])
        assert (np.diff(spectrum, axis=1) <= 0).all()
        np.testing.assert_allclose(
            spectrum[:, :4], whole.arrays[f"eigenvalues/{group}/algebraic"], rtol=1e-10
        )
        share = (np.abs(spectrum) > 0.01 * spectrum.max(axis=1, keepdims=True)).mean(axis=1)
        np.testing.assert_allclose(whole.series[f"steep_share/{group}"][1], share)
        assert f"steep_share/{group}/later" in whole.figures


def test_whole_spectra_in_float32_are_those_in_float64(recorded):
    single = analysed(recorded("ppo"), spectrum=True)
    double = analysed(recorded("ppo"), spectrum=True, precision="float64")
    for group in GROUPS["ppo"]:
        largest = double.arrays[f"spectrum/{group}"].max()
        np.testing.assert_allclose(
            single.arrays[f"spectrum/{group}"],
            double.arrays[f"spectrum/{group}"],
            atol=1e-4 * largest,
        )


def test_legacy_series_of_ppo_use_the_authors_targets(recorded):
    found = analysed(recorded("ppo"), legacy=True)
    extra = set().union(
        *(by_dimension("legacy_estimated", group, "algebraic") for group in GROUPS["ppo"])
    )
    assert {*found.series} == names_of(GROUPS["ppo"]) | extra
    for group in GROUPS["ppo"]:
        _, legacy = found.series[f"legacy_estimated/{group}/algebraic"]
        _, own = found.series[f"estimated/{group}/algebraic"]
        assert (legacy != own).all()
    for phase in (*PHASES, "later"):
        assert f"own_less_legacy/estimated/critic/algebraic/{phase}" in found.figures


def test_legacy_series_of_sac_have_no_gradient_of_q(recorded):
    found = analysed(recorded("sac"), legacy=True)
    extra = by_dimension("without_q", "actor", "algebraic")
    extra |= {"without_q_difference/actor/algebraic"}
    assert {*found.series} == names_of(GROUPS["sac"]) | extra
    for phase in (*PHASES, "later"):
        assert f"without_q/actor/algebraic/{phase}" in found.figures
    without, own = (found.series[f"{x}/actor/algebraic"][1] for x in ("without_q", "fraction"))
    difference = found.series["without_q_difference/actor/algebraic"][1]
    assert (difference > 0).all()
    np.testing.assert_allclose(difference, np.abs(without - own))


SETTINGS = GradientSubspacesSettings(
    dimensions=(1, 2, 4), smoothing=0, precision="float64", tolerance=1e-8
)


def data_of(agent, seeds, first):
    """Data at a checkpoint of random batches."""
    batches = [loss_batch(agent, seeds, first + i, 64) for i in range(5)]
    return CheckpointData(batches[0], batches[1], batches[2:4], batches[2], batches[4:])


def whole_problem(agent, group, batch):
    """A group's gradient and eigenpairs on a batch from its whole Hessian."""
    chosen, loss = agent.groups[group], agent.losses()[group]
    gradient = gradient_of(chosen, loss, batch, torch.float64).flatten().numpy()
    blocks = explicit_hessian(hessian_of(chosen, loss, batch, torch.float64))
    pairs = explicit_eigenpairs(blocks, 4, ORDERS)
    return gradient, {order: one.flat.numpy() for order, one in pairs.items()}


def gap_of(agent, group, batch, order):
    """The largest over the fourth eigenvalue of the whole Hessian."""
    hessian = hessian_of(agent.groups[group], agent.losses()[group], batch, torch.float64)
    values = explicit_eigenpairs(explicit_hessian(hessian), 4, [order])[order].values
    return float(abs(values[0] / values[3]))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("build", "group"), [(ppo, "actor"), (ppo, "critic"), (sac, "critic")])
def test_every_series_is_what_its_description_says(build, group, order):
    seeds = (3,)
    agent = trained(build(seeds, hidden_units=6), seeds, 5)
    checkpoints = Checkpoints(SETTINGS, 3, overlap_from=10.0)
    seen, data, problems, gaps = [5, 10, 20, 30], [], [], []
    for number, step in enumerate(seen):
        agent = trained(agent, seeds, 5, first=5 * (number + 1))
        data.append(data_of(agent, seeds, 100 + 10 * number))
        gaps.append(gap_of(agent, group, data[-1].precise, order))
        checkpoints.look(agent, step, data[-1])
        problems.append(
            {
                name: whole_problem(agent, group, getattr(data[-1], name))
                for name in ("precise", "independent", "estimate")
            }
            | {
                f"{name}/{i}": whole_problem(agent, group, one)
                for name in ("batches", "others")
                for i, one in enumerate(getattr(data[-1], name))
            }
        )
    found = checkpoints.result(None).series

    def series(what, k):
        return found[series_of(what, group, order, k)]

    def share(subspace, gradients, k, at):
        basis = problems[at][subspace][1][order]
        own = [fractions(basis, problems[at][name][0])[k - 1] for name in gradients]
        return np.mean(own)

    n = len(problems[0]["precise"][0])
    for k in (1, 2, 4):
        for at in range(4):
            batches, others = ("batches/0", "batches/1"), ("others/0",)
            expected = {
                "fraction": share("precise", ("precise",), k, at),
                "estimated_gradient": share("precise", batches, k, at),
                "estimated": share("estimate", batches, k, at),
                "held_out": share("estimate", others, k, at),
                "ceiling": ceiling(problems[at], order, k),
            }
            for what, value in expected.items():
                assert series(what, k)[1][at] == pytest.approx(value, rel=1e-4, abs=1e-8), what
        steps, between = series("overlap", k)
        assert steps.tolist() == [20, 30]  # the first from 10 on is what they are compared with
        for place, at in enumerate((2, 3)):
            bases = [problems[i]["precise"][1][order][:, :k] for i in (1, at)]
            assert between[place] == pytest.approx(overlap(*bases), rel=1e-4)
            tops = [ceiling(problems[i], order, k) for i in (1, at)]
            expected = stability(overlap(*bases), tops, k, n)
            assert series("stability", k)[1][place] == pytest.approx(
                expected, rel=1e-3, nan_ok=True
            )
    for at in range(4):
        assert found[f"chance/{group}"][1][at] == pytest.approx(4 / n)
        for what in ("fraction", "held_out"):
            times = series(what, 4)[1][at] * n / 4
            assert found[f"times_chance/{what}/{group}/{order}"][1][at] == pytest.approx(times)
        assert found[f"gap/{group}/{order}"][1][at] == pytest.approx(gaps[at], rel=1e-4)
        value = log_probability(share("precise", ("precise",), 4, at), 4, n)
        assert found[f"log10_p/{group}/{order}"][1][at] == pytest.approx(value, rel=1e-4)
        assert found[f"residual/{group}/{order}"][1][at] < 1e-7


def ceiling(problem, order, k):
    return overlap(problem["precise"][1][order][:, :k], problem["independent"][1][order][:, :k])


def test_figures_are_means_over_phases_and_differences_of_these():
    checkpoints = Checkpoints(SETTINGS, 0, overlap_from=0.0)
    checkpoints.groups = ["actor", "critic"]
    # Training begins at step 3, convergence at step 5, the last that is below nine tenths.
    returns = {"step": [*range(8)], "value": [0, 0, 0, 5, None, 6, 10, 10]}
    values = {
        "fraction/actor/algebraic": [0.1, 0.3, 0.5, 0.7],
        "fraction/critic/algebraic": [0.2, 0.6, 0.8, 1.0],
        "fraction/actor/magnitude": [0.4, 0.4, 0.4, 0.4],
        "fraction/actor/algebraic/1": [0.0, 0.0, 0.0, 0.0],
        "without_q/actor/algebraic": [0.0, 0.2, 0.1, 0.1],
        "eigenvalue/actor/algebraic/4": [1.0, 1.0, 1.0, 1.0],
        "chance/actor": [0.02, 0.02, 0.02, 0.02],
        "log10_p/actor/algebraic": [-1.0, -2.0, -30.0, -7.0],
        "times_chance/overlap/actor/algebraic": [9.0, 8.0, 7.0, 6.0],
    }
    for at, step in enumerate((0, 2, 3, 6)):
        checkpoints.steps.append(step)
        for name, own in values.items():
            checkpoints._put(name, own[at])
    checkpoints._put("overlap/actor/algebraic", 0.9)
    figures = checkpoints.result(returns).figures
    assert figures["phases_told"] == 1
    members = {"initial": 2, "training": 1, "convergence": 1, "later": 2}
    assert {p: figures[f"checkpoints/{p}"] for p in members} == members
    means = {"initial": 0.2, "training": 0.5, "convergence": 0.7, "later": 0.6}
    for phase, value in means.items():
        assert figures[f"fraction/actor/algebraic/{phase}"] == pytest.approx(value), phase
    assert figures["chance/actor/later"] == pytest.approx(0.02)
    assert figures["critic_less_actor/fraction/algebraic/initial"] == pytest.approx(0.2)
    assert figures["critic_less_actor/fraction/algebraic/later"] == pytest.approx(0.3)
    assert figures["critic_less_actor/fraction/algebraic/training"] == pytest.approx(0.3)
    assert figures["later_less_initial/fraction/critic/algebraic"] == pytest.approx(0.5)
    name = "magnitude_less_algebraic/fraction/actor"
    assert figures[f"{name}/initial"] == pytest.approx(0.2)
    assert figures[f"{name}/convergence"] == pytest.approx(-0.3)
    assert figures["log10_p/actor/algebraic/later"] == -7.0  # the least unlikely one
    assert figures["plateau/actor/algebraic"] == 6.0  # the last one
    assert np.isnan(figures["plateau/actor/magnitude"])
    # Of checkpoints that lack a number the others count.
    assert figures["overlap/actor/algebraic/convergence"] == pytest.approx(0.9)
    assert np.isnan(figures["overlap/actor/algebraic/initial"])
    assert np.isnan(figures["overlap/actor/algebraic/training"])
    assert not any(name.startswith("eigenvalue/") or "/1/" in name for name in figures)


@pytest.mark.parametrize(
    "returns", [None, {"step": [0, 1, 2], "value": [1.0, 1.0, None]}, {"step": [], "value": []}]
)
def test_where_the_return_never_rose_all_is_initial_and_later_is_unknown(returns):
    checkpoints = Checkpoints(SETTINGS, 0, overlap_from=0.0)
    checkpoints.groups = ["actor"]
    for step, value in ((0, 0.2), (5, 0.4)):
        checkpoints.steps.append(step)
        checkpoints._put("fraction/actor/algebraic", value)
    figures = checkpoints.result(returns).figures
    assert figures["phases_told"] == 0 and figures["checkpoints/initial"] == 2
    assert figures["fraction/actor/algebraic/initial"] == pytest.approx(0.3)
    for phase in ("training", "convergence", "later"):
        assert figures[f"checkpoints/{phase}"] == 0
        assert np.isnan(figures[f"fraction/actor/algebraic/{phase}"])
    assert np.isnan(figures["later_less_initial/fraction/actor/algebraic"])


@pytest.mark.parametrize("values", [[0.9, 0.7, 0.8, 0.4], [0.5, 0.5, 0.5], [0.9, 0.8]])
def test_decay_is_the_rank_correlation_of_overlap_and_time(values):
    checkpoints = Checkpoints(SETTINGS, 0, overlap_from=0.0)
    checkpoints.groups = ["actor"]
    steps = [10, 30, 50, 60][: len(values)]
    for step, value in zip(steps, values, strict=True):
        checkpoints.steps.append(step)
        checkpoints._put("overlap/actor/algebraic", value)
    found = checkpoints.result(None).figures["decay/actor/algebraic"]
    if len(set(values)) < 3:
        assert np.isnan(found)
    else:
        assert (
            found == pytest.approx(stats.spearmanr(steps, values).statistic) == pytest.approx(-0.8)
        )


def test_directions_that_a_loss_says_nothing_about_agree_by_chance_alone():
    agent = ppo((0,), (3,), 2, hidden_units=12)
    critic = agent.groups["critic"]
    leaves = critic.parameters.leaves
    with torch.no_grad():
        leaves["hidden2.bias"].fill_(100.0)  # saturated: the output is a constant
    batch = loss_batch(agent, (0,), 0, 60)
    settings = GradientSubspacesSettings(dimensions=(1, 40), samples=64)
    checkpoints = Checkpoints(settings, 0, 0.1)
    loss = agent.losses()["critic"]
    one, other = (checkpoints._pairs(critic, loss, batch)["algebraic"].flat for _ in range(2))
    told = overlap(one[:, :1].numpy(), other[:, :1].numpy())
    assert told == pytest.approx(1, abs=1e-4)
    # Rounding within the 13 parameters of the last layer is shared.
    untold = overlap(one[:, 1:].numpy(), other[:, 1:].numpy())
    assert untold < 12 / 39 + 1.5 * 27 / len(one)


def test_a_loss_without_gradient_is_unknown_and_stops_nothing():
    seeds = (3,)
    agent = trained(ppo(seeds, hidden_units=6, entropy_coefficient=0.0), seeds, 5)
    data = data_of(agent, seeds, 100)

    def still(batch):
        return replace(batch, advantage=torch.zeros_like(batch.advantage))

    data = CheckpointData(
        still(data.precise),
        still(data.independent),
        [still(one) for one in data.batches],
        still(data.estimate),
        [still(one) for one in data.others],
    )
    checkpoints = Checkpoints(SETTINGS, 3, overlap_from=1.0)
    for step in (1, 2):
        checkpoints.look(agent, step, data)
    found = document_of(checkpoints.result(None))["series"]
    for order in ORDERS:
        for what in ("fraction", "estimated_gradient", "estimated", "held_out"):
            assert found[f"{what}/actor/{order}"]["value"] == [None, None], what
        assert found[f"log10_p/actor/{order}"]["value"] == [None, None]
        assert found[f"fraction/critic/{order}"]["value"][0] > 0


def test_from_where_an_agent_is_not_finite_on_nothing_is_known(recorded, monkeypatch):
    run = recorded("ppo")
    agents = dict(run.agents(every=1))
    agents[50].groups["critic"].parameters.flat.fill_(float("nan"))
    monkeypatch.setattr(run, "agents", lambda **settings: iter(agents.items()))
    found = analysed(run)
    assert found.series["fraction/actor/algebraic"][0].tolist() == [0, 25]
    assert "overlap/actor/algebraic" not in found.series


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("classifier", "an agent of loop 'supervised' does not act"),
        ("rad", "agents that learn from pixels have no such replay"),
    ],
)
def test_agents_without_data_of_their_own_are_refused(kind, told, recorded):
    with pytest.raises(ValueError, match=told):
        analysed(recorded(kind))


def test_more_dimensions_than_parameters_are_refused(recorded):
    with pytest.raises(
        ValueError, match=r"5000 dimensions of group 'actor' that has \d+ parameters: ask for fewer"
    ):
        analysed(recorded("ppo"), dimensions=[1, 5000])


@pytest.mark.parametrize("dimensions", [[], [0, 1], [2, 1], [1, 1, 2], [-1]])
def test_dimensions_that_do_not_ascend_from_1_are_refused(dimensions):
    with pytest.raises(ValidationError, match="dimensions"):
        GradientSubspacesSettings.model_validate_json(f'{{"dimensions": {dimensions}}}')


def test_dqn_has_fractions_of_its_q_network():
    seeds = (3,)
    agent = trained(dqn(seeds, (5,), 3, hidden_units=6), seeds, 5)
    checkpoints = Checkpoints(SETTINGS, 3, overlap_from=0.0)
    data = data_of(agent, seeds, 100)
    checkpoints.look(agent, 1, data)
    gradient, bases = whole_problem(agent, "q", data.precise)
    for order in ORDERS:
        _, values = checkpoints.result(None).series[f"fraction/q/{order}"]
        assert values[0] == pytest.approx(fractions(bases[order], gradient)[3], rel=1e-6)


def test_the_analysis_asks_for_the_checkpoints_that_it_reads():
    assert GradientSubspaces(SETTINGS).recordings() == (("checkpoints", {"every": 1}),)
    every = SETTINGS.model_copy(update={"every": 3})
    assert GradientSubspaces(every).recordings() == (("checkpoints", {"every": 3}),)
