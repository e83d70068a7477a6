"""Products of stacks of matrices whose bits do not depend on the size of the stack.

PyTorch's batched product keeps that promise (CPU, one thread) unless a stack of one multiplies by a
single row or column: such a product takes another kernel, so it is done twice and one result kept.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_CPU = Path("/proc/cpuinfo")
# MKL, behind torch.bmm, leaves AMD processors at AVX2; oneDNN uses their AVX-512 (twice as fast).
_ONEDNN = (
    torch.backends.cpu.get_cpu_capability() == "AVX512"
    and _CPU.exists()
    and "AuthenticAMD" in _CPU.read_text()
)


def affine(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a b + bias for a [N, M, K], b [N, K, P] and a bias that broadcasts to [N, M, P].

    Differentiable any number of times.
    """
    if not torch.is_grad_enabled():
        return _product(a, b, bias)
    return _Affine.apply(a, b, bias)  # type: ignore[no-untyped-call, no-any-return]


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(a, b, bias)
        return _product(a, b, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        a, b, bias = ctx.saved_tensors
        return affine_gradients(a, b, bias, gradient, ctx.needs_input_grad)


def affine_gradients(
    a: Tensor, b: Tensor, bias: Tensor | None, gradient: Tensor, needs: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of `affine` for a, b and bias, those that are needed, from that of its
    result; a's and b's are laid out in memory as they are."""
    need_a, need_b, need_bias = needs
    return (
        _like(a, gradient, b.mT) if need_a else None,
        _like(b, a.mT, gradient) if need_b else None,
        gradient.sum_to_size(bias.shape) if need_bias and bias is not None else None,
    )


def _like(layout: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a b, with rows or columns contiguous in memory as `layout` has them."""
    return affine(b.mT, a.mT).mT if _is_transposed(layout) else affine(a, b)


def _is_transposed(x: Tensor) -> bool:
    return x.stride(1) == 1 and x.stride(2) != 1


def _product(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    stack, rows, inner = a.shape
    columns = b.shape[2]
    if stack == 1 and 1 in (rows, columns):
        pair = None if bias is None else bias.expand(2, -1, -1)
        return _product(a.expand(2, -1, -1), b.expand(2, -1, -1), pair)[:1]
    if inner == 1 and bias is None:
        return a * b
    if columns < 16 <= rows:
        # Few columns are slow; few rows are not.
        return _product(b.mT, a.mT, None if bias is None else bias.mT).mT
    large = min(rows, columns) >= 16 and inner >= 32 and rows * inner * columns > 2_000_000
    if _ONEDNN and large and a.dtype == torch.float32 and a.device.type == "cpu":
        multiply = torch.ops.mkldnn._linear_pointwise
        each = [multiply(x, y.T, None, "none", [], "") for x, y in zip(a, b, strict=True)]
        y = torch.stack(each)
        return y if bias is None else y.add_(bias)
    return torch.bmm(a, b) if bias is None else torch.baddbmm(bias, a, b)
