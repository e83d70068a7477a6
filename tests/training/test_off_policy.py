"""The off-policy loop: what it stores, when it learns, what it records."""

import numpy as np
import pytest

from suite.conformance.small_runs import TASKS, small_runs
from suite.training.off_policy import OffPolicyLoop


def loop_of(kind, seeds=(0, 1), **changes):
    runs = small_runs(kind, list(seeds), **changes)
    return OffPolicyLoop(runs[0], list(seeds), "cpu")


def test_truncated_episodes_bootstrap_and_terminal_ones_do_not():
    short = TASKS["inverted-pendulum"].model_copy(update={"episode_limit": 2})
    truncated = loop_of("td3", task=short, warmup_steps=60)
    ended = loop_of("td3", warmup_steps=60)
    for _ in range(60):
        truncated.advance()
        ended.advance()
    # A pendulum cannot fall within two steps: each of the 30 episodes a seed is cut by the limit.
    assert truncated.returns.ended.tolist() == [30, 30]
    assert not truncated.replay.state()["terminal"].any()
    # A random policy drops it within 20 steps: each end is a terminal one.
    assert ended.returns.ended.min() >= 3
    assert ended.replay.state()["terminal"].sum(axis=1).tolist() == ended.returns.ended.tolist()


def test_games_and_networks_agree_on_the_order_of_axes():
    """The Q-network of the authors has 132 566 parameters on Breakout (MinAtar examples/dqn.py)."""
    loop = loop_of("dqn", convolution_filters=16, hidden_units=128)
    (q,) = loop.agent.groups.values()
    sizes = [part.stop - part.start for part in q.parameters.slices]
    assert loop.environments.observation_shape == (10, 10, 4)
    assert sum(sizes) == 132_566


def test_a_terminal_transition_keeps_the_observation_before_the_start_over():
    loop = loop_of("td3", warmup_steps=60)
    for _ in range(60):
        loop.advance()
    state = {name: np.asarray(value) for name, value in loop.replay.state().items()}
    for seed in range(2):
        after = np.flatnonzero(state["terminal"][seed])
        joined = state["next_observation"][seed][:-1] == state["observation"][seed][1:]
        ends = np.flatnonzero(~joined.all(axis=1))
        assert ends.tolist() == [end for end in after if end < 59]
        # More than .2 rad off the upright pole is what ends an episode.
        assert (np.abs(state["next_observation"][seed][after, 1]) > 0.2).all()


@pytest.mark.parametrize("update_every", [1, 3])
def test_learning_starts_after_the_warm_up_and_keeps_its_interval(update_every):
    seen = []

    class Planned(OffPolicyLoop):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.learner.update = lambda batch: seen.append(self.step)

    run = small_runs("dqn", [0], budget=50, warmup_steps=20, update_every=update_every)[0]
    loop = Planned(run, [0], "cpu")
    while loop.step < loop.total:
        loop.advance()
    assert seen == [step for step in range(20, 50) if step % update_every == 0]


@pytest.mark.parametrize("update_every", [1, 3])
def test_plug_ins_are_told_the_number_of_learn_calls(update_every, monkeypatch):
    told = []

    def build(specs):
        class Listener:
            kind = "listener"

            def change_network(self, network):
                return network

            def attach(self, agent, total_updates):
                told.append(total_updates)

            def before_update(self, agent, observations):
                pass

            def after_update(self, agent):
                pass

        return [Listener()]

    monkeypatch.setattr("suite.training.learner.build_plugins", build)
    loop = loop_of("dqn", budget=50, warmup_steps=20, update_every=update_every)
    while loop.step < loop.total:
        loop.advance()
    assert told == [loop.agent.updates]


def test_training_returns_are_those_of_the_episodes_since_the_last_evaluation():
    loop = loop_of("td3", warmup_steps=60)
    finished = []
    step = loop.environments.step

    def watched(action):
        outcome = step(action)
        finished.append(outcome[-1][0])
        return outcome

    loop.environments.step = watched
    for moment in (30, 60):
        while loop.step < moment:
            loop.advance()
        loop.evaluate()
    first = [value for value in finished[:30] if value is not None]
    second = [value for value in finished[30:] if value is not None]
    series = loop.series.of(0)["train_return"]
    assert series == {"step": [30, 60], "value": [np.mean(first), np.mean(second)]}
