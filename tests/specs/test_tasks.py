"""The project's own specs: they load, and say what the environments and papers say."""

import math
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from suite.envs.make import make_environment
from suite.plugins.registry import build_plugins
from suite.specs import registry
from suite.specs.loading import load_project
from suite.specs.planning import plan
from suite.specs.project import Project

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


@pytest.mark.parametrize("name", ["halfcheetah", "hopper", "walker2d", "ant"])
def test_arguments_restore_version_4(project: Project, name: str) -> None:
    """Same observations and rewards as -v4, but for the reward of a step that ends an episode."""
    task = project.tasks[name]
    assert task.paper_environment == task.environment.replace("-v5", "-v4")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # -v4 is out of date
        old: Any = gymnasium.make(task.paper_environment)
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


def test_seaquest_alone_has_the_guard_against_idling(project: Project) -> None:
    games = [task for task in project.tasks.values() if task.family == "minatar"]
    assert len(games) == 5
    cutoffs = {game.name: game.arguments.get("idle_cutoff") for game in games}
    assert cutoffs.pop("seaquest") == 1000
    assert set(cutoffs.values()) == {None}


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
    assert products.pop("pptb_trim") == products.pop("pptb_unboosted") == {0.0}
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
