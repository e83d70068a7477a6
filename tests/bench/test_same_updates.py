"""Our agents and Stable-Baselines3's, from the same weights and data, learn the same.

Networks, losses, order of the steps, optimisers and targets are compared in one go: the parameters
after several updates on the same batches with the same noise agree to rounding.
"""

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

pytestmark = pytest.mark.bench

UPDATES = 6
LAYERS = (nn.Linear, nn.Conv2d)


class GlobalNoise:
    """Random numbers from the generators that Stable-Baselines3 draws from."""

    def normal(self, *shape: int) -> np.ndarray:
        return torch.randn(1, *shape).numpy()

    def permutation(self, size: int) -> np.ndarray:
        return np.random.permutation(size)[None]


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


def random_batches(run: RunSpec, action_low: float, action_high: float) -> list[Batch]:
    environment = make_environment(run.task)
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
            drawn = generator.uniform(
                action_low, action_high, size=(1, size, environment.action.size)
            )
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


def test_dqn() -> None:
    run = planned("dqn-breakout", replay_capacity=100)
    ours, theirs = both(run)
    group = ours.groups["q"]

    def network(q: Any) -> list[nn.Module]:
        return [q.features_extractor, q.q_net]

    copy_weights(group.parameters, network(theirs.q_net))
    with torch.no_grad():  # a target of its own, so that it counts
        for parameter in theirs.q_net_target.parameters():
            parameter.mul_(0.5)
    copy_weights(group.target, network(theirs.q_net_target))
    learn_from(ours, theirs, random_batches(run, 0, 0))
    rate = run.agent.settings["learning_rate"]
    same(group.parameters.flat, weights(group.parameters, network(theirs.q_net)), rate)


@pytest.mark.parametrize("name", ["sac-pendulum", "sac-halfcheetah"])
def test_sac(name: str) -> None:
    run = planned(name, replay_capacity=100)
    ours, theirs = both(run)
    actor, critic = ours.groups["actor"], ours.groups["critic"]
    # Their only difference: log(1 - a^2 + 1e-6) where ours is exact.
    theirs.actor.action_dist.epsilon = 0.0
    for stream in ("actor_noise", "target_noise"):
        ours.streams[stream] = GlobalNoise()

    def networks() -> tuple[list[Any], list[Any], list[Any]]:
        policy, q, target = theirs.actor, theirs.critic, theirs.critic_target
        return [policy.latent_pi, (policy.mu, policy.log_std)], q.q_networks, target.q_networks

    pi, q, target = networks()
    copy_weights(actor.parameters, pi)
    copy_weights(critic.parameters, *([x] for x in q))
    copy_weights(critic.target, *([x] for x in target))
    learn_from(ours, theirs, random_batches(run, -ours.max_action, ours.max_action))
    rate = run.agent.settings["learning_rate"]
    same(critic.parameters.flat, weights(critic.parameters, *([x] for x in q)), rate)
    same(critic.target.flat, weights(critic.target, *([x] for x in target)), rate)
    same(actor.parameters.flat, weights(actor.parameters, pi), rate)
    same(ours.temperature.log_alpha[0, :1], theirs.log_ent_coef.detach(), rate)


def test_td3() -> None:
    run = planned("td3-halfcheetah", replay_capacity=100)
    ours, theirs = both(run)
    ours.streams["target_noise"] = GlobalNoise()
    pairs = [
        (ours.groups["actor"].parameters, [[theirs.actor.mu]]),
        (ours.groups["actor"].target, [[theirs.actor_target.mu]]),
        (ours.groups["critic"].parameters, [[q] for q in theirs.critic.q_networks]),
        (ours.groups["critic"].target, [[q] for q in theirs.critic_target.q_networks]),
    ]
    for parameters, networks in pairs:
        copy_weights(parameters, *networks)
    learn_from(ours, theirs, random_batches(run, -1.0, 1.0))
    for parameters, networks in pairs:
        same(parameters.flat, weights(parameters, *networks), 3e-4)


def test_ppo() -> None:
    """A rollout that Stable-Baselines3 filled: advantages, then the update phase."""
    from stable_baselines3.common.callbacks import ConvertCallback

    run = planned("ppo-halfcheetah", n_steps=512, epochs=3)
    task = run.task.model_copy(update={"episode_limit": 100})  # cut episodes within the rollout
    run = run.model_copy(update={"task": task})
    ours, theirs = both(run)
    ours.streams["shuffle"] = GlobalNoise()
    policy, extractor = theirs.policy, theirs.policy.mlp_extractor
    pairs = [
        (ours.groups["actor"].parameters, [extractor.policy_net, policy.action_net]),
        (ours.groups["critic"].parameters, [extractor.value_net, policy.value_net]),
    ]
    pairs[0][1].append(policy.log_std)
    for parameters, network in pairs:
        copy_weights(parameters, network)

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
    for parameters, network in pairs:
        same(parameters.flat, weights(parameters, network), 3e-4)
