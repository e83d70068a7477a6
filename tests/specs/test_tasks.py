"""The project's own specs: they load, and say what the environments and papers say."""

import itertools
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from ruamel.yaml import YAML
from scipy.stats import qmc

from suite import expected
from suite.envs.make import make_environment
from suite.plugins.registry import build_plugins
from suite.specs import registry
from suite.specs.loading import load_project
from suite.specs.planning import plan
from suite.specs.project import Project
from suite.specs.source import SpecError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project() -> Project:
    return load_project(ROOT)


def test_smoke_has_what_the_verdicts_need(project: Project) -> None:
    cells = {cell.id: cell for cell in plan(project, "smoke").cells}
    for game in ("breakout", "asterix"):
        for plugin in ("none", "pptb", "ln", "nap_const", "nap_linear"):
            assert len(cells[f"{game}--chain-ddqn--{plugin}"].runs) >= 3
    for robot in ("halfcheetah", "hopper"):
        for plugin in ("none", "pptb"):
            assert len(cells[f"{robot}--td3-official--{plugin}"].runs) >= 3
    for plugin in ("none", "ln_plain", "proj_only", "nap"):
        assert len(cells[f"random_labels--mlp-lr3e-3--{plugin}"].runs) >= 5


def test_scales_grow(project: Project) -> None:
    smoke, short, paper = (plan(project, scale) for scale in ("smoke", "short", "paper"))
    assert smoke.steps < short.steps < paper.steps


def test_all_series_that_the_files_name_in_claims_are_read(project: Project) -> None:
    def named(part: Any) -> set[str]:
        if isinstance(part, list):
            return set().union(*map(named, part))
        if not isinstance(part, dict):
            return set()
        series = part.get("series", [])
        own = {part.get("calls")} | ({series} if isinstance(series, str) else set(series))
        return (own - {None}) | named(list(part.values()))

    files = (ROOT / "tasks" / "studies").glob("*.yaml")
    claims = [YAML(typ="safe").load(file)["claims"] for file in files]
    assert project.series_read() == named(claims)
    assert len(project.series_read()) > 10


def test_every_task_can_be_built_as_the_registry_says(project: Project) -> None:
    for task in project.tasks.values():
        if task.family == "synthetic":
            continue
        known = registry.environment(task)
        environment = make_environment(task)
        assert environment.observation_shape == known.observation_shape
        assert environment.observation_dtype == known.observation_dtype
        assert environment.action == known.action


PARAMETERS = {  # of the actor or the Q-network, as the papers' code has them
    "halfcheetah--td3-official": 71_942,
    "hopper--td3-official": 69_635,
    "walker2d--td3-official": 71_942,
    "ant--td3-official": 75_016,
    "breakout--chain-ddqn": 132_566,
    "asterix--chain-ddqn": 132_566,
    "space_invaders--chain-ddqn": 132_854,
    "freeway--chain-ddqn": 132_998,
    "seaquest--chain-ddqn": 133_430,
    "dmc_finger_spin--ppo-sb3-default": 4_932,
    "dmc_ball_in_cup_catch--ppo-sb3-default": 4_868,
    "bipedal_walker--ppo-bipedal-walker": 6_024,
    "halfcheetah--ppo-halfcheetah": 71_948,
    "hopper--ppo-hopper": 69_638,
    "lunar_lander_continuous--ppo-lunar-lander": 4_868,
    "swimmer--ppo-swimmer": 4_868,
    "walker2d--ppo-walker2d": 5_708,
    "ant_contact_forces--ppo-ant": 11_856 - 6 * 64,  # without 6 observations that are always 0
    "reacher--ppo-reacher": 5_060 - 64,  # without one that is always 0
    "pendulum--ppo-pendulum": 4_545 - 63,  # log_std of one number, with gSDE of 64
    "dmc_finger_spin--sac-default": 69_380,
    "dmc_ball_in_cup_catch--sac-default": 69_124,
    "halfcheetah--sac-mujoco": 73_484,
    "hopper--sac-mujoco": 70_406,
    "pendulum--sac-pendulum": 67_330,
    "swimmer--sac-swimmer": 69_124,
    "ant_contact_forces--sac-mujoco": 98_576 - 6 * 256,
    "reacher--sac-mujoco": 69_892 - 256,
}


