"""tanh agrees with PyTorch's, and so do its first and second derivatives."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from suite.stacked.activations import activation

tanh = partial(activation, "tanh")


def test_tanh_is_within_two_units_of_pytorchs_in_float32() -> None:
    x = torch.linspace(-12, 12, 10_001)
    ours, theirs = tanh(x), torch.tanh(x)
    assert ours.dtype == torch.float32
    unit = torch.from_numpy(np.spacing(theirs.abs().numpy()))
    assert ((ours - theirs).abs() <= 2 * unit).all()
    assert ours.abs().max() == 1


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_tanh_has_its_derivatives(check: object) -> None:
    x = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
    assert check(tanh, (x,))  # type: ignore[operator]


def test_tanh_of_an_element_does_not_depend_on_its_neighbours() -> None:
    x = torch.randn(3, 5, 7)
    whole = tanh(x)
    assert torch.equal(tanh(x[1:2].clone()), whole[1:2])
    assert torch.equal(tanh(x.mT), whole.mT)
