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


@pytest.fixture(params=["onednn", "rounded"])
def bf16(request, monkeypatch):
    monkeypatch.setattr(products, "_HAS_BF16", products._HAS_BF16 and request.param == "onednn")
    with products.multiplying_in("bf16", "cpu"):
        yield


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("transposed", [False, True])
def test_bf16_rounds_operands_and_sums_in_float32_but_where_it_is_thin(bf16, size, transposed):
    a, b, bias = (x.detach() for x in operands([1, 2], *size, transposed))
    found = affine(a, b, bias)
    if min(size) < products.THIN:
        with products.multiplying_in("float32", "cpu"):
            assert torch.equal(found, affine(a, b, bias))
        return
    doubles = [x.bfloat16().double() for x in (a, b)]
    expected = doubles[0] @ doubles[1] + bias
    scale = expected.abs().max().item()
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5 * scale)
    assert not torch.allclose(found.double(), a.double() @ b.double() + bias, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_bits_of_bf16_do_not_depend_on_the_stack(bf16, size):
    test_bits_do_not_depend_on_the_stack(None, size, transposed=True)


def test_doubles_stay_doubles_in_bf16(bf16):
    a, b, bias = operands([1], 32, 64, 64, dtype=torch.float64)
    found = affine(a, b, bias)
    with products.multiplying_in("float32", "cpu"):
        assert torch.equal(found, affine(a, b, bias))
    torch.testing.assert_close(found, a @ b + bias, rtol=0, atol=1e-12)


def test_precision_ends_with_its_block_and_is_told_among_the_kernels():
    before = products.kernels("cpu"), torch.get_float32_matmul_precision()
    with pytest.raises(KeyError), products.multiplying_in("bf16", "cpu"):
        assert "bf16" in products.kernels("cpu")
        assert torch.get_float32_matmul_precision() == "medium"
        raise KeyError
    assert (products.kernels("cpu"), torch.get_float32_matmul_precision()) == before


def test_bf16_is_refused_on_other_devices():
    with (
        pytest.raises(ValueError, match="not on cuda; train there with float32"),
        products.multiplying_in("bf16", "cuda"),
    ):
        pass


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