@pytest.mark.parametrize("cell", list(PARAMETERS))
def test_networks_have_the_sizes_of_the_papers(project: Project, cell: str) -> None:
    task, preset = (project.tasks[cell.split("--")[0]], project.agents[cell.split("--")[1]])
    environment = make_environment(task)
    kind: Any = registry.AGENTS[preset.kind]
    settings = kind.Settings.model_validate(preset.settings)
    shape = environment.observation_shape
    agent = kind(settings, shape, environment.action, [0], lambda network: network)
    slices = agent.groups[agent.policy].parameters.slices
    assert sum(math.prod(part.shape) for part in slices) == PARAMETERS[cell]


def test_a_study_names_its_papers_environment_only_where_it_is_another(project: Project) -> None:
    """Verdicts tell it as a difference."""
    for study in project.studies.values():
        for task, named in study.environments.items():
            own = project.tasks[task].environment
            plain = [name.lower().replace("_", "") for name in (own, named)]
            assert plain[0] not in plain[1], f"{task} has the environment of {study.name}'s paper"


@pytest.mark.parametrize("name", ["halfcheetah", "hopper", "walker2d", "ant"])
def test_arguments_restore_version_4(project: Project, name: str) -> None:
    """Same observations and rewards as -v4, but for the reward of a step that ends an episode."""
    task = project.tasks[name]
    old_name = project.studies["ladder"].environments[name]
    assert old_name == task.environment.replace("-v5", "-v4")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # -v4 is out of date
        old: Any = gymnasium.make(old_name)
    new: Any = gymnasium.make(task.environment, **task.arguments)
    generator = np.random.default_rng(0)
    terminals = 0
    for seed in range(3):
        observations = old.reset(seed=seed)[0], new.reset(seed=seed)[0]
        np.testing.assert_array_equal(*observations)
        for _ in range(200):
            action = generator.uniform(-1, 1, old.action_space.shape)
            (before, reward, end, limit, _), after = old.step(action), new.step(action)
            np.testing.assert_array_equal(before, after[0])
            assert (end, limit) == (after[2], after[3])
            assert reward - after[1] == pytest.approx(1.0 if end else 0.0, abs=1e-9)
            if end or limit:
                terminals += 1
                break
    assert terminals or name in ("halfcheetah", "ant")
    assert old.spec.max_episode_steps == task.episode_limit


