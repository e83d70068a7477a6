"""The conformance tests find the analyses that break a law, and pass one that breaks none."""

import inspect
import random
import shutil
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import suite.cli
from suite.analysis.protocol import LookSettings, Result
from suite.analysis.recorded import UnnamedRecordingError
from suite.analysis.registry import ANALYSES, unusable
from suite.conformance import analysis_laws, conform_analysis
from suite.conformance.analysis_laws import Small
from suite.extensions import ANALYSES_GROUP, Extended
from suite.specs.models import AnalysisSpec

SPEC = AnalysisSpec(kind="travelled")


class Travelled:
    """How far the policy got, and the agents' weights: breaks no law."""

    VERSION = 1
    Settings = LookSettings

    def __init__(self, settings):
        pass

    def recordings(self):
        return (("path", {"every": 5}), ("checkpoints", {"every": 2}))

    def analyse(self, run):
        path = run.path(every=5).columns()
        steps, weights = [], []
        for step, agent in run.agents(every=2):
            steps.append(step)
            weights.append(float(agent.groups[agent.policy].parameters.flat.abs().mean()))
        far = float(np.linalg.norm(path[-1] - path[0]))
        series = {"weight": (np.array(steps), np.array(weights))}
        return self.changed(
            run, Result(series, {"far": far, "unknown": np.nan}, {"last": path[-1]})
        )

    def changed(self, run, result):
        return result

    def with_figure(self, result, **figures):
        return Result(result.series, {**result.figures, **figures}, result.arrays)


class Drawing(Travelled):
    """Draws from a global generator."""

    def changed(self, run, result):
        return self.with_figure(result, noise=np.random.random())


class Counting(Travelled):
    """Counts over all runs."""

    calls = 0

    def changed(self, run, result):
        Counting.calls += 1
        return self.with_figure(result, calls=Counting.calls)


class Remembering(Travelled):
    """Compares with the run that it saw first."""

    first = None

    def changed(self, run, result):
        self.first = result.figures["far"] if self.first is None else self.first
        return self.with_figure(result, relative=result.figures["far"] / self.first)


class Hashed(Travelled):
    """Depends on the process's hash seed."""

    def changed(self, run, result):
        return self.with_figure(result, hashed=hash("layer") % 2**40)


class Gregarious(Travelled):
    """Looks at who trained beside."""

    def changed(self, run, result):
        return self.with_figure(result, beside=len(run._store.provenance(run.key)["companions"]))


class Littering(Travelled):
    """Keeps a file in the run's folder."""

    def changed(self, run, result):
        (run._store.folder(run.key) / "cache.txt").write_text("far")
        return result


class Overwriting(Travelled):
    """Changes the recorded path."""

    def changed(self, run, result):
        path = next(run._store.recordings_folder(run.key).glob("path-*/steps.rows"))
        path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")
        return result


class Unnamed(Travelled):
    """Reads what it does not name."""

    def changed(self, run, result):
        return self.with_figure(result, rows=len(run.columns("norms", "norms.rows")["step"]))


class HalfNamed(Travelled):
    """Reads a path, whichever there is."""

    def changed(self, run, result):
        return self.with_figure(result, snapshots=run.path().snapshots)


class Seeding(Travelled):
    def changed(self, run, result):
        torch.manual_seed(run.spec.seed)
        return result


class SeedingPython(Travelled):
    def changed(self, run, result):
        random.seed(run.spec.seed)
        return result


class Threaded(Travelled):
    def changed(self, run, result):
        torch.set_num_threads(2)
        return result


class Meddling(Travelled):
    """Halves the weights of the agents that it is handed."""

    def changed(self, run, result):
        for _, agent in run.agents(every=2):
            agent.groups[agent.policy].parameters.flat.mul_(0.5)
        return result


class Empty(Travelled):
    def changed(self, run, result):
        return Result()


