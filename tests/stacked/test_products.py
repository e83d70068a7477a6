import pytest
import torch

from suite.stacked import products
from suite.stacked.products import affine

# Rows, inner and columns as MinAtar's Q-network, TD3's networks and single actions have them.
SIZES = [
    (16, 36, 2048),
    (16, 90, 2048),
    (32, 1024, 128),
    (32, 128, 6),
    (2, 1024, 128),
    (2, 128, 6),
    (256, 17, 256),
    (256, 256, 256),
    (256, 256, 6),
    (256, 256, 1),
    (1, 256, 64),
    (16, 1, 64),
]


def operands(seeds, rows, inner, columns, transposed=False, dtype=torch.float32):
    def draw(seed: int, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

    a = torch.stack([draw(seed, rows, inner) for seed in seeds])
    b = torch.stack([draw(seed + 1000, inner, columns) for seed in seeds])
    bias = torch.stack([draw(seed + 2000, 1, columns) for seed in seeds])
    if transposed:
        a = a.mT.contiguous().mT
    return [x.requires_grad_() for x in (a, b, bias)]


def value_and_gradients(inputs, product):
    y = product(*inputs)
    return [y.detach(), *torch.autograd.grad(torch.sin(y).sum(), inputs)]


@pytest.fixture(params=["numpy", "onednn"])
def kernels(request, monkeypatch):
    monkeypatch.setattr(products, "_ONEDNN", request.param == "onednn")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("transposed", [False, True])
def test_values_and_gradients_are_those_of_matmul(kernels, size, transposed):
    ours = value_and_gradients(operands([1, 2], *size, transposed), affine)
    doubles = operands([1, 2], *size, transposed)
    doubles = [x.detach().double().requires_grad_() for x in doubles]
    theirs = value_and_gradients(doubles, lambda a, b, bias: a @ b + bias)
    for one, other in zip(ours, theirs, strict=True):
        scale = other.abs().max().item()
        torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("transposed", [False, True])
def test_bits_do_not_depend_on_the_stack(kernels, size, transposed):
    whole = value_and_gradients(operands([1, 2, 3, 4], *size, transposed), affine)
    for rows in ([0], [3], [2, 1]):
        seeds = [row + 1 for row in rows]
        alone = value_and_gradients(operands(seeds, *size, transposed), affine)
        for one, other in zip(whole, alone, strict=True):
            assert torch.equal(one[rows], other)


def test_values_are_the_same_with_and_without_gradients(kernels):
    inputs = operands([1], 32, 1024, 128)
    with torch.no_grad():
        assert torch.equal(affine(*inputs), affine(*(x.detach() for x in inputs)))
    assert torch.equal(affine(*inputs).detach(), affine(*(x.detach() for x in inputs)))


def test_second_derivatives_are_right():
    inputs = operands([1, 2], 3, 4, 2, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(affine, inputs)


def test_a_gradient_is_laid_out_as_its_operand():
    a, b, bias = operands([1, 2], 32, 1024, 128, transposed=True)
    (gradient,) = torch.autograd.grad(affine(a, b, bias).sum(), a)
    assert gradient.stride() == a.stride()


@pytest.mark.filterwarnings("error")
def test_what_overflows_does_so_in_silence():
    a, b, bias = operands([1, 2], 4, 4, 4)
    y = affine(a * 1e30, b * 1e30, bias)
    gradients = torch.autograd.grad(y.sum(), [a, b])
    assert not torch.isfinite(y).any() and not torch.isfinite(gradients[0]).all()
