"""Random crops and translations of images (Laskin et al. 2020, RAD), on bytes, before any network.

Images are [S, B, height, width, channels] and corners [S, B, 2]: row and column, from 0.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def crop(images: Tensor, corners: Tensor, size: int) -> Tensor:
    """The square of `size` whose upper left corner is at `corners`, from each image."""
    stack, batch, height, width, channels = images.shape
    line = torch.arange(size, device=images.device)
    rows = corners[..., 0, None] + line
    columns = corners[..., 1, None] + line
    image = torch.arange(stack * batch, device=images.device).view(stack, batch, 1, 1)
    pixels = (image * height + rows[..., None]) * width + columns[..., None, :]
    taken = images.reshape(-1, channels).index_select(0, pixels.flatten())
    return taken.view(stack, batch, size, size, channels)


def translate(images: Tensor, corners: Tensor, size: int) -> Tensor:
    """Each image with its upper left corner at `corners` of a black square of `size`."""
    margin = size - images.shape[2]
    return crop(F.pad(images, (0, 0, margin, margin, margin, margin)), margin - corners, size)
