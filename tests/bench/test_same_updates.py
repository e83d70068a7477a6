"""Our agents and Stable-Baselines3's, from the same weights and random numbers, learn the same.

Networks, losses, order of the steps, optimisers and targets are compared in one go: the parameters
after several updates on the same batches with the same noise agree to rounding. So do the loops
around them, on tasks where rounding does not grow fast: acting, replay, rollouts, time limits.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from side_by_side import COMPARISONS
from torch import Tensor, nn

from suite.envs.make import make_environment
from suite.specs.models import RunSpec
from suite.specs.registry import AGENTS
from suite.stacked.parameters import FlatParameters
from suite.stacked.replay import Batch
from suite.stacked.rollout import Rollout
from suite.training.shard import LOOPS

pytestmark = pytest.mark.bench

UPDATES = 6
LAYERS = (nn.Linear, nn.Conv2d)


class GlobalNoise:
    """Random numbers from the generators that Stable-Baselines3 draws from."""

    def normal(self, *shape: int) -> np.ndarray:
        return torch.randn(1, *shape).numpy()

    def permutation(self, size: int) -> np.ndarray:
        return np.random.permutation(size)[None]

    def integers(self, high: Sequence[int], size: int) -> np.ndarray:
        drawn = np.random.randint(0, high[0], size=size)
        np.random.randint(0, 1, size=size)  # SB3's replay draws the environment too
        return drawn[None]


class NumpyNoise:
    """Normal numbers from NumPy's global generator, as SB3's action noise."""

    def normal(self, *shape: int) -> np.ndarray:
        return np.random.standard_normal((1, *shape)).astype(np.float32)


class Samples:
    """Random actions as SB3's action space draws them."""

    def __init__(self, agent: Any) -> None:
        self._space = copy.deepcopy(agent.action_space)

    def uniform(self, *shape: int, low: float, high: float) -> np.ndarray:
        return self._space.sample()[None]


class EpsilonGreedy:
    """SB3's random numbers for an epsilon of 1 in the warm-up and 0 after it."""

    def __init__(self, agent: Any) -> None:
        self._space = copy.deepcopy(agent.action_space)
        self._warmup = agent.learning_starts

    def integers(self, high: Sequence[int]) -> np.ndarray:
        self._warmup -= 1
        return np.asarray(self._space.sample() if self._warmup >= 0 else 0)[None]

    def uniform(self) -> np.ndarray:
        return np.zeros(1) if self._warmup >= 0 else np.random.random(1)


def planned(name: str, **settings: object) -> RunSpec:
    """The first run of a comparison with other settings, on the adapter's float32 observations."""
    (run,) = (c.runs(1)[0] for c in COMPARISONS if c.name == name)
    agent = run.agent.model_copy(update={"settings": {**run.agent.settings, **settings}})
    return run.model_copy(update={"agent": agent})


def both(run: RunSpec) -> tuple[Any, Any]:
    """Our agent and theirs, fresh, each with its own initial weights."""
    from sb3_peers import sb3_agent
    from stable_baselines3.common.logger import Logger

    environment = make_environment(run.task)
    kind = AGENTS[run.agent.kind]
    settings = kind.Settings.model_validate(run.agent.settings)
    shape, action = environment.observation_shape, environment.action
    ours: Any = kind(settings, shape, action, [run.seed], lambda network: network)
    theirs = sb3_agent(run, run.budget)
    theirs.set_logger(Logger(None, []))
    return ours, theirs


def copy_weights(parameters: FlatParameters, *networks: Sequence[nn.Module]) -> None:
    """Our parameters become those of Stable-Baselines3's networks, one for each copy."""
    parameters.flat.copy_(weights(parameters, *networks))


def weights(parameters: FlatParameters, *networks: Sequence[nn.Module]) -> Tensor:
    """The parameters of Stable-Baselines3's networks as our flat [1, m].

    A network is its modules in order; several last ones, in a tuple, are columns of one layer of
    ours.
    """
    flat = torch.zeros_like(parameters.flat)
    values = [value for network in networks for value in tensors(network)]
    assert len(values) == len(parameters.slices)
    for part, value in zip(parameters.slices, values, strict=True):
        assert value.numel() == part.stop - part.start, part.name
        flat[0, part.start : part.stop] = value.reshape(-1)
    return flat


