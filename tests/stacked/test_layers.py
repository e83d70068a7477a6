import pytest
import torch
import torch.nn.functional as F

from suite.stacked.layers import (
    Activation,
    Affine,
    ChannelsFirst,
    Convolution,
    Flatten,
    Linear,
    Network,
    Norm,
)
from suite.stacked.parameters import FlatParameters

IMAGE = Network(
    "q",
    "q",
    (
        ChannelsFirst(),
        Convolution("conv1", 4, 16, 3),
        Norm("conv1_norm", "layer", (16, 8, 8)),
        Activation("relu"),
        Convolution("conv2", 16, 8, 2, stride=2, bias=False),
        Activation("tanh"),
        Flatten(),
        Linear("hidden1", 128, 32),
        Norm("hidden1_norm", "rms", (32,)),
        Activation("relu"),
        Linear("output", 32, 6),
    ),
    (10, 10, 4),
)


def game(stride: int, bias: bool, kind: str) -> Network:
    """A convolution of small images, which is one operation with the layers after it."""
    side = (10 - 3) // stride + 1
    layers = (
        ChannelsFirst(),
        Convolution("conv1", 4, 16, 3, stride, bias),
        Activation(kind),
        Flatten(),
        Linear("hidden1", 16 * side**2, 32),
        Activation(kind),
        Linear("output", 32, 6),
    )
    return Network("q", "q", layers, (10, 10, 4))


ENCODER = Network(
    "encoder",
    "encoder",
    (
        ChannelsFirst(),
        Convolution("conv1", 4, 8, 3),
        Activation("relu"),
        Convolution("conv2", 8, 8, 3),
        Activation("relu"),
        Flatten(),
    ),
    (10, 10, 4),
)
GAMES = [game(1, True, "relu"), game(2, False, "tanh")]


def mlp(inputs: int, outputs: int, copies: int = 1) -> Network:
    layers = (Linear("hidden1", inputs, 256), Activation("relu"), Linear("output", 256, outputs))
    return Network("f", "critic", layers, (inputs,), copies)


def test_the_forward_pass_is_that_of_pytorch():
    parameters = FlatParameters.initialise(IMAGE, [5, 6], "q")
    for part in parameters.slices:
        if part.kind in ("gain", "offset"):
            parameters.part(part).normal_(1.0, 0.3, generator=torch.Generator().manual_seed(1))
    p = {name: leaf.detach()[1] for name, leaf in parameters.leaves.items()}
    x = torch.rand(2, 5, 10, 10, 4, generator=torch.Generator().manual_seed(0))

    y = F.conv2d(x[1].permute(0, 3, 1, 2), p["conv1.weight"], p["conv1.bias"][0])
    gain, offset = (p[f"conv1_norm.{kind}"].view(16, 8, 8) for kind in ("gain", "offset"))
    y = torch.relu(F.layer_norm(y, (16, 8, 8), gain, offset))
    y = F.conv2d(y, p["conv2.weight"], stride=2)
    y = torch.tanh(y).reshape(5, 128) @ p["hidden1.weight"] + p["hidden1.bias"]
    y = y / (y.square().mean(1, keepdim=True) + 1e-5).sqrt()
    y = torch.relu(y * p["hidden1_norm.gain"] + p["hidden1_norm.offset"])
    expected = y @ p["output.weight"] + p["output.bias"]

    actual = IMAGE.forward(parameters.leaves, x)[1].detach()
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_a_norm_with_a_gain_alone_is_one_whose_offset_is_zero():
    def normed(affine: Affine) -> Network:
        layers = (Linear("a", 9, 8), Norm("norm", "layer", (8,), affine), Linear("b", 8, 2))
        return Network("f", "critic", layers, (9,))

    leaves = FlatParameters.initialise(normed("both"), [0, 1], "q").leaves
    values = {name: leaf.detach() for name, leaf in leaves.items()}
    values["norm.gain"].normal_(1.0, 0.3, generator=torch.Generator().manual_seed(1))
    x = torch.randn(2, 5, 9, generator=torch.Generator().manual_seed(0))
    expected = normed("both").forward(values, x)
    assert {part.name for part in normed("gain").parameter_slices()} == {*values} - {"norm.offset"}
    torch.testing.assert_close(
        normed("gain").forward({k: v for k, v in values.items() if k != "norm.offset"}, x), expected
    )


TWO_LINEARS = Network(
    "f",
    "critic",
    (Linear("a", 9, 8), Linear("b", 8, 32), Activation("tanh"), Activation("relu")),
    (9,),
)


NETWORKS = [IMAGE, ENCODER, *GAMES, mlp(17, 6), mlp(17, 1, copies=2), TWO_LINEARS]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("learning", [True, False])
def test_values_are_the_same_with_and_without_a_trace(network, learning):
    leaves = FlatParameters.initialise(network, [0, 1], "q").leaves
    x = torch.randn(2 * network.copies, 16, *network.input_shape)
    with torch.set_grad_enabled(learning):
        assert torch.equal(network.forward(leaves, x), network.forward(leaves, x, {}))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("learned_inputs", [True, False])
