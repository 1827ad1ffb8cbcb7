"""A small segmenter of one finding in radiographs: MONAI's U-Net, always trained as long."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from monai.losses.dice import DiceCELoss
from monai.networks.nets.unet import UNet
from torch import Tensor, nn

from benchmarks.brief_fit import fit_briefly
from medgen.align.augment import AugmentConfig, augmented_with
from medgen.data.standard import radiograph_view, squared
from medgen.diffusion.noise import generator_for
from medgen.tasks.studies import one_of

MOVED = AugmentConfig(blur=0, noise=0.01, erase=0)


@dataclass(frozen=True)
class SegmenterConfig:
    """The size of a segmenter and of its training; every training set gets the same."""

    side: int = 128  # pixels
    widths: tuple[int, ...] = (16, 32, 64, 128)  # channels of each level
    steps: int = 1000
    batch: int = 8
    learning_rate: float = 2e-3
    seed: int = 0


@dataclass(frozen=True)
class Case:
    """A radiograph and where the finding is in it; nowhere, if it has none.

    Attributes:
        image: In [-1, 1].
        mask: 0 or 1.
    """

    image: Float[Tensor, "1 side side"]
    mask: Float[Tensor, "1 side side"]


def case_of(
    grey: np.ndarray, region: Bool[np.ndarray, "row column"], config: SegmenterConfig
) -> Case:
    """A radiograph and a region, as the segmenter sees them."""
    share = squared(torch.from_numpy(region.astype(np.float32)), config.side, 0.0)
    return Case(radiograph_view(grey, config.side), (share >= 0.5).float())


def trained(cases: Sequence[Case], config: SegmenterConfig) -> nn.Module:
    """A segmenter that has learned from cases, moved and lit a little each time.

    Half of what it sees has the finding, on average, or else it learns to find nothing.
    """
    torch.manual_seed(config.seed)
    strides = (2,) * (len(config.widths) - 1)
    # Its usual norm, of each image by itself, takes away how bright an image is.
    network = UNet(2, 1, 1, channels=config.widths, strides=strides, num_res_units=1, norm="BATCH")
    kinds = [kind for kind in _by_finding(cases) if kind]
    criterion = DiceCELoss(sigmoid=True, batch=True)

    def loss(step: int) -> Tensor:
        generator = generator_for(config.seed, step)
        chosen = [one_of(one_of(kinds, generator), generator) for _ in range(config.batch)]
        images, masks = zip(*(_moved(case, generator) for case in chosen), strict=True)
        value: Tensor = criterion(network(torch.stack(images)), torch.stack(masks))
        return value

    losses = map(loss, range(config.steps))
    fit_briefly(network, losses, steps=config.steps, learning_rate=config.learning_rate)
    return network


def _by_finding(cases: Sequence[Case]) -> tuple[list[Case], list[Case]]:
    """Those that have the finding, and those that do not."""
    ill = [case for case in cases if case.mask.any()]
    return ill, [case for case in cases if not case.mask.any()]


def _moved(case: Case, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    image, mask = augmented_with(case.image, case.mask, generator, MOVED)
    return image, case.mask if mask is None else (mask >= 0.5).float()


@torch.inference_mode()
def dice(network: nn.Module, case: Case) -> float:
    """Dice of what a segmenter finds; 0 where it finds nothing of too little to be seen."""
    found = network(case.image[None])[0] > 0
    there = case.mask > 0
    both = float((found & there).sum())
    return 2 * both / max(1.0, float(found.sum() + there.sum()))
