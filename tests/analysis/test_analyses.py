"""Analyses of finished runs: what they find, and that they are stale alone when they change."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.numpy import load_file

from suite.analysis import registry
from suite.analysis.policy_spectrum import path_spectrum
from suite.analysis.protocol import LookSettings, Result, document_of
from suite.analysis.recorded import RecordedRun, UnnamedRecordingError
from suite.analysis.registry import ANALYSES, build_analysis, recording, recordings_of
from suite.conformance.small_runs import result, small_runs, train
from suite.engine.analyse import analyse_cells
from suite.engine.run import run_cells
from suite.engine.work import lacks
from suite.judging import Judging
from suite.recordings.path import RecordedPath
from suite.specs.models import AnalysisSpec, Cell
from suite.store.atomic import StoreError
from suite.store.evidence import export, read
from suite.store.store import Store

ROOT = Path(__file__).parents[2]
KINDS = ("weight_norms", "policy_path", "plasticity")
SETTINGS = {"policy_path": {"every": 5}, "plasticity": {"every": 1, "observations": 40}}


def asked(kind, version=1):
    found = ANALYSES[kind]
    settings = found.Settings.model_validate(SETTINGS.get(kind, {})).model_dump(mode="json")
    return AnalysisSpec(kind=kind, settings=settings, version=version)


def cell_of(*kinds, agent="td3", seeds=(0, 1), versions=None):
    analyses = tuple(asked(kind, (versions or {}).get(kind, 1)) for kind in kinds)
    recordings = tuple(one for spec in analyses for one in recordings_of(spec))
    looks = {"analyses": analyses, "recordings": recordings}
    runs = [run.model_copy(update=looks) for run in small_runs(agent, list(seeds))]
    return Cell(id="task--small--none", scale="smoke", runs=tuple(runs))


def trained(cell, root):
    store = Store(root)
    assert not run_cells([cell], store, console=Console(quiet=True)).failed
    return store


def analysed(cell, store, **arguments):
    return analyse_cells([cell], store, console=Console(quiet=True), **arguments)


def results(cell, store):
    return {
        (run.seed, spec.kind): store.analysis(run.key(), spec.key(run.key()))
        for run in cell.runs
        for spec in run.analyses
    }


def everything(folder: Path):
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_weight_norms_and_effective_learning_rates_follow_the_recorded_norms(tmp_path):
    cell = cell_of("weight_norms")
    store = trained(cell, tmp_path)
    analysed(cell, store)
    run = cell.runs[0]
    columns = RecordedRun(run, store).columns("norms", "norms.rows")
    norms = columns["norm/actor/hidden1"]
    series = results(cell, store)[0, "weight_norms"]["series"]
    assert series["norm/actor/hidden1"]["step"] == [0, 25, 50, 75, 80]
    np.testing.assert_array_equal(series["norm/actor/hidden1"]["value"], norms)
    np.testing.assert_allclose(series["ratio/actor/hidden1"]["value"], norms / norms[0])
    rates = series["effective_learning_rate/actor/hidden1"]["value"]
    np.testing.assert_allclose(rates, 1e-3 * norms[0] / norms)


def test_the_policy_path_has_the_spectrum_of_what_was_recorded(tmp_path, monkeypatch):
    cell = cell_of("policy_path")
    store = trained(cell, tmp_path)
    analysed(cell, store)
    run = cell.runs[1]
    path = RecordedRun(run, store).path(every=5).columns()
    spectrum = path_spectrum(path)
    key = run.analyses[0].key(run.key())
    arrays = load_file(store.folder(run.key()) / "analyses" / f"{key}.safetensors")
    np.testing.assert_allclose(arrays["singular_values/all"], spectrum.singular_values, rtol=1e-6)
    found = results(cell, store)[1, "policy_path"]
    share = spectrum.singular_values / spectrum.singular_values.sum()
    told = found["series"]["information/all/whole"]
    assert told["value"][0] == pytest.approx(share[0])
    assert told["value"][told["step"].index(5)] == pytest.approx(share[:5].sum())
    assert found["figures"]["snapshots"] == len(path)
    for layer in ("hidden1", "hidden2", "output", "all"):
        assert found["figures"][f"detour/{layer}"] >= 1
        assert found["figures"][f"noise/dimensionality_80/{layer}/whole"] >= 1


def test_plasticity_is_that_of_the_recorded_agents_on_the_recorded_batch(tmp_path):
    cell = cell_of("plasticity", agent="dqn")
    store = trained(cell, tmp_path)
    analysed(cell, store)
    run = cell.runs[0]
    recorded = RecordedRun(run, store)
    weights = load_file(store.folder(run.key()) / "agent.safetensors")
    assert weights, "the agent is there"
    series = results(cell, store)[0, "plasticity"]["series"]
    observations = recorded.observations(size=40)
    steps = [step for step, _ in recorded.agents()]
    assert steps == [0, 25, 50, 75, 80] and len(series) >= 1
    for name, points in series.items():
        assert points["step"] == steps
        low, high = (0, 1) if "fraction" in name else (1, 128)
        assert all(low <= value <= high for value in points["value"]), name
    # A batch of nothing but zeros kills units whose bias is not positive: the batch matters.
    analysis = build_analysis(run.analyses[0])
    recorded.observations = lambda **settings: 0 * observations
    assert document_of(analysis.analyse(recorded))["series"] != series


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_raised_version_recomputes_its_own_results_alone_and_trains_nothing(
    tmp_path, monkeypatch, jobs
):
    cell = cell_of(*KINDS)
    store = trained(cell, tmp_path)
    first = analysed(cell, store, jobs=jobs)
    assert (first.computed, first.present, first.waiting, first.failed) == (6, 0, 0, {})
    before = everything(store.root)
    again = analysed(cell, store, jobs=jobs)
    assert (again.computed, again.present) == (0, 6)
    assert everything(store.root) == before
    for kind in KINDS:
        raised = cell_of(*KINDS, versions={kind: 2})
        assert [run.key() for run in raised.runs] == [run.key() for run in cell.runs]
        assert run_cells([raised], store, console=Console(quiet=True)).trained == ()
        found = analysed(raised, store, jobs=jobs)
        assert (found.computed, found.present) == (2, 4), kind
        after = everything(store.root)
        assert {name: after[name] for name in before} == before
        assert len(after) > len(before)
        before = after


def test_a_new_analysis_of_what_is_recorded_needs_no_training(tmp_path, monkeypatch):
    class Travelled:
        """How far the policy got."""

        VERSION = 1
        Settings = LookSettings

        def __init__(self, settings):
            pass

        def recordings(self):
            return (("path", {"every": 5}),)

        def analyse(self, run):
            path = run.path(every=5)
            return Result(figures={"far": np.linalg.norm(path.row(path.snapshots - 1))})

    store = trained(cell_of("policy_path"), tmp_path)
    monkeypatch.setitem(registry.ANALYSES, "travelled", Travelled)
    cell = cell_of("policy_path", "travelled")
    assert run_cells([cell], store, console=Console(quiet=True)).trained == ()
    assert analysed(cell, store).computed == 4
    assert results(cell, store)[0, "travelled"]["figures"]["far"] > 0


def test_a_recording_that_a_complete_run_lacks_is_made_by_training_it_once_more(tmp_path):
    plain = cell_of()
    store = trained(plain, tmp_path)
    records = [store.record_digest(run.key()) for run in plain.runs]
    cell = cell_of("weight_norms", "policy_path")
    assert analysed(cell, store).waiting == 4
    summary = run_cells([cell], store, console=Console(quiet=True))
    assert len(summary.trained) == 2 and not summary.failed
    assert [store.record_digest(run.key()) for run in cell.runs] == records
    assert not list(store.again().root.glob("*"))
    fresh = trained(cell, tmp_path / "fresh")
    for run in cell.runs:
        assert not lacks(run, store)
        assert result(store, run) == result(fresh, run)
    assert analysed(cell, store).computed == 4


@pytest.mark.parametrize("damage", ["deleted", "cut short"])
def test_recordings_that_are_gone_leave_the_result_and_are_made_again_when_asked_for(
    tmp_path, damage
):
    cell = cell_of("weight_norms", "policy_path")
    store = trained(cell, tmp_path)
    analysed(cell, store)
    run = cell.runs[0]
    before = result(store, run)
    (path,) = store.recordings_folder(run.key()).glob("path-*")
    if damage == "deleted":
        shutil.rmtree(path)
    else:
        (path / "differences.rows").write_bytes(b"")
    assert store.state(run.key()).state == "done"
    assert lacks(run, store) == [path.name]
    # What was computed from it stays.
    assert analysed(cell, store).present == 4
    assert run_cells([cell], store, console=Console(quiet=True)).trained == (run.key(),)
    assert result(store, run) == before


def test_a_repetition_with_another_record_is_an_error_that_stays_visible(tmp_path):
    plain = cell_of()
    store = trained(plain, tmp_path)
    run = plain.runs[0]
    folder = store.folder(run.key())
    # The record of a run that can't be repeated.
    record = json.loads((folder / "record.json").read_text())
    record["series"]["return"]["value"][1] += 1.0
    store.complete(run.key(), record, store.provenance(run.key()))
    before = (folder / "record.json").read_bytes()
    cell = cell_of("weight_norms")
    summary = run_cells([cell], store, console=Console(quiet=True))
    assert summary.failed == (run.key(),)
    reason = summary.lacking[run.key()]
    assert "differs in series (series return); on the same numerics" in reason
    assert str(store.again().folder(run.key())) in reason
    assert (folder / "record.json").read_bytes() == before
    assert store.mismatch(run.key()) == reason
    assert lacks(cell.runs[0], store) and not lacks(cell.runs[1], store)
    assert analysed(cell, store).waiting == 1


def test_one_that_raises_is_named_and_the_others_go_on(tmp_path, monkeypatch):
    cell = cell_of(*KINDS)
    store = trained(cell, tmp_path)

    def broken(self, run):
        raise ZeroDivisionError("of no use")

    monkeypatch.setattr(ANALYSES["policy_path"], "analyse", broken)
    found = analysed(cell, store)
    assert found.computed == 4
    assert {*found.failed} == {
        f"policy_path of task--small--none seed {seed} (smoke)" for seed in (0, 1)
    }
    assert all("of no use" in error for error in found.failed.values())
    assert results(cell, store)[0, "policy_path"] is None


def test_a_recording_that_an_analysis_does_not_name_is_out_of_reach(tmp_path):
    cell = cell_of("weight_norms")
    store = trained(cell, tmp_path)
    with pytest.raises(UnnamedRecordingError, match="is asked for no recording 'path' with set"):
        RecordedRun(cell.runs[0], store).path(every=5)


def test_a_recording_by_too_few_settings_is_refused_where_there_are_two(tmp_path):
    looks = (recording("path", {"every": 5}), recording("path", {"every": 10}))
    (run,) = small_runs("td3", [0])
    run = run.model_copy(update={"recordings": looks})
    recorded = RecordedRun(run, train([run], tmp_path))
    with pytest.raises(UnnamedRecordingError, match=r"has 2 recordings 'path' .*: .*5.*10"):
        recorded.path()
    assert recorded.path(every=5).snapshots > recorded.path(every=10).snapshots > 1
    # One that two analyses name is there once.
    twice = RecordedRun(
        run.model_copy(update={"recordings": (looks[0], looks[0])}), recorded._store
    )
    assert twice.path().snapshots == recorded.path(every=5).snapshots


def test_an_analysis_that_reads_what_it_does_not_name_does_not_stop_the_others(
    tmp_path, monkeypatch
):
    cell = cell_of("weight_norms", "plasticity")
    store = trained(cell, tmp_path)
    monkeypatch.setattr(ANALYSES["plasticity"], "analyse", lambda self, run: run.path())
    found = analysed(cell, store)
    assert found.computed == 2 and len(found.failed) == 2
    assert all("is asked for no recording 'path'" in error for error in found.failed.values())


def test_dead_units_of_convolutions_are_channels_dead_at_all_places(tmp_path):
    cell = cell_of("plasticity", agent="dqn", seeds=(0,))
    store = trained(cell, tmp_path)
    analysis = build_analysis(cell.runs[0].analyses[0])
    recorded = RecordedRun(cell.runs[0], store)
    for channel in range(5):
        agents = dict(recorded.agents())
        for agent in agents.values():
            with torch.no_grad():
                parameters = agent.groups["q"].parameters.leaves
                parameters["conv1.bias"].fill_(1e3)
                parameters["conv1.bias"].view(-1)[:channel] = -1e3
        changed = RecordedRun(cell.runs[0], store)
        changed.agents = lambda agents=agents, **settings: iter(agents.items())
        _, dead = analysis.analyse(changed).series["dead_fraction/conv1"]
        np.testing.assert_array_equal(dead, channel / 4)


@pytest.mark.parametrize(
    ("agent", "settings", "told"),
    [
        ("rad", {}, r"policy network takes inputs of shape \(8,\), the recorded observations have "
         r"shape \(12, 12, 6\): another network"),
        ("ppo", {"activation": "tanh"}, None),
        ("ppo", {}, None),
    ],
)  # fmt: skip
def test_plasticity_says_of_which_policies_it_knows_nothing(tmp_path, agent, settings, told):
    looks = recordings_of(asked("plasticity"))
    (run,) = small_runs(agent, [0], **settings)
    run = run.model_copy(update={"recordings": looks})
    recorded = RecordedRun(run, train([run], tmp_path))
    analysis = build_analysis(asked("plasticity"))
    if told is None:
        found = {name.partition("/")[0] for name in analysis.analyse(recorded).series}
        of_relu = set() if settings else {"dead_fraction", "linearised_fraction"}
        assert found == {"dormant_fraction", "feature_rank", "effective_rank"} | of_relu
    else:
        with pytest.raises(ValueError, match=told):
            analysis.analyse(recorded)


def test_a_batch_that_never_filled_is_told_and_stops_no_other_analysis(tmp_path):
    few = AnalysisSpec(kind="plasticity", settings={"every": 1, "observations": 5000}, version=1)
    cell = cell_of("weight_norms")
    looks = {
        "analyses": (*cell.runs[0].analyses, few),
        "recordings": (*cell.runs[0].recordings, *recordings_of(few)),
    }
    cell = cell.model_copy(update={"runs": tuple(r.model_copy(update=looks) for r in cell.runs)})
    store = trained(cell, tmp_path)
    found = analysed(cell, store)
    assert found.computed == 2 and len(found.failed) == 2
    assert all("learned from too few observations" in error for error in found.failed.values())


def test_of_agents_and_paths_that_are_not_finite_nothing_is_known(tmp_path, monkeypatch):
    cell = cell_of("plasticity", "policy_path", seeds=(0,))
    store = trained(cell, tmp_path)
    recorded = RecordedRun(cell.runs[0], store)
    plasticity, policy_path = (build_analysis(spec) for spec in cell.runs[0].analyses)
    agents = dict(recorded.agents())
    with torch.no_grad():
        agents[80].groups["actor"].parameters.flat.fill_(float("nan"))
    monkeypatch.setattr(recorded, "agents", lambda **settings: iter(agents.items()))
    for points in document_of(plasticity.analyse(recorded))["series"].values():
        assert points["value"][-1] is None and None not in points["value"][:-1]
    known = policy_path.analyse(recorded).figures
    rows = RecordedPath.rows

    def diverged(self, part=slice(None)):
        for index, row in enumerate(rows(self, part), 1):
            yield row * np.float32(np.nan if index == self.snapshots else 1)

    monkeypatch.setattr(RecordedPath, "rows", diverged)
    figures = document_of(policy_path.analyse(recorded))["figures"]
    assert figures == {"snapshots": known["snapshots"]} != known


@pytest.mark.filterwarnings("error")
def test_a_path_of_one_snapshot_has_nothing_but_its_length(tmp_path):
    (run,) = small_runs("td3", [0])
    run = run.model_copy(update={"recordings": (recording("path", {"every": 1000}),)})
    spec = AnalysisSpec(kind="policy_path", settings={"every": 1000})
    recorded = RecordedRun(run, train([run], tmp_path))
    figures = document_of(build_analysis(spec).analyse(recorded))["figures"]
    assert figures == {"snapshots": 1}


def test_evidence_keeps_results_with_their_versions(tmp_path):
    cell = cell_of("weight_norms", "policy_path")
    store = trained(cell, tmp_path / "runs")
    run = cell.runs[0]
    with pytest.raises(StoreError, match="no result of analysis weight_norms: `suite analyse`"):
        export(store, run.key(), tmp_path / "evidence", run.analyses)
    analysed(cell, store)
    found = read(export(store, run.key(), tmp_path / "evidence", run.analyses))
    assert [(one["analysis"], one["version"]) for one in found.analyses] == [
        ("policy_path", 1),
        ("weight_norms", 1),
    ]
    assert "ratio/actor/hidden1" in found.analyses[1]["series"]


def test_results_do_not_depend_on_companions(tmp_path):
    together, alone = cell_of(*KINDS), cell_of(*KINDS, seeds=(1,))
    stores = trained(together, tmp_path / "together"), trained(alone, tmp_path / "alone")
    for cell, store in zip((together, alone), stores, strict=True):
        analysed(cell, store)
    for kind in KINDS:
        assert results(together, stores[0])[1, kind] == results(alone, stores[1])[1, kind]


STUDY = """
study: norms
paper: a study of this test
cells:
  - tasks: [random_labels]
    agents: [mlp-lr3e-3]
    plugins: [[ln_plain], [nap]]
    analyses: [weight_norms]
    scales:
      smoke: {seeds: 6, budget: 300, evaluate_every: 300, evaluation_episodes: 0}
