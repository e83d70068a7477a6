"""Convolutions over a stack of networks: kernels times patches, on MinAtar sizes faster than a
grouped conv2d at every stack size; large images one network after the other."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from suite.stacked.products import affine

# Numbers in an image, beyond which PyTorch's convolution is taken in place of products of patches:
# above every MinAtar game's (10 x 10 x 10).
LARGE_IMAGE = 1000


def is_large(image: tuple[int, ...]) -> bool:
    """Whether PyTorch convolves images of this shape."""
    return math.prod(image) > LARGE_IMAGE


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """[N, B, out, H', W'] for images [N, B, in, H, W], weight [N, out, in, kernel, kernel] and bias
    [N, 1, out]."""
    stack, batch, *image = x.shape
    if is_large(tuple(image)):
        # Patches of large images outgrow the caches; one network after the other keeps its bits.
        rows = zip(x, weight, strict=True)
        y = torch.stack([F.conv2d(images, kernels, stride=stride) for images, kernels in rows])
        return y if bias is None else y + bias.view(stack, 1, -1, 1, 1)
    outputs, kernel = weight.shape[1], weight.shape[3]
    taken = patches(x, kernel, stride)
    y = affine(weight.flatten(2), taken, None if bias is None else bias.mT)
    size = ((side - kernel) // stride + 1 for side in image[1:])
    return y.view(stack, outputs, *size, batch).movedim(-1, 1)


def patches(x: Tensor, kernel: int, stride: int) -> Tensor:
    """What each place of a kernel lies on, [N, in * kernel * kernel, H' * W' * B].

    The batch is innermost, so that a patch's element is one run of memory; for the replay's images
    the permutation copies nothing.
    """
    stack, batch, channels, height, width = x.shape
    elements = x.permute(0, 3, 4, 2, 1).reshape(-1, batch)
    places = _places(stack, channels, height, width, kernel, stride, x.device)
    return elements.index_select(0, places).view(stack, channels * kernel**2, -1)


@lru_cache(maxsize=64)
def _places(
    stack: int,
    channels: int,
    height: int,
    width: int,
    kernel: int,
    stride: int,
    device: torch.device,
) -> Tensor:
    """Places of the patches' elements in stacked images (height, width, channels), counted from
    the first image, in the order (image, channel, row and column in the kernel, position)."""
    image = torch.arange(stack * height * width * channels, device=device)
    image = image.view(stack, height, width, channels)
    windows = image.unfold(1, kernel, stride).unfold(2, kernel, stride)
    return windows.permute(0, 3, 4, 5, 1, 2).flatten()
