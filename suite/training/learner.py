"""An agent with its plug-ins and recordings: what the loops drive."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from suite.plugins.protocol import Agent
from suite.plugins.registry import build_plugins
from suite.recordings.registry import build_recordings
from suite.specs.models import RunSpec
from suite.specs.registry import AGENTS
from suite.stacked.layers import Network
from suite.stacked.normaliser import Normaliser
from suite.stacked.parameters import ParameterGroup
from suite.stacked.replay import Batch
from suite.stacked.rollout import Rollout, RolloutBatch
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import SeedStreams, State, add_prefix, take_prefix
from suite.training.losses import Losses
from suite.training.rows import cut
from suite.training.seconds import Seconds
from suite.training.series import Series


class LearningAgent(Agent, Protocol):
    """What every loop needs of an agent that has networks."""

    settings: Any
    kind: str
    loop: str
    seeds: tuple[int, ...]
    streams: dict[str, SeedStreams]
    device: str

    def greedy(self, observations: np.ndarray) -> np.ndarray: ...

    def update(self, batch: Any) -> None: ...

    def losses(self) -> dict[str, Callable[[Mapping[str, Tensor], Any], Tensor]]: ...

    def state(self) -> State: ...

    def load_state(self, state: State) -> None: ...


class OffPolicyAgent(LearningAgent, Protocol):
    """What the off-policy loop needs besides."""

    def act(self, observations: np.ndarray, step: int) -> np.ndarray: ...


class OnPolicyAgent(LearningAgent, Protocol):
    """What the on-policy loop needs besides."""

    normaliser: Normaliser

    def act(self, observations: np.ndarray) -> np.ndarray: ...

    def to_environment(self, actions: np.ndarray) -> np.ndarray: ...

    def bootstrapped(
        self, reward: np.ndarray, following: np.ndarray, truncated: np.ndarray
    ) -> np.ndarray: ...

    def whole(self, rollout: Rollout, observation: np.ndarray) -> RolloutBatch: ...

    def batches(
        self, rollout: Rollout, observation: np.ndarray, progress: float
    ) -> Iterator[RolloutBatch]: ...


def build_agent(
    run: RunSpec,
    seeds: Sequence[int],
    observation_shape: tuple[int, ...],
    action: ActionSpec,
    change_network: Callable[[Network], Network],
    device: str,
) -> LearningAgent:
    """The freshly initialised agent of a run for these seeds."""
    kind: Any = AGENTS[run.agent.kind]  # each takes settings of its own type
    # Through JSON, as specs are kept: it has lists where settings have tuples.
    settings = kind.Settings.model_validate_json(json.dumps(run.agent.settings))
    agent: LearningAgent = kind(
        settings, observation_shape, action, seeds, change_network, device=device
    )
    return agent


class Learner:
    """Agent, plug-ins and recordings of a shard, with their series and how long they take.

    Recordings are built on the initialised agent before plug-ins are attached, and see a learn call
    before plug-ins act on it. `folders` are where the recordings of each seed go; without any,
    nothing is recorded.
    """

    def __init__(
        self,
        run: RunSpec,
        seeds: Sequence[int],
        observation_shape: tuple[int, ...],
        action: ActionSpec,
        total_updates: int,
        device: str,
        folders: Sequence[Path] = (),
    ) -> None:
        self.count = len(seeds)
        self._observation_shape = observation_shape
        self._action = action
        self.series = Series(self.count)
        self.losses = Losses(self.count)
        self.seconds = Seconds(self.count)
        self._hook_seconds = 0.0
        self.plugins = build_plugins(run.plugins)
        self.agent = build_agent(
            run, seeds, observation_shape, action, self._change_network, device
        )
        self.recordings = build_recordings(run.recordings if folders else (), self.agent, folders)
        for plugin in self.plugins:
            registered = {name: len(group.after_step) for name, group in self.agent.groups.items()}
            plugin.attach(self.agent, total_updates)
            for name, group in self.agent.groups.items():
                for k in range(registered[name], len(group.after_step)):
                    group.after_step[k] = self._timed(f"plugin/{plugin.kind}", group.after_step[k])

    def _change_network(self, network: Network) -> Network:
        for plugin in self.plugins:
            network = plugin.change_network(network)
        return network

    def _timed(
        self, name: str, hook: Callable[[ParameterGroup], None]
    ) -> Callable[[ParameterGroup], None]:
        def timed(group: ParameterGroup) -> None:
            started = perf_counter()
            hook(group)
            elapsed = perf_counter() - started
            self.seconds.add(name, elapsed)
            self._hook_seconds += elapsed

        return timed

    def update(self, batch: Batch | RolloutBatch) -> None:
        """One learn call of the agent, which plug-ins prepare, seen by the recordings, then acted
        on by the plug-ins."""
        for plugin in self.plugins:
            started = perf_counter()
            plugin.before_update(self.agent, batch.observation)
            self.seconds.add(f"plugin/{plugin.kind}", perf_counter() - started)
        started = perf_counter()
        before = self._hook_seconds
        self.agent.update(batch)
        now = perf_counter()
        self.seconds.add("update", now - started - (self._hook_seconds - before))
        self.losses.add(self.agent.groups)
        for name, recording in self.recordings.items():
            started = perf_counter()
            recording.after_update(self.agent, batch.observation)
            self.seconds.add(f"recording/{name}", perf_counter() - started)
        for plugin in self.plugins:
            started = perf_counter()
            plugin.after_update(self.agent)
            self.seconds.add(f"plugin/{plugin.kind}", perf_counter() - started)

    def observe(self, step: int) -> None:
        """Record losses and plug-in diagnostics, and let the recordings see an evaluation."""
        self.series.append(step, self.losses.take())
        for plugin in self.plugins:
            diagnostics = plugin.diagnostics()
            self.series.append(
                step, {f"plugin/{plugin.kind}/{name}": row for name, row in diagnostics.items()}
            )
        for name, recording in self.recordings.items():
            started = perf_counter()
            recording.at_evaluation(self.agent, step)
            self.seconds.add(f"recording/{name}", perf_counter() - started)

    def begin(self) -> None:
        """Start the files of the recordings; called once in a run."""
        for recording in self.recordings.values():
            recording.begin()

    def flush(self) -> None:
        """Wait until what was recorded is on the disk."""
        for name, recording in self.recordings.items():
            started = perf_counter()
            recording.flush()
            self.seconds.add(f"recording/{name}", perf_counter() - started)

    def figures(self, i: int) -> dict[str, float | None]:
        """One seed's figures: the last value of every plug-in diagnostic whose name has no slash.
        What is not finite is null."""
        figures: dict[str, np.ndarray] = {}
        for plugin in self.plugins:
            diagnostics = plugin.diagnostics()
            figures |= {name: row for name, row in diagnostics.items() if "/" not in name}
        return {
            name: float(row[i]) if np.isfinite(row[i]) else None for name, row in figures.items()
        }

    def files(self, i: int) -> dict[str, dict[str, np.ndarray]]:
        """One seed's arrays by file: `agent`, from which it is rebuilt."""
        state = {**self._interface(), **add_prefix("agent", self.agent.state())}
        return {"agent": cut(state, i).arrays}

    def _interface(self) -> State:
        """What an agent is built for: `observation_shape`, and `action`: size, low, high."""
        shape = np.array(self._observation_shape, dtype=np.int64)
        action = np.array([self._action.size, self._action.low, self._action.high])
        return {
            "observation_shape": np.tile(shape, (self.count, 1)),
            "action": np.tile(action, (self.count, 1)),
        }

    def finite(self) -> np.ndarray:
        """`[S]` bool: seeds whose parameters are all finite."""
        finite = np.ones(self.count, dtype=np.bool_)
        for group in self.agent.groups.values():
            # The largest magnitude: NaN and infinity show, and no order of summing matters.
            largest = group.parameters.flat.detach().abs().amax(dim=1)
            finite &= torch.isfinite(largest).cpu().numpy()
        return finite

    def state(self) -> State:
        """Everything that later behaviour and the record depend on, and the seconds so far."""
        state = {**self._interface(), **add_prefix("agent", self.agent.state())}
        for k, plugin in enumerate(self.plugins):
            state.update(add_prefix(f"plugin/{k}-{plugin.kind}", plugin.state()))
        for name, recording in self.recordings.items():
            state.update(add_prefix(f"recording/{name}", recording.state()))
        state.update(add_prefix("losses", self.losses.state()))
        return {**state, **self.series.state(), **self.seconds.state()}

    def load_state(self, state: State) -> None:
        self.agent.load_state(take_prefix("agent", state))
        for k, plugin in enumerate(self.plugins):
            plugin.load_state(take_prefix(f"plugin/{k}-{plugin.kind}", state))
        for name, recording in self.recordings.items():
            recording.load_state(take_prefix(f"recording/{name}", state))
        self.losses.load_state(take_prefix("losses", state))
        self.series.load_state(state)
        self.seconds.load_state(state)