def test_gradients_are_the_same_with_and_without_a_trace(network, learned_inputs):
    leaves = FlatParameters.initialise(network, [0, 1], "q").leaves
    x = torch.randn(2 * network.copies, 16, *network.input_shape, requires_grad=learned_inputs)
    wanted = [*leaves.values(), *([x] if learned_inputs else [])]
    at_once = torch.autograd.grad(network.forward(leaves, x).square().sum(), wanted)
    one_by_one = torch.autograd.grad(network.forward(leaves, x, {}).square().sum(), wanted)
    for one, other in zip(at_once, one_by_one, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * other.abs().max().item())


def test_the_trace_holds_every_layer_and_only_the_batch():
    parameters = FlatParameters.initialise(IMAGE, [5], "q")
    trace: dict[str, torch.Tensor] = {}
    y = IMAGE.forward(parameters.leaves, torch.rand(1, 3, 10, 10, 4), trace)
    assert list(trace) == [
        *("conv1", "conv1_norm", "conv1_activation", "conv2", "conv2_activation"),
        *("hidden1", "hidden1_norm", "hidden1_activation", "output"),
    ]
    assert trace["conv1_norm"].shape == (1, 3, 16, 8, 8)
    assert trace["hidden1_activation"].min() >= 0 > trace["hidden1_norm"].min()
    assert torch.equal(trace["output"], y)


def outputs_and_gradients(network, seeds, batch):
    """Values and gradients of `network` for inputs that depend on each seed alone; the inputs have
    a gradient too, but for those of `GAMES`."""
    parameters = FlatParameters.initialise(network, seeds, "group")
    copies = network.copies
    rows = [
        torch.rand(batch, *network.input_shape, generator=torch.Generator().manual_seed(seed))
        for seed in seeds
    ]
    x = torch.stack(rows).repeat_interleave(copies, 0).requires_grad_(network not in GAMES)
    y = network.forward(parameters.leaves, x)
    weight = torch.linspace(-1, 1, y[0].numel()).view(y[0].shape)
    wanted = [leaf for leaf in (*parameters.leaves.values(), x) if leaf.requires_grad]
    gradients = torch.autograd.grad((torch.tanh(y) * weight).sum(), wanted)
    return [value.detach().unflatten(0, (len(seeds), copies)) for value in (y, *gradients)]


@pytest.mark.parametrize("batch", [1, 2, 5, 10, 32, 100])
@pytest.mark.parametrize(
    "network",
    [IMAGE, *GAMES, mlp(17, 6), mlp(3, 1), mlp(1, 1), mlp(23, 1, copies=2)],
    ids=["image", "game", "strides", "actor", "one-action", "one-input", "twins"],
)
def test_bits_do_not_depend_on_the_size_of_the_stack(network, batch):
    whole = outputs_and_gradients(network, list(range(6)), batch)
    for seeds in ([0], [4], [5], [1, 2], [5, 0], [2, 3, 5]):
        for expected, actual in zip(
            whole, outputs_and_gradients(network, seeds, batch), strict=True
        ):
            assert torch.equal(expected[seeds], actual)


@pytest.mark.parametrize(
    ("network", "name"), [(mlp(3, 1), "hidden1.weight"), (GAMES[1], "conv1.weight")]
)
def test_gradients_can_be_differentiated_again(network, name):
    parameters = FlatParameters.initialise(network, [0, 1], "group")
    leaves = {name: leaf.detach().double() for name, leaf in parameters.leaves.items()}
    x = torch.rand(2, 4, *network.input_shape, dtype=torch.float64)

    def loss(weight):
        return network.forward(leaves | {name: weight}, x).square().sum()

    weight = leaves[name].requires_grad_()
    assert torch.autograd.gradgradcheck(loss, weight, fast_mode=True)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((Linear("hidden1", 5, 2),), r"'hidden1' takes shape \(5,\), is given \(4,\)"),
        ((Norm("n", "layer", (3,)),), r"norm 'n' is over \(3,\), is given \(4,\)"),
    ],
)
def test_layers_that_do_not_fit_are_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        Network("f", "critic", layers, (4,))


def test_a_convolution_refuses_another_number_of_channels():
    with pytest.raises(
        ValueError, match=r"'conv1' takes shape \(4, height, width\), is given \(10, 10, 4\)"
    ):
        Network("q", "q", (Convolution("conv1", 4, 16, 3),), (10, 10, 4))


def test_slices_say_what_a_norm_follows():
    followed = {part.name: part.followed_by_norm for part in IMAGE.parameter_slices()}
    assert [name for name, yes in followed.items() if yes] == [
        *("conv1.weight", "conv1.bias", "hidden1.weight", "hidden1.bias"),
    ]
