"""Agents from what is stored, without their environment."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from suite.plugins.registry import build_plugins
from suite.specs.models import RunSpec
from suite.specs.registry import environment
from suite.stacked.layers import Network
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import State, take_prefix
from suite.store.atomic import StoreError, storing
from suite.store.store import Store
from suite.training.learner import LearningAgent, build_agent
from suite.training.rows import Row, stack


def agent_from_checkpoint(store: Store, key: str, device: str = "cpu") -> LearningAgent:
    """The agent of a run, as one seed (S = 1): at the end of a complete run, otherwise at its
    newest checkpoint. Plug-ins have changed its network but are not attached.

    Raises StoreError when the run has no checkpoint.
    """
    run = _spec(store, key)
    state = _learner_state(store, key)
    agent = _built(run, state, device)
    agent.load_state(take_prefix("agent", state))
    return agent


def agent_at(store: Store, key: str, path: Path, device: str = "cpu") -> LearningAgent:
    """The agent of a complete run at one of its recorded checkpoints, as one seed (S = 1)."""
    agent = _built(_spec(store, key), _learner_state(store, key), device)
    with storing("read", path):
        agent.load_state(stack([Row(load_file(path), {})]))
    return agent


def _spec(store: Store, key: str) -> RunSpec:
    path = store.folder(key) / "spec.json"
    if not path.exists():
        raise StoreError(f"run {key} was never begun: there is no {path}. Train it first.")
    # Fields that are gone described the run: one that decides something gives another key.
    return RunSpec.model_validate_json(path.read_text(), extra="ignore")


def _built(run: RunSpec, state: State, device: str) -> LearningAgent:
    """A fresh agent as its run had it, with the interface that the state tells."""
    shape = tuple(int(size) for size in np.asarray(state["observation_shape"])[0])
    size, low, high = (float(number) for number in np.asarray(state["action"])[0])
    plugins = build_plugins(run.plugins)

    def change_network(network: Network) -> Network:
        for plugin in plugins:
            network = plugin.change_network(network)
        return network

    action = ActionSpec(environment(run.task).action.kind, int(size), low, high)
    return build_agent(run, [run.seed], shape, action, change_network, device)


def _learner_state(store: Store, key: str) -> State:
    if store.state(key).complete:
        return stack([Row(load_file(store.folder(key) / "agent.safetensors"), {})])
    checkpoint = store.load_checkpoint(key)
    if checkpoint is None:
        raise StoreError(f"run {key} has no checkpoint yet: it is {store.state(key).state}")
    return take_prefix("learner", stack([Row(checkpoint.arrays, checkpoint.values)]))