@pytest.mark.parametrize(
    ("name", "older", "arguments", "always_zero"),
    [
        ("swimmer", "Swimmer-v4", {}, []),
        ("reacher", "Reacher-v4", {}, [10]),
        ("ant_contact_forces", "Ant-v4", {"use_contact_forces": True}, [*range(27, 33)]),
    ],
)
def test_notes_say_what_older_versions_give_otherwise(
    project: Project, name: str, older: str, arguments: dict[str, Any], always_zero: list[int]
) -> None:
    """-v4 stands for the paper's -v2 and -v3, which need another simulator."""
    task = project.tasks[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # -v4 is out of date
        old: Any = gymnasium.make(older, **arguments)
    new: Any = gymnasium.make(task.environment, **task.arguments)
    assert old.spec.max_episode_steps == task.episode_limit
    generator = np.random.default_rng(0)
    before, after = old.reset(seed=0)[0], new.reset(seed=0)[0]
    distances: list[tuple[float, float]] = []
    limit = False
    while not limit:
        np.testing.assert_array_equal(np.delete(before, always_zero), after)
        np.testing.assert_array_equal(before[always_zero], 0)
        action = generator.uniform(-1, 1, old.action_space.shape).astype(np.float32)
        before, old_reward, old_end, limit, _ = old.step(action)
        after, new_reward, end, _, told = new.step(action)
        assert old_end == end
        if name == "reacher":
            control = told["reward_ctrl"]
            distances.append((old_reward - control, new_reward - control))
        else:
            assert old_reward - new_reward == pytest.approx(1.0 if end else 0.0, abs=1e-9)
        if end:
            before, after = old.reset(seed=1)[0], new.reset(seed=1)[0]
    # The reward's distance comes from before the step in -v4, from after it in -v5.
    for (_, from_after), (from_before, _) in itertools.pairwise(distances):
        assert from_before == pytest.approx(from_after, abs=1e-6)


def test_seaquest_alone_has_the_guard_against_idling(project: Project) -> None:
    games = [task for task in project.tasks.values() if task.family == "minatar"]
    assert len(games) == 8
    cutoffs = {game.name: game.arguments.get("idle_cutoff") for game in games}
    assert cutoffs.pop("seaquest") == 1000
    assert set(cutoffs.values()) == {None}


def test_a_visit_that_ends_within_its_warm_up_is_refused(tmp_path: Path) -> None:
    presets = """
tasks:
  both:
    family: minatar
    environment: sequence
    arguments: {games: [breakout, asterix], steps_per_visit: 5000}
"""
    study = """
study: games
paper: a study of these tests
cells:
  - tasks: [both]
    agents: [chain-ddqn]
    plugins: [[]]
    scales:
      smoke: {seeds: 2, budget: 20000, evaluate_every: 5000, evaluation_episodes: 1}
"""
    (tmp_path / "tasks" / "studies").mkdir(parents=True)
    (tmp_path / "tasks" / "presets.yaml").write_text("use: [rl_claims/agents]\n" + presets)
    (tmp_path / "tasks" / "studies" / "games.yaml").write_text(study)
    with pytest.raises(SpecError, match=r"visits of 5000 steps \(task 'both'\) with a warm-up"):
        load_project(tmp_path)


def test_late_fall_of_the_learning_rate_ends_at_that_of_the_paper(project: Project) -> None:
    """1e-6 after 90 % of the budget (NaP paper, appendix E.1)."""
    ends = {}
    for cell in itertools.chain(*project.cells.values()):
        for plugin in cell.runs[0].plugins:
            if plugin.name in ("decay_90", "nap_linear_90_bias"):
                s = plugin.settings
                prefix = "" if plugin.kind == "decay" else "schedule_"
                rate = cell.runs[0].agent.settings["learning_rate"]
                ends[cell.id] = (rate / s[prefix + "ratio"], s[prefix + "fraction"])
    assert len(ends) == 11
    assert all(end == pytest.approx((1e-6, 0.9)) for end in ends.values()), ends


def test_boost_is_stable_except_where_instability_is_the_point(project: Project) -> None:
    """boost_coefficient x window / interval, below 1 for stability (PPTB with any budget)."""
    products: dict[str, set[float]] = {}
    for cells in project.cells.values():
        for cell in cells:
            for plugin in cell.runs[0].plugins:
                if plugin.kind == "pptb":
                    s = plugin.settings
                    window = s["capacity"] * s["store_interval"]
                    product = s["boost_coefficient"] * window / s["interval"]
                    products.setdefault(plugin.name, set()).add(round(product, 9))
    assert products.pop("pptb_unstable") == {10.0}
    assert products.pop("pptb_beyond") == {2.0}
    assert products.pop("pptb_near") == {0.8}
    assert products.pop("pptb_trim") == products.pop("pptb_unboosted") == {0.0}
    every = {name: products.pop(name) for name in [*products] if name.startswith("pptb_every_")}
    assert sorted(set().union(*every.values())) == [0.1, 0.2, 0.4, 1.0, 2.0, 10.0]
    searched = {name: products.pop(name) for name in [*products] if name[6:7].isdigit()}
    assert set().union(*searched.values()) == {0.4, 2.0, 4.0} and len(searched) == 12
    assert set().union(*products.values()) == {0.4}


@pytest.mark.parametrize("scale", ["smoke", "short", "paper"])
@pytest.mark.filterwarnings("ignore:PPTB")
def test_resolved_settings_build_what_they_name(project: Project, scale: Any) -> None:
    for cell in plan(project, scale).cells:
        run = cell.runs[0]
        kind = registry.AGENTS[run.agent.kind]
        assert kind.Settings.model_validate(run.agent.settings).model_dump() == run.agent.settings
        for plugin, spec in zip(build_plugins(run.plugins), run.plugins, strict=True):
            assert plugin.kind == spec.kind
        assert run.versions[f"agent/{run.agent.kind}"] == kind.VERSION


def test_inflation_follows_the_projection(project: Project) -> None:
    """So that the projection goes back to the norms from before the inflation."""
    lists = [
        [plugin.kind for plugin in cell.runs[0].plugins] for cell in plan(project, "smoke").cells
    ]
    assert ["nap", "inflate"] in lists and ["inflate", "nap"] not in lists


def test_every_preset_value_cites_its_source() -> None:
    for name in ("agents", "plugins"):
        lines = (ROOT / "tasks" / f"{name}.yaml").read_text().splitlines()
        settings = [i for i, line in enumerate(lines) if line.startswith("      ")]
        for i in settings:
            above = lines[i - 1].strip().startswith("#")
            assert "#" in lines[i] or above, f"{name}.yaml:{i + 1}: no source: {lines[i]}"


def test_untuned_presets_are_the_draw_that_their_comment_names(project: Project) -> None:
    choices: dict[str, list[Any]] = {
        "n_steps": [256, 512, 1024, 2048, 4096],
        "batch_size": [32, 64, 128, 256],
        "epochs": [5, 10, 20],
        "clip_range": [0.1, 0.2, 0.3],
    }
    rows = qmc.Sobol(8, rng=0).random_base2(4)
    names = [name for name in project.agents if name.startswith("ppo-random-")]
    assert names == [f"ppo-random-{i}" for i in range(10)]
    for name, row in zip(names, rows, strict=False):
        drawn: dict[str, Any] = {
            "learning_rate": 10 ** (4 * row[0] - 5),
            "entropy_coefficient": 10 ** (6 * row[1] - 8),
            "discount": 0.9 + 0.1 * row[2],
            "gae_lambda": 0.9 + 0.1 * row[3],
        }
        drawn = {setting: float(f"{value:.4g}") for setting, value in drawn.items()}
        for (setting, values), u in zip(choices.items(), row[4:], strict=True):
            drawn[setting] = values[int(len(values) * u)]
        fixed = {**project.agents["ppo-sb3-default"].settings, "hidden_units": 32}
        assert project.agents[name].settings == {**fixed, **drawn}


HORIZONS = {  # steps, where the curves of the gradient-subspaces paper end
    "ant_contact_forces--ppo-ant": 3_000_000,
    "bipedal_walker--ppo-bipedal-walker": 3_000_000,
    "dmc_ball_in_cup_catch--ppo-sb3-default": 1_000_000,
    "dmc_finger_spin--ppo-sb3-default": 1_000_000,
    "halfcheetah--ppo-halfcheetah": 3_000_000,
    "hopper--ppo-hopper": 1_500_000,
    "lunar_lander_continuous--ppo-lunar-lander": 1_000_000,
    "pendulum--ppo-pendulum": 300_000,
    "reacher--ppo-reacher": 500_000,
    "swimmer--ppo-swimmer": 1_000_000,
    "walker2d--ppo-walker2d": 3_000_000,
}


def test_subspaces_have_ten_seeds_of_the_papers_tasks_to_its_horizons(project: Project) -> None:
    cells = {
        cell.id.removesuffix("--none"): cell
        for cell in plan(project, "paper").cells
        if "subspaces" in cell.studies
    }
    own = [name for name in cells if "--ppo-" in name and not name.endswith("--ppo-large")]
    assert {name: cells[name].runs[0].budget for name in own} == HORIZONS
    for cell in cells.values():
        assert len(cell.runs) == 10
        run = cell.runs[0]
        (looked,) = (one for one in run.analyses if one.kind == "gradient_subspaces")
        spacing = looked.settings["every"] * run.evaluate_every
        first = math.ceil(looked.settings["overlap_from"] * run.budget / spacing) * spacing
        assert first == 100_000, f"{cell.id} compares subspaces from step {first} on"


def test_the_project_loads_and_plans_without_box2d(tmp_path: Path) -> None:
    (tmp_path / "Box2D.py").write_text("raise ImportError('not installed')\n")
    code = (
        "from pathlib import Path\n"
        "from suite.specs.loading import load_project\n"
        "from suite.specs.planning import plan, seconds_estimate\n"
        "cells = plan(load_project(Path()), 'paper').cells\n"
        "walkers = [cell for cell in cells if cell.runs[0].task.name == 'bipedal_walker']\n"
        "print(len(walkers), seconds_estimate(walkers[0]) > 0)\n"
        "from suite.envs.make import make_environment\n"
        "try:\n"
        "    make_environment(walkers[0].runs[0].task)\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": paths, "SUITE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    known, refused = done.stdout.splitlines()
    assert known == "1 True"
    assert refused.startswith("BipedalWalker-v3 lacks a package: Box2D is not installed")


def test_where_a_paper_is_contradicted_its_study_says_what_was_checked(project: Project) -> None:
    recorded = expected.read(ROOT)
    assert recorded is not None
    against = [
        claim
        for study in project.studies.values()
        for claim in study.claims
        if claim.kind_of_claim != "ours"
        and claim.id in recorded
        and any(e.state == "contradicted" for e in recorded[claim.id].entries.values())
    ]
    assert against
    assert [claim.id for claim in against if len(claim.checked) < 100] == []
