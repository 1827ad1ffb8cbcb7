"""Grids too large for one pass: window by window, each fading into the next."""

import math
from collections.abc import Callable, Sequence
from functools import reduce

import torch
from jaxtyping import Float
from monai.inferers import sliding_window_inference
from torch import Tensor

from medgen.shapes import Latent


def in_windows(
    predict: Callable[[Tensor], Tensor], whole: Latent, sizes: Sequence[int], overlap: int
) -> Float[Tensor, "batch answer *grid"]:
    """What `predict` makes of a grid, a window at a time.

    Args:
        predict: Of a window of `whole`; the answer, of any channels, has the window's grid.
        whole: The grid is padded by its edge where it is smaller than a window.
        sizes: Of a window, cells along each axis.
        overlap: Cells that neighbours share, at most half of a window.
    """
    shared = [min(overlap, size // 2) for size in sizes]
    answer = sliding_window_inference(
        whole,
        roi_size=sizes,
        sw_batch_size=1,
        predictor=predict,
        overlap=[cells / size for cells, size in zip(shared, sizes, strict=True)],
        roi_weight_map=_fading(sizes, shared).to(whole.device),
        padding_mode="replicate",
    )
    if not isinstance(answer, Tensor):
        raise TypeError("the sliding window returned more than one image")
    return answer


def _fading(sizes: Sequence[int], shared: Sequence[int]) -> Float[Tensor, "*window"]:
    """Weights of a window's cells: 1 within, a squared sine falling to 0 where it is shared.

    Those of two neighbours add up to 1. MONAI's Gaussians do not fade so: it raises weights below
    0.001, as all are towards two faces at once, to 0.001, and windows meet there in steps.
    """
    axes = []
    for size, cells in zip(sizes, shared, strict=True):
        from_end = torch.arange(size).minimum(torch.arange(size).flip(0)) + 0.5
        axes.append((from_end / max(1, cells)).clamp(max=1).mul(math.pi / 2).sin().square())
    return reduce(lambda weights, axis: weights[..., None] * axis, axes)
