"""Products of stacks of matrices whose bits do not depend on the size of the stack.

On the CPU they are NumPy's: it multiplies one matrix of a stack after the other, and reaches small
ones in a third of the time that PyTorch takes (a layer of 64 x 6 units, three networks: 5 us
against 14). Arithmetic without autograd is done on `Array`s: NumPy's on the CPU, PyTorch's on other
devices.

In precision `bf16` the operands of products are rounded to bfloat16 and their sums are float32.
Thin products and convolutions of large images stay in float32. oneDNN multiplies so where the
processor has AMX; elsewhere the operands are rounded first, which gives the same numbers up to the
order of the sums, and no speed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from threadpoolctl import threadpool_info
from torch import Tensor

Array = np.ndarray | Tensor

# PyTorch overflows in silence; a run that diverges is found by its parameters.
silent = np.errstate(over="ignore", invalid="ignore")

# Part of a run's numerics: raise it when products, or other arithmetic of training, round
# differently than before though no behaviour version changes.
KERNELS = 1

# Where OpenBLAS, behind NumPy, keeps from AVX-512 (a processor that it does not know, or
# OPENBLAS_CORETYPE), oneDNN multiplies large matrices twice as fast.
_ONEDNN = torch.backends.cpu.get_cpu_capability() == "AVX512" and not any(
    library.get("architecture") in ("SkylakeX", "Cooperlake", "SapphireRapids")
    for library in threadpool_info()
)

Precision = Literal["float32", "bf16"]
_precision: Precision = "float32"
# With AVX-512's bfloat16 alone, as AMD's Zen 4 has it, oneDNN multiplies unrounded operands.
_HAS_BF16 = bool(
    torch.cpu._is_amx_tile_supported() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
)
THIN = 16  # rows, columns or inner size, below which a product is thin


def kernels(device: str) -> str:
    """Whose kernels multiply on a device, with the version of the arithmetic that calls them."""
    if device != "cpu":
        return f"torch-{KERNELS}"
    if _precision == "bf16":
        how = "onednn" if _HAS_BF16 else "rounded"
        return f"numpy-{KERNELS}, those that are not thin bf16 {how}"
    return f"numpy-{KERNELS}" + (", large ones onednn" if _ONEDNN else "")


@contextmanager
def multiplying_in(precision: Precision, device: str) -> Iterator[None]:
    """Products within the block are of this precision.

    Raises ValueError for `bf16` on another device than the CPU.
    """
    if precision == "bf16" and device != "cpu":
        raise ValueError(
            f"precision bf16 is of products on the CPU, not on {device}; train there with float32"
        )
    global _precision
    before = _precision, torch.get_float32_matmul_precision()
    _precision = precision
    torch.set_float32_matmul_precision("medium" if precision == "bf16" else "highest")
    try:
        yield
    finally:
        _precision = before[0]
        torch.set_float32_matmul_precision(before[1])


def array(x: Tensor) -> Array:
    """The same numbers in the same memory, without autograd."""
    return x.numpy(force=True) if x.is_cpu else x.detach()


def tensor(x: Array) -> Tensor:
    """The same numbers in the same memory."""
    return torch.from_numpy(x) if isinstance(x, np.ndarray) else x


def affine(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a b + bias for a [N, M, K], b [N, K, P] and a bias that broadcasts to [N, M, P].

    Differentiable any number of times.
    """
    return _Affine.apply(a, b, bias)  # type: ignore[no-untyped-call, no-any-return]


class _Affine(torch.autograd.Function):
    @staticmethod
    @silent
    def forward(ctx: Any, a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(a, b, bias)
        return tensor(product(array(a), array(b), None if bias is None else array(bias)))

    @staticmethod
    @silent
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        a, b, bias = ctx.saved_tensors
        need_a, need_b, need_bias = ctx.needs_input_grad
        if not torch.is_grad_enabled():
            arrays = (array(a), array(b), None if bias is None else array(bias))
            found = affine_gradients(*arrays, array(gradient), ctx.needs_input_grad)
            return tuple(None if x is None else tensor(x) for x in found)
        return (
            affine(gradient, b.mT) if need_a else None,
            affine(a.mT, gradient) if need_b else None,
            gradient.sum_to_size(bias.shape) if need_bias else None,
        )


def product(a: Array, b: Array, bias: Array | None = None) -> Array:
    """a b + bias for a [N, M, K], b [N, K, P] and a bias that broadcasts to [N, M, P]."""
    if a.shape[2] == 1:
        y = a * b
    elif _precision == "bf16" and isinstance(a, np.ndarray) and _rounded(a, b):
        y = _bf16(a, b)
    elif _ONEDNN and isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and _large(a, b):
        y = _onednn(a, b)
    else:
        y = a @ b
    if bias is not None:
        y += bias
    return y


def affine_gradients(
    a: Array, b: Array, bias: Array | None, gradient: Array, needs: Sequence[bool]
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients of `product` for a, b and bias, those that are needed, from that of its
    result; a's and b's are laid out in memory as they are."""
    need_a, need_b, need_bias = needs
    return (
        _like(a, gradient, b.mT) if need_a else None,
        _like(b, a.mT, gradient) if need_b else None,
        _summed(gradient, bias) if need_bias and bias is not None else None,
    )


def _rounded(a: np.ndarray, b: Array) -> bool:
    return min(*a.shape[1:], b.shape[2]) >= THIN and a.dtype == np.float32


def _bf16(a: np.ndarray, b: Array) -> np.ndarray:
    left, right = tensor(a), tensor(b)
    if _HAS_BF16:
        return torch.bmm(left, right).numpy()
    rounded = (x.bfloat16().float().numpy() for x in (left, right))
    return np.matmul(*rounded)


def _large(a: np.ndarray, b: np.ndarray) -> bool:
    _, rows, inner = a.shape
    columns = b.shape[2]
    numbers = rows * inner * columns
    return numbers > 2_000_000 and min(rows, columns, inner) >= 16 and a.dtype == np.float32


def _onednn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    multiply = torch.ops.mkldnn._linear_pointwise
    y = np.empty((len(a), a.shape[1], b.shape[2]), np.float32)
    for out, left, right in zip(y, a, b.mT, strict=True):
        out[:] = multiply(tensor(left), tensor(right), None, "none", [], "").numpy()
    return y


def _like(layout: Array, a: Array, b: Array) -> Array:
    """a b, with rows or columns contiguous in memory as `layout` has them."""
    strides = layout.strides if isinstance(layout, np.ndarray) else layout.stride()
    return product(b.mT, a.mT).mT if strides[1] < strides[2] else product(a, b)


def _summed(gradient: Array, bias: Array) -> Array:
    """`gradient` [N, M, P] summed to the shape of `bias`, [N, 1, P] or [N, M, 1]."""
    axis = 1 if bias.shape[1] == 1 else 2
    return gradient.sum(axis, keepdims=True)  # type: ignore[call-overload, no-any-return]
