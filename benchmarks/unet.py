"""The baseline: a plain MONAI U-Net, one MRI in, HU out, on the translator's 1 mm grid."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from monai.networks.nets.basic_unet import BasicUNet
from torch import Tensor, nn

from medgen.checkpoint import Card, load_part, save_model, verify
from medgen.config import from_mapping, to_mapping
from medgen.data.intensity import HOUNSFIELD, mri_window
from medgen.data.resample import Grid, resample
from medgen.diffusion.windows import in_windows
from medgen.io.image import MedicalImage
from medgen.modality import AIR_HU
from medgen.tasks.translator.examples import Example
from medgen.tasks.translator.loss import KILO_HU_PER_UNIT
from medgen.tasks.translator.translation import patient_grid

PART = "unet"
WINDOW, OVERLAP = 128, 16  # voxels of the 1 mm grid, as the translator's patches


@dataclass(frozen=True)
class UNetConfig:
    """The size of the baseline: that of MONAI's own defaults."""

    features: tuple[int, ...] = (32, 32, 64, 128, 256, 32)
    spacing: float = 1.0  # of its grid, mm


def new_unet(config: UNetConfig) -> nn.Module:
    """MONAI's U-Net, one channel in and one out, both in [-1, 1]."""
    return BasicUNet(3, 1, 1, features=config.features)


def unet_loss(network: nn.Module, items: list[Example]) -> dict[str, Tensor]:
    """Mean absolute error of the CT inside the weight, kilo-HU."""
    device = next(network.parameters()).device
    source = torch.stack([item.images[1:].sum(0, keepdim=True) for item in items]).to(device)
    truth = torch.stack([item.target for item in items]).to(device)
    weight = torch.stack([item.weight for item in items]).to(device)
    error = (network(source) - truth).abs() * weight
    sums = weight.flatten(1).sum(1).clamp(min=1)
    return {"total": KILO_HU_PER_UNIT * (error.flatten(1).sum(1) / sums).mean()}


def save_unet(folder: Path, card: Card, config: UNetConfig, state: dict[str, Tensor]) -> Card:
    """Write it as a model folder, replacing an older one."""
    return save_model(
        folder, card, {PART: state}, configs={PART: to_mapping(config)}, overwrite=True
    )


@dataclass(frozen=True)
class PlainUNet:
    """A trained baseline.

    Attributes:
        network: In eval mode.
        config: Its size and grid.
        card: Minutes and steps of its training in `extra`.
    """

    network: nn.Module
    config: UNetConfig
    card: Card

    @torch.inference_mode()
    def predict(self, image: MedicalImage) -> Float[np.ndarray, "i j k"]:
        """The CT of an MRI, HU, on the MRI's own grid."""
        grid = patient_grid(image, self.config.spacing)
        window = mri_window(image.voxels)
        mri = window.normalise(resample(image.voxels, image.geometry, grid, fill=window.low))
        source = torch.from_numpy(mri)[None, None].to(next(self.network.parameters()).device)
        sizes = [min(WINDOW, 16 * -(-size // 16)) for size in grid.shape]
        predicted = in_windows(self.network, source, sizes, OVERLAP)
        hu = HOUNSFIELD.denormalise(predicted[0, 0].cpu().numpy())
        i, j, k = image.voxels.shape
        return resample(hu, grid.geometry, Grid((i, j, k), image.geometry), fill=AIR_HU)


def load_unet(folder: Path, device: torch.device) -> PlainUNet:
    """Load what `benchmarks.race` wrote, after checking its hashes."""
    card = verify(folder)
    config = from_mapping(UNetConfig, card.parts[PART].config, origin=str(folder))
    network = new_unet(config)
    network.load_state_dict(load_part(folder, card, PART))
    return PlainUNet(network.eval().to(device), config, card)