def returning(result):
    """An analysis with this result."""

    class Returning(Travelled):
        def changed(self, run, found):
            return result

    return Returning


def with_series(steps, values, name="weight"):
    return returning(Result(series={name: (np.array(steps), np.array(values))}))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Small runs with the recordings of `Travelled`, trained once."""

    @cache
    def train():
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(ANALYSES, "travelled", Travelled)
            return analysis_laws.trained(SPEC, "classifier", tmp_path_factory.mktemp("small"))

    return train()


@pytest.fixture
def small(trained, tmp_path):
    """A copy of the runs, which a broken analysis may spoil."""
    shutil.copytree(trained.store.root, tmp_path / "small")
    return Small(SPEC, trained.runs, type(trained.store)(tmp_path / "small"))


@pytest.fixture
def use(monkeypatch):
    """Make a class the analysis `travelled`."""

    def put(analysis):
        monkeypatch.setitem(ANALYSES, "travelled", analysis)

    yield put
    torch.set_num_threads(1)


LAWS = SimpleNamespace(
    named=lambda small, _: analysis_laws.assert_results_can_be_named(small),
    repeats=lambda small, _: analysis_laws.assert_it_repeats(small),
    companions=analysis_laws.assert_companions_do_not_matter,
    runs=analysis_laws.assert_it_leaves_runs_alone,
    reading=lambda small, _: analysis_laws.assert_only_named_recordings_are_read(small),
    process=lambda small, _: analysis_laws.assert_process_and_agents_are_left_alone(small),
)


@pytest.mark.parametrize("law", sorted(vars(LAWS)))
def test_a_sound_analysis_keeps_every_law(use, small, tmp_path, law):
    use(Travelled)
    getattr(LAWS, law)(small, tmp_path / "law")


@pytest.mark.parametrize(
    ("analysis", "law", "told"),
    [
        (Drawing, "repeats", "computed twice has other bytes"),
        (Drawing, "process", "it changes NumPy's random state"),
        (Counting, "repeats", "computed twice has other bytes"),
        (Remembering, "repeats", "seed 2: the result computed in another order of runs"),
        (Gregarious, "companions", "seed 1: the result of a run that trained alone"),
        (Littering, "runs", "it changes, adds or removes [0-9a-f]{16}/cache.txt"),
        (Overwriting, "runs", "it changes, adds or removes .*path-.*/steps.rows"),
        (Seeding, "process", "it changes PyTorch's random state"),
        (SeedingPython, "process", "it changes Python's random state"),
        (Threaded, "process", "it changes PyTorch's number of threads"),
        (Meddling, "process", "it changes the agent of step 0"),
        (Empty, "named", "the result is empty"),
        (with_series([0, 1, 2], [1.0, 2.0]), "named", "steps of shape .3,. and values of"),
        (with_series([[0, 1]], [[1.0, 2.0]]), "named", "steps of shape .1, 2."),
        (with_series([0, 2, 1], [1.0, 2.0, 3.0]), "named", "series 'weight' has falling steps"),
        (with_series([0, np.nan], [1.0, 2.0]), "named", "has steps that are not finite"),
        (with_series([0, 1], ["a", "b"]), "named", "has values of type <U1"),
        (with_series([0], [1.0], "weight*"), "named", "no claim can name it alone"),
        (returning(Result(figures={"far": [1.0]})), "named", "figure 'far' is .1.0., not a number"),
        (returning(Result(figures={"far": True})), "named", "figure 'far' is True, not a number"),
        (returning({"far": 1.0}), "named", "not a Result"),
    ],
)  # fmt: skip
def test_a_broken_law_is_found(use, small, tmp_path, analysis, law, told):
    use(analysis)
    with pytest.raises(AssertionError, match=told):
        getattr(LAWS, law)(small, tmp_path / "law")


def test_a_figure_that_no_claim_can_name_is_found(use, small):
    use(returning(Result(figures={"how far": 1.0})))
    with pytest.raises(ValueError, match="should match pattern"):
        analysis_laws.assert_results_can_be_named(small)


@pytest.mark.parametrize(
    ("analysis", "told"),
    [
        (Unnamed, "is asked for no recording 'norms'"),
        (HalfNamed, r"has 2 recordings 'path' with settings \{\}"),
    ],
)
def test_a_recording_that_is_not_named_is_refused(use, small, analysis, told):
    use(analysis)
    with pytest.raises(UnnamedRecordingError, match=told):
        analysis_laws.assert_only_named_recordings_are_read(small)


def test_what_another_process_computes_differently_is_found(small, install, monkeypatch):
    head = (
        "import numpy as np\nfrom suite.analysis.protocol import LookSettings, Result\n\n"
        + inspect.getsource(Travelled)
        + "\n\n"
    )
    hashed = inspect.getsource(Hashed).replace("def changed", "VERSION = 1\n\n    def changed")
    install(head + hashed, ANALYSES_GROUP, {"travelled": "Travelled", "hashed": "Hashed"})
    known = Extended({}, ANALYSES_GROUP, unusable)
    monkeypatch.setattr("suite.analysis.registry.ANALYSES", known)
    analysis_laws.assert_processes_agree(small)
    other = Small(AnalysisSpec(kind="hashed"), small.runs, small.store)
    with pytest.raises(AssertionError, match="another process differs at seed 0"):
        analysis_laws.assert_processes_agree(other)


class Choosy(Travelled):
    """Takes classifiers only; breaks the law of agents."""

    def analyse(self, run):
        if run.spec.agent.kind != "classifier":
            raise ValueError("only classifiers here")
        return super().analyse(run)

    def changed(self, run, result):
        torch.rand(1)
        return result


class Refusing(Travelled):
    def analyse(self, run):
        raise ValueError("no run is good enough")


def test_the_command_names_the_broken_law_and_what_is_refused(use, capfd):
    use(Choosy)
    result = CliRunner().invoke(suite.cli.app, ["conform", "--analysis", "travelled"])
    told = result.output + capfd.readouterr().out
    assert result.exit_code == 1
    failed = [line for line in told.splitlines() if line.startswith("FAILED")]
    assert any("test_process_and_agents_are_left_alone[classifier]" in line for line in failed)
    assert "travelled refuses dqn: only classifiers here" in told


def test_an_analysis_that_refuses_every_agent_does_not_conform(use, capfd):
    use(Refusing)
    assert conform_analysis("travelled", {}) == 1
    told = capfd.readouterr().out
    assert "it refuses every agent" in told and "no run is good enough" in told


def test_a_refusal_has_a_reason(use, small):
    class Silent(Travelled):
        def analyse(self, run):
            raise ValueError

    use(Silent)
    with pytest.raises(AssertionError, match="it refuses an agent without a reason"):
        analysis_laws.refusal(small)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pptb", "--analysis", "weight_norms"], "name a plug-in, or --environment FAMILY ID, or"),
        (["--analysis", "weights"], "no analysis weights; known: weight_norms, policy_path"),
    ],
)
def test_the_command_says_what_it_needs(arguments, told, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    result = CliRunner().invoke(suite.cli.app, ["conform", *arguments])
    assert result.exit_code == 2 and told in result.output


def test_wrong_settings_are_named():
    command = ["conform", "--analysis", "policy_path", "--arguments", "{evry: 5}"]
    told = str(CliRunner().invoke(suite.cli.app, command).exception)
    assert told.startswith("--arguments:1: unknown key 'evry' in settings of 'policy_path'")


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("weight_norms", {}),
        ("policy_path", {"every": 2}),
        ("reconstruction", {"path_every": 2, "episodes": 1}),
    ],
)
def test_an_analysis_of_a_path_or_its_weights_keeps_the_laws(kind, settings):
    assert conform_analysis(kind, settings) == 0
