"""Losses of agents in plain PyTorch, and their Hessians as one has them without this suite: by
differentiating twice, and by curvlinops."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn
from torch.nn.utils import vector_to_parameters

from baselines.ppo import PPO
from baselines.sac import SAC
from suite.stacked.layers import Linear
from suite.stacked.parameters import ParameterGroup
from suite.stacked.replay import Batch
from suite.stacked.rollout import RolloutBatch


@dataclass(frozen=True)
class PlainLoss:
    """criterion(model(inputs), targets), a mean over the N rows of inputs and targets; `places[i]`
    is where the model's i-th parameter lies in a vector [G * n] of `suite.analysis.curvature`."""

    model: nn.Module
    criterion: nn.Module
    inputs: Tensor
    targets: Tensor
    places: np.ndarray

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What the loss is differentiated for."""
        return list(self.model.parameters())


def double_backward(plain: PlainLoss) -> LinearOperator:
    """The Hessian by differentiating the gradient's product with each vector."""
    parameters = plain.parameters
    loss = plain.criterion(plain.model(plain.inputs), plain.targets)
    gradient = torch.cat([x.flatten() for x in _gradient(loss, parameters, create_graph=True)])

    def times(vector: np.ndarray) -> np.ndarray:
        along = torch.from_numpy(vector.reshape(-1))
        found = _gradient(gradient, parameters, grad_outputs=along, retain_graph=True)
        return torch.cat([x.flatten() for x in found]).numpy()

    size = len(gradient)
    return LinearOperator((size, size), matvec=times, dtype=np.float32)


def _gradient(of: Tensor, parameters: list[nn.Parameter], **how: object) -> tuple[Tensor, ...]:
    return torch.autograd.grad(of, parameters, **how)  # type: ignore[arg-type]


def curvlinops_operator(plain: PlainLoss, chunk: int) -> LinearOperator:
    """The Hessian of curvlinops on the data in chunks of at most `chunk` rows."""
    from curvlinops import HessianLinearOperator

    data = list(zip(plain.inputs.split(chunk), plain.targets.split(chunk), strict=True))
    operator = HessianLinearOperator(
        plain.model, plain.criterion, plain.parameters, data, check_deterministic=False
    )
    return operator.to_scipy()


class _GaussianPolicy(nn.Module):
    """Mean and log std of actions, side by side."""

    def __init__(self, network: nn.Module, actions: int) -> None:
        super().__init__()
        self.log_std = nn.Parameter(torch.zeros(actions))
        self.network = network

    def forward(self, observation: Tensor) -> Tensor:
        mean = self.network(observation)
        return torch.cat((mean, self.log_std.expand_as(mean)), dim=1)


class _ClippedSurrogate(nn.Module):
    """PPO's loss for targets of action, old log-probability and advantage."""

    reduction = "mean"

    def __init__(self, clip_range: float, entropy_coefficient: float) -> None:
        super().__init__()
        self.clip_range, self.entropy_coefficient = clip_range, entropy_coefficient

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        mean, log_std = outputs.chunk(2, dim=1)
        policy = torch.distributions.Normal(mean, log_std.exp(), validate_args=False)
        action, old, advantage = targets[:, :-2], targets[:, -2], targets[:, -1]
        ratio = (policy.log_prob(action).sum(dim=1) - old).exp()
        clipped = ratio.clamp(1 - self.clip_range, 1 + self.clip_range)
        surrogate = torch.minimum(advantage * ratio, advantage * clipped).mean()
        return -surrogate - self.entropy_coefficient * policy.entropy().sum(dim=1).mean()


def ppo_actor(agent: PPO, batch: RolloutBatch) -> PlainLoss:
    """The actor's loss of one seed with continuous actions."""
    group = agent.groups["actor"]
    names = _linear_parameters(group)
    actions = batch.action.shape[2]
    model = _GaussianPolicy(_sequential(group, nn.Tanh), actions)
    places = _places(group, [(0, "log_std.constant"), *((0, name) for name in names)])
    _load(model, group, places)
    criterion = _ClippedSurrogate(agent.clip_range, agent.settings.entropy_coefficient)
    targets = (batch.action[0], batch.log_prob[0, :, None], batch.advantage[0, :, None])
    return PlainLoss(model, criterion, batch.observation[0], torch.cat(targets, dim=1), places)


class _TwinCritics(nn.Module):
    """The values of two critics, [N, 2]."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.first(x), self.second(x)), dim=1)


class _SquaredErrors(nn.Module):
    """Half the sum of both critics' mean squared errors."""

    reduction = "mean"

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return 0.5 * (outputs - targets).square().mean(dim=0).sum()


def sac_critic(agent: SAC, batch: Batch) -> PlainLoss:
    """The loss of one seed's critics."""
    group = agent.groups["critic"]
    model = _TwinCritics(_sequential(group, nn.ReLU), _sequential(group, nn.ReLU))
    parts = [(copy, name) for copy in range(2) for name in _linear_parameters(group)]
    places = _places(group, parts)
    _load(model, group, places)
    assert batch.noise is not None and group.target is not None
    with torch.no_grad():
        actor = agent.groups["actor"].parameters.leaves
        action, log_prob = agent.sample(actor, batch.next_observation, batch.noise)
        q = agent.q(group.target.leaves, batch.next_observation, action).amin(dim=1)
        value = q - agent.temperature.value() * log_prob
        target = batch.reward + agent.settings.discount * (1 - batch.terminal) * value
    inputs = torch.cat((batch.observation, batch.action / agent.max_action), dim=2)[0]
    return PlainLoss(model, _SquaredErrors(), inputs, target[0, :, None], places)


def _linears(group: ParameterGroup) -> list[Linear]:
    return [layer for layer in group.network.layers if isinstance(layer, Linear)]


def _linear_parameters(group: ParameterGroup) -> list[str]:
    return [f"{layer.name}.{kind}" for layer in _linears(group) for kind in ("weight", "bias")]


def _sequential(group: ParameterGroup, activation: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in _linears(group):
        layers += [nn.Linear(layer.inputs, layer.outputs), activation()]
    return nn.Sequential(*layers[:-1])


def _places(group: ParameterGroup, parts: Sequence[tuple[int, str]]) -> np.ndarray:
    """Where the parameters of a module, named by copy and tensor, lie in vectors [G * n]; its
    weights are [outputs, inputs]."""
    slices = {part.name: part for part in group.network.parameter_slices()}
    size = group.network.parameter_slices()[-1].stop
    found = []
    for copy, name in parts:
        own = np.arange(slices[name].start, slices[name].stop).reshape(slices[name].shape)
        turned = own.T if name.endswith("weight") else own
        found.append(copy * size + turned.ravel())
    return np.concatenate(found)


def _load(model: nn.Module, group: ParameterGroup, places: np.ndarray) -> None:
    """Give a module the group's parameters."""
    size = group.network.parameter_slices()[-1].stop
    rows = group.parameters.flat.detach().view(-1, group.network.row_length())[:, :size]
    vector_to_parameters(rows.flatten()[torch.from_numpy(places)], model.parameters())
