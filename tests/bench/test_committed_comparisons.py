"""The committed comparisons with Stable-Baselines3, and that both sides are set up the same."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import side_by_side
from side_by_side import COMPARISONS, DOCUMENT, MARKS, RESULTS, Comparison

from baselines.dqn import DQN
from suite.envs.make import make_environment
from suite.specs.registry import AGENTS
from suite.stats.intervals import contrast

committed = pytest.mark.parametrize("name", sorted(path.stem for path in RESULTS.glob("*.json")))


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


@committed
def test_a_committed_comparison_has_five_seeds_a_side_over_the_whole_budget(name: str) -> None:
    result = read(name)
    (planned,) = (c for c in COMPARISONS if c.name == name)
    given = {key: result[key] for key in ("name", "task", "agent", "budget", "unit")}
    assert given == {
        "name": name,
        "task": planned.task,
        "agent": planned.agent,
        "budget": planned.budget,
        "unit": "mean evaluation return",
    }
    for side in ("ours", "theirs"):
        curves = result[side]
        assert len(set(curves["seeds"])) == len(curves["returns"]) >= 5
        assert curves["steps"] == list(range(0, planned.budget + 1, planned.budget // 20))
        assert all(len(one) == len(curves["steps"]) for one in curves["returns"])


@committed
def test_a_committed_difference_follows_from_the_curves_and_is_not_against_us(name: str) -> None:
    result = read(name)
    figures = {}
    for side in ("ours", "theirs"):
        late = np.array(result[side]["steps"]) > 0.9 * result["budget"]
        assert late.sum() >= 2
        figures[side] = np.array(result[side]["returns"])[:, late].mean(axis=1)
        np.testing.assert_allclose(result["last_tenth"][side], figures[side], rtol=1e-5)
    interval = contrast([figures["ours"], figures["theirs"]], [1.0, -1.0])
    difference = result["last_tenth"]["difference"]
    scale = max(abs(interval.low), abs(interval.high))
    for end in ("observed", "low", "high"):
        assert difference[end] == pytest.approx(getattr(interval, end), abs=1e-4 * scale)
    assert difference["high"] >= 0


def test_the_document_shows_the_committed_results() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = text.partition(MARKS[0])[2].partition(MARKS[1])[0]
    assert shown.strip() == side_by_side.results_table()


def test_only_evaluations_after_nine_tenths_of_the_budget_count() -> None:
    steps, returns = list(range(0, 101, 5)), [0.0] * 19 + [1.0, 3.0]
    assert side_by_side.last_tenth(steps, returns, 100) == 2.0


def test_a_result_is_written_when_every_seed_of_both_sides_is_there_and_is_reproducible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "KEPT", tmp_path / "runs")
    monkeypatch.setattr(side_by_side, "RESULTS", tmp_path / "results")
    settings = {"warmup_steps": 40, "batch_size": 8, "hidden_units": 8}
    comparison = Comparison("tiny", "pendulum", "sac-pendulum", 80, 1, settings, 2, 2)
    side_by_side.train_ours(comparison)
    assert not side_by_side.write_result(comparison)

    steps = list(range(0, 81, 4))
    for run in comparison.runs(2):
        path = side_by_side.their_path(comparison, run)
        path.parent.mkdir(parents=True, exist_ok=True)
        curve = [-1000.123456789 - run.seed] * len(steps)
        path.write_text(json.dumps({"steps": steps, "returns": curve, "version": "x"}))
    assert side_by_side.write_result(comparison)
    first = (tmp_path / "results" / "tiny.json").read_text()
    result = json.loads(first)
    assert result["ours"]["steps"] == result["theirs"]["steps"] == steps
    assert result["theirs"]["returns"][1] == [-1001.12] * len(steps)
    assert result["last_tenth"]["theirs"] == [-1000.12, -1001.12]
    assert "[-1000.12, -1000.12," in first  # a list of numbers is a line

    side_by_side.train_ours(comparison)
    assert side_by_side.write_result(comparison)
    assert (tmp_path / "results" / "tiny.json").read_text() == first


@pytest.mark.bench
@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda comparison: comparison.name)
def test_their_agent_has_our_settings(comparison: Comparison) -> None:
    from sb3_peers import sb3_agent

    run = comparison.runs(1)[0]
    s = run.agent.settings
    theirs = sb3_agent(run, run.budget)
    environment = make_environment(run.task)
    kind = AGENTS[run.agent.kind]
    shape, action = environment.observation_shape, environment.action
    ours = kind(kind.Settings.model_validate(s), shape, action, [0], lambda network: network)

    same = {"discount": "gamma", "batch_size": "batch_size"}
    if run.agent.kind == "ppo":
        same |= {"n_steps": "n_steps", "epochs": "n_epochs", "gae_lambda": "gae_lambda"}
        same |= {"entropy_coefficient": "ent_coef", "value_coefficient": "vf_coef"}
        same |= {"max_gradient_norm": "max_grad_norm", "n_envs": "n_envs"}
        assert theirs.clip_range(0.5) == s["clip_range"] and theirs.clip_range_vf is None
        assert theirs.normalize_advantage and theirs.target_kl is None
    else:
        same |= {"warmup_steps": "learning_starts", "replay_capacity": "buffer_size"}
        assert theirs.train_freq.frequency == s["update_every"]
        assert theirs.gradient_steps == s.get("gradient_steps", 1)
        assert theirs.tau == s.get("tau", 1.0)
    if run.agent.kind == "td3":
        same |= {"policy_delay": "policy_delay", "target_noise": "target_policy_noise"}
        same |= {"target_noise_clip": "target_noise_clip"}
    if run.agent.kind == "sac":
        assert theirs.target_entropy == -action.size == ours.target_entropy
        assert theirs.log_ent_coef.exp().item() == s["initial_temperature"]
    for our_name, their_name in same.items():
        assert getattr(theirs, their_name) == s[our_name], our_name
    if run.agent.kind == "dqn":
        assert isinstance(ours, DQN)
        same_epsilon(theirs, ours, run.budget)
        assert theirs.target_update_interval == s["target_update_interval"]
        assert theirs.max_grad_norm == float("inf")

    optimisers = [
        part.optimizer
        for part in (theirs.policy, getattr(theirs, "actor", None), getattr(theirs, "critic", None))
        if hasattr(part, "optimizer")
    ]
    (rate, beta1, beta2, epsilon) = (
        s.get("learning_rate", s.get("critic_learning_rate")),
        s.get("adam_beta1", s.get("beta1")),
        s.get("adam_beta2", s.get("beta2")),
        s.get("adam_epsilon", s.get("optimiser_epsilon")),
    )
    assert optimisers
    for optimiser in optimisers:
        (group,) = optimiser.param_groups
        assert type(optimiser).__name__ == "Adam" and group["weight_decay"] == 0
        assert (group["lr"], group["betas"], group["eps"]) == (rate, (beta1, beta2), epsilon)

    trained = sum(p.numel() for o in optimisers for p in o.param_groups[0]["params"])
    parts = [part for group in ours.groups.values() for part in group.parameters.slices]
    assert trained == sum(part.stop - part.start for part in parts)


def same_epsilon(theirs: Any, ours: DQN, budget: int) -> None:
    """From the end of the warm-up to the end of the budget."""
    for step in range(ours.settings.warmup_steps, budget, 997):
        assert theirs.exploration_schedule(1 - step / budget) == pytest.approx(ours.epsilon(step))


@pytest.mark.bench
def test_both_sides_play_the_same_training_episodes() -> None:
    from sb3_peers import AdapterEnv, as_seen

    from suite.envs.vector import StackedEnvironments

    run = COMPARISONS[1].runs(4)[3]
    ours = StackedEnvironments(run.task, [run.seed], "train")
    theirs = AdapterEnv(make_environment(run.task), run.seed)
    observation, _ = theirs.reset(seed=7)
    for _ in range(run.task.episode_limit or 0):
        np.testing.assert_array_equal(observation, as_seen(ours.observation[0]))
        action = np.full(1, 0.5, np.float32)
        ours.step(action[None])
        observation, _, terminal, truncated, _ = theirs.step(action)
    assert truncated and not terminal
    observation, _ = theirs.reset()
    np.testing.assert_array_equal(observation, as_seen(ours.observation[0]))
