"""Grids that a network can halve: pad the far edge, crop it again."""

from jaxtyping import Float
from torch import Size, Tensor
from torch.nn.functional import pad

from medgen.shapes import Latent


def pad_to_multiple(latent: Latent, multiple: int) -> Float[Tensor, "batch latent *padded"]:
    """Repeat the far edge of every axis until each size divides by `multiple`."""
    missing = [-size % multiple for size in latent.shape[2:]]
    if not any(missing):
        return latent
    amounts = [amount for size in reversed(missing) for amount in (0, size)]
    return pad(latent, amounts, mode="replicate")


def crop_to_grid(
    latent: Latent, grid: Size | tuple[int, ...]
) -> Float[Tensor, "batch latent *cropped"]:
    """The near corner of a latent, `grid` cells large."""
    corner = [slice(None), slice(None), *(slice(size) for size in grid)]
    return latent[tuple(corner)]