def tensors(network: Sequence[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for module in network:
        if isinstance(module, tuple):
            found.append(torch.cat([part.weight.detach().T for part in module], dim=1))
            found.append(torch.cat([part.bias.detach() for part in module]))
        elif isinstance(module, nn.Parameter):
            found.append(module.detach())
        else:
            for layer in module.modules():
                if isinstance(layer, LAYERS):
                    linear = isinstance(layer, nn.Linear)
                    found += [layer.weight.detach().T if linear else layer.weight.detach()]
                    found += [layer.bias.detach()]
    return found


def same(ours: Tensor, theirs: Tensor, learning_rate: float) -> None:
    """Agreement to a thousandth of one optimiser step, root mean square: where a gradient is near
    0, rounding decides which way Adam's first steps go."""
    apart = (ours - theirs).square().mean().sqrt().item() / learning_rate
    assert apart < 1e-3, f"{apart:.3g} learning rates apart"


Pairs = list[tuple[FlatParameters, list[Any]]]


def dqn_pairs(ours: Any, theirs: Any) -> Pairs:
    """Each of our sets of parameters with Stable-Baselines3's networks, one for each copy."""
    q = ours.groups["q"]
    sides = ((q.parameters, theirs.q_net), (q.target, theirs.q_net_target))
    return [(mine, [[net.features_extractor, net.q_net]]) for mine, net in sides]


def sac_pairs(ours: Any, theirs: Any) -> Pairs:
    actor, critic, policy = ours.groups["actor"], ours.groups["critic"], theirs.actor
    return [
        (actor.parameters, [[policy.latent_pi, (policy.mu, policy.log_std)]]),
        (critic.parameters, [[q] for q in theirs.critic.q_networks]),
        (critic.target, [[q] for q in theirs.critic_target.q_networks]),
    ]


def td3_pairs(ours: Any, theirs: Any) -> Pairs:
    actor, critic = ours.groups["actor"], ours.groups["critic"]
    return [
        (actor.parameters, [[theirs.actor.mu]]),
        (actor.target, [[theirs.actor_target.mu]]),
        (critic.parameters, [[q] for q in theirs.critic.q_networks]),
        (critic.target, [[q] for q in theirs.critic_target.q_networks]),
    ]


def ppo_pairs(ours: Any, theirs: Any) -> Pairs:
    policy, extractor = theirs.policy, theirs.policy.mlp_extractor
    actor = [extractor.policy_net, policy.action_net, policy.log_std]
    return [
        (ours.groups["actor"].parameters, [actor]),
        (ours.groups["critic"].parameters, [[extractor.value_net, policy.value_net]]),
    ]


PAIRS = {"dqn": dqn_pairs, "sac": sac_pairs, "td3": td3_pairs, "ppo": ppo_pairs}


def random_batches(run: RunSpec) -> list[Batch]:
    environment = make_environment(run.task)
    low, high = environment.action.low, environment.action.high
    generator = np.random.default_rng(0)
    size, shape = int(run.agent.settings["batch_size"]), environment.observation_shape
    batches = []
    for _ in range(UPDATES):
        observations = [
            torch.tensor(generator.normal(size=(1, size, *shape)), dtype=torch.float32)
            for _ in range(2)
        ]
        if environment.action.kind == "discrete":
            action = torch.tensor(generator.integers(environment.action.size, size=(1, size)))
        else:
            drawn = generator.uniform(low, high, size=(1, size, environment.action.size))
            action = torch.tensor(drawn, dtype=torch.float32)
        reward = torch.tensor(generator.normal(size=(1, size)), dtype=torch.float32)
        terminal = torch.tensor(generator.random((1, size)) < 0.2, dtype=torch.float32)
        batches.append(Batch(observations[0], action, reward, observations[1], terminal))
    return batches


def learn_from(ours: Any, theirs: Any, batches: Sequence[Batch]) -> None:
    """The same updates on both sides, with the same noise."""
    from sb3_peers import as_seen
    from stable_baselines3.common.type_aliases import ReplayBufferSamples

    high = getattr(ours, "max_action", 1.0)
    for number, batch in enumerate(batches):
        action = batch.action[0] if batch.action.ndim == 3 else batch.action[0][:, None]
        samples = ReplayBufferSamples(
            torch.tensor(as_seen(batch.observation[0].numpy())),
            action / high if action.is_floating_point() else action,
            torch.tensor(as_seen(batch.next_observation[0].numpy())),
            batch.terminal[0][:, None],
            batch.reward[0][:, None],
        )
        theirs.replay_buffer.sample = lambda *_, samples=samples, **__: samples
        torch.manual_seed(number)
        theirs.train(gradient_steps=1, batch_size=len(action))
        torch.manual_seed(number)
        ours.update(batch)


@pytest.mark.parametrize(
    "name", ["dqn-breakout", "sac-pendulum", "sac-halfcheetah", "td3-halfcheetah"]
)
def test_off_policy_agents_learn_the_same_from_the_same_batches(name: str) -> None:
    run = planned(name, replay_capacity=100)
    ours, theirs = both(run)
    for stream in ("actor_noise", "target_noise"):
        ours.streams[stream] = GlobalNoise()
    if run.agent.kind == "sac":
        exact_log_density(theirs)
    if run.agent.kind == "dqn":  # a target of its own, so that it counts
        with torch.no_grad():
            for parameter in theirs.q_net_target.parameters():
                parameter.mul_(0.5)
    pairs = PAIRS[run.agent.kind](ours, theirs)
    for parameters, networks in pairs:
        copy_weights(parameters, *networks)
    learn_from(ours, theirs, random_batches(run))
    rate = run.agent.settings.get("learning_rate", 3e-4)
    for parameters, networks in pairs:
        same(parameters.flat, weights(parameters, *networks), rate)
    if run.agent.kind == "sac":
        same(ours.temperature.log_alpha[0, :1], theirs.log_ent_coef.detach(), rate)


def exact_log_density(theirs: Any) -> None:
    """Take away SAC's only difference: log(1 - a^2 + 1e-6) there, exact here."""
    theirs.actor.action_dist.epsilon = 0.0


def test_ppo_learns_the_same_from_the_same_rollout() -> None:
    """A rollout that Stable-Baselines3 filled: advantages, then the update phase."""
    from stable_baselines3.common.callbacks import ConvertCallback

    run = planned("ppo-halfcheetah", n_steps=512, epochs=3)
    task = run.task.model_copy(update={"episode_limit": 100})  # cut episodes within the rollout
    run = run.model_copy(update={"task": task})
    ours, theirs = both(run)
    ours.streams["shuffle"] = GlobalNoise()
    pairs = ppo_pairs(ours, theirs)
    for parameters, networks in pairs:
        copy_weights(parameters, *networks)

    theirs._setup_learn(512)
    callback = ConvertCallback(lambda *_: True)
    callback.init_callback(theirs)
    theirs.collect_rollouts(theirs.env, callback, theirs.rollout_buffer, 512)
    buffer = theirs.rollout_buffer
    starts = np.append(buffer.episode_starts[:, 0], theirs._last_episode_starts)
    shape = buffer.observations.shape[2:]
    rollout = Rollout(1, 512, 1, shape, buffer.actions.shape[2:], "float32")
    for t in range(512):
        rollout.append(
            buffer.observations[t][None],
            buffer.actions[t][None],
            buffer.rewards[t][None],
            starts[t + 1].reshape(1, 1),
        )
    assert rollout.ended.sum() == 5
    last = np.asarray(theirs._last_obs, np.float32)[None]
    advantages = buffer.advantages[:, 0].copy()
    np.random.seed(0)
    first = next(iter(ours.batches(rollout, last, 0.0)))
    np.random.seed(0)
    order = np.random.permutation(512)[: len(first.advantage[0])]
    np.testing.assert_allclose(first.advantage[0], advantages[order], rtol=1e-4, atol=1e-4)

    np.random.seed(1)
    theirs.train()
    np.random.seed(1)
    for batch in ours.batches(rollout, last, 0.0):
        ours.update(batch)
    assert ours.updates == 3 * 512 // 64
    for parameters, networks in pairs:
        same(parameters.flat, weights(parameters, *networks), 3e-4)


def test_ppo_goes_the_same_way_through_its_loop() -> None:
    """Three rollouts of Pendulum, across ends of episodes that are cut after 200 steps."""
    pendulum = planned("sac-pendulum").task
    run = planned("ppo-halfcheetah", n_steps=512, epochs=4).model_copy(update={"task": pendulum})
    go_the_same_way(run, steps=3 * 512)


@pytest.mark.parametrize("name", ["sac-pendulum", "td3-halfcheetah"])
def test_off_policy_agents_go_the_same_way_through_their_loop(name: str) -> None:
    """A warm-up and updates, across ends of episodes that are cut after 20 steps. HalfCheetah
    doubles a difference in a few steps, so episodes are short and updates few."""
    run = planned(name, warmup_steps=50)
    task = run.task.model_copy(update={"episode_limit": 20})
    go_the_same_way(run.model_copy(update={"task": task}), steps=75)


def test_dqn_goes_the_same_way_through_its_loop() -> None:
    """Greedy after the warm-up, across ends of episodes."""
    settings = {"epsilon_start": 0.0, "epsilon_end": 0.0, "replay_capacity": 1000}
    go_the_same_way(planned("dqn-breakout", warmup_steps=100, **settings), steps=200)


def go_the_same_way(run: RunSpec, steps: int) -> None:
    """Both loops, from the same weights and with the same random numbers, for `steps` steps."""
    _, theirs = both(run)
    loop: Any = LOOPS[AGENTS[run.agent.kind].loop](run, [run.seed], "cpu")
    ours = loop.agent
    if run.agent.kind == "sac":
        exact_log_density(theirs)
    ours.streams = {name: GlobalNoise() for name in ours.streams}
    if run.agent.kind != "ppo":
        loop.replay.streams = GlobalNoise()
    if "warmup" in ours.streams:
        ours.streams["warmup"] = Samples(theirs)
    if run.agent.kind == "td3":
        ours.streams["exploration"] = NumpyNoise()
    if run.agent.kind == "dqn":
        ours.streams["exploration"] = ours.streams["random_action"] = EpsilonGreedy(theirs)
    pairs = PAIRS[run.agent.kind](ours, theirs)
    for parameters, networks in pairs:
        copy_weights(parameters, *networks)
    started = [parameters.flat.clone() for parameters, _ in pairs]

    torch.manual_seed(0)
    np.random.seed(0)
    theirs.learn(steps)
    torch.manual_seed(0)
    np.random.seed(0)
    for _ in range(steps):
        loop.advance()
    for (parameters, networks), start in zip(pairs, started, strict=True):
        apart = (parameters.flat - weights(parameters, *networks)).norm()
        moved = (parameters.flat - start).norm()
        assert apart <= 1e-3 * moved, f"{apart / moved:.3g} of the way apart"
