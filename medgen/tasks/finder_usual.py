"""Is this an image of the kind that the finder has learned from?

Its own features say so: the mean of each channel over the image, held against those of studies that
it has not learned from.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.encoders.finder import Finder
from medgen.modality import Modality
from medgen.shapes import Image
from medgen.tasks.finder_model import Usual

FURTHEST = 0.99  # of the images held back lie within
MARGIN = 3.0  # that real ones may lie further off
FLAT = 1e-3  # smallest deviation of a channel


@torch.no_grad()
def features(finder: Finder, modality: Modality, view: Image) -> Float[Tensor, "features"]:
    """The mean of each channel of the coarsest grid, of one image."""
    coarsest = finder.stack(modality)(view)[-1]
    return coarsest[0].flatten(1).mean(1).float().cpu()


def usual_of(finder: Finder, modality: Modality, views: Iterable[Image]) -> Usual:
    """What these images look like to a finder in eval mode."""
    seen = torch.stack([features(finder, modality, view) for view in views])
    mean, deviation = seen.mean(0), seen.std(0, unbiased=False).clamp(min=FLAT)
    off = ((seen - mean) / deviation).square().mean(1).sqrt()
    return Usual(
        tuple(round(one, 4) for one in mean.tolist()),
        tuple(round(one, 4) for one in deviation.tolist()),
        round(MARGIN * float(off.quantile(FURTHEST)), 2),
    )


def oddness(finder: Finder, modality: Modality, view: Image, usual: Usual) -> float:
    """Root mean square of an image's deviations from the usual; 1 is usual."""
    seen = features(finder, modality, view)
    off = (seen - torch.tensor(usual.mean)) / torch.tensor(usual.deviation)
    return float(off.square().mean().sqrt())