claims:
  - id: norms-C1
    kind: difference
    source: this test
    says: without projection norms grow
    reported: nothing
    kind_of_claim: ours
    settled_because: they grow from the start
    settled_at: smoke
    figure: {series: weight_norms/ratio/classifier/hidden*, take: last}
    treatment: [random_labels--mlp-lr3e-3--ln_plain]
    control: [random_labels--mlp-lr3e-3--nap]
    paired: true
    direction: greater
"""


def test_a_claim_on_an_analysis_is_trained_analysed_and_judged_with_its_version(tmp_path):
    (tmp_path / "tasks" / "studies").mkdir(parents=True)
    for path in (ROOT / "tasks").glob("*.yaml"):
        shutil.copy(path, tmp_path / "tasks")
    (tmp_path / "tasks" / "studies" / "norms.yaml").write_text(STUDY)
    judging = Judging(tmp_path, train=True)
    (claim,) = judging.project.studies["norms"].claims
    verdict = judging.verdict(claim)
    assert verdict.state == "supported", verdict.reason
    assert verdict.analyses == {"weight_norms": 1}
    for path in tmp_path.glob("runs/*/analyses/*"):
        path.unlink()
    unread = Judging(tmp_path).verdict(claim)
    assert unread.state == "inconclusive"
    assert "weight_norms has no present result, `suite analyse` computes it" in unread.reason
    assert Judging(tmp_path, train=True).verdict(claim) == verdict
