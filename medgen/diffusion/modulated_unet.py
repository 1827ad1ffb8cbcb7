"""A small U-Net of MONAI's blocks that is told, at every level, what it is asked for.

MONAI's `DiffusionModelUNet` is four times slower on a CPU at the resolution of a local translator;
its `BasicUNet` is fast and knows no time. This is `BasicUNet` with the time and a condition vector
scaling and shifting the features of every level (FiLM; Perez et al. 2018, arXiv:1709.07871).
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from monai.networks.layers.factories import Norm
from monai.networks.nets.basic_unet import Down, TwoConv, UpCat
from torch import Tensor, nn

from medgen.diffusion.padding import crop_to_grid, pad_to_multiple
from medgen.shapes import Latent, Time

NormName = Literal["instance", "affine"]


@dataclass(frozen=True)
class ModulatedUNetConfig:
    """The size of the network.

    `norm` is what follows each convolution. `instance` learns well from nothing, but its answer
    depends on how much of the patient it sees. `affine` only scales and shifts each channel, so a
    patch is answered as in the whole image; it is for a network that has learned with the other
    (`medgen.diffusion.still`). A training step takes half the time.

    `detail` is for latents whose channels are the voxels of a cell, as the Haar codec's: layers
    over single cells that see the input again, since a few channels cannot tell which of the
    voxels of a cell belong to what. 64 cost a quarter of a step; 32 channels in place of 16 at the
    finest level would cost more than the whole of it.
    """

    spatial_dims: int = 3
    in_channels: int = 40
    out_channels: int = 8
    conditions: int = 9  # length of the condition vector
    widths: tuple[int, ...] = (16, 32, 64, 128, 128)  # channels of each level, finest first
    embedding: int = 128  # width of the vector that time and conditions become
    frequencies: int = 16  # sine and cosine pairs that encode the time
    norm: NormName = "instance"
    detail: int = 0  # channels of the layers over single cells; 0 is none


class ChannelAffine(nn.Module):
    """A scale and a shift of each channel, in the place of a norm; it measures nothing."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))

    def forward(self, features: Latent) -> Latent:
        """The same shape."""
        space = (...,) + (None,) * (features.ndim - 2)
        return torch.addcmul(self.bias[space], features, self.weight[space])


AFFINE = "medgen_affine"
Norm.add_factory_callable(AFFINE, lambda dimensions: ChannelAffine, "Scales and shifts a channel.")


class ModulatedUNet(nn.Module):
    """`network(latent, time, conditions) -> prediction`, on any grid.

    Grids that a level cannot halve are padded by repeating their edge, and cropped again.
    """

    def __init__(self, config: ModulatedUNetConfig) -> None:
        super().__init__()
        self.config = config
        act = ("LeakyReLU", {"inplace": True, "negative_slope": 0.1})
        norm = ("instance", {"affine": True}) if config.norm == "instance" else (AFFINE, {})
        dims, widths = config.spatial_dims, config.widths
        self.entry = TwoConv(dims, config.in_channels, widths[0], act, norm, True)
        self.down = nn.ModuleList(
            Down(dims, above, below, act, norm, True) for above, below in pairwise(widths)
        )
        self.up = nn.ModuleList(
            UpCat(dims, below, above, above, act, norm, True, halves=below != above)
            for above, below in reversed(list(pairwise(widths)))
        )
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.exit = convolution(widths[0], config.out_channels, kernel_size=1)
        if config.detail:
            seen = widths[0] + config.in_channels
            self.detail = _pointwise(seen, config.detail, config.out_channels)
        self.embed = nn.Sequential(
            nn.Linear(2 * config.frequencies + config.conditions, config.embedding),
            nn.SiLU(),
            nn.Linear(config.embedding, config.embedding),
            nn.SiLU(),
        )
        levels = [*widths, *reversed(widths[:-1])]
        self.modulation = nn.ModuleList(_silent(config.embedding, 2 * width) for width in levels)

    def forward(
        self, latent: Latent, time: Time, conditions: Float[Tensor, "batch conditions"]
    ) -> Float[Tensor, "batch prediction *grid"]:
        """Predict from the noisy latent, the time in [0, 1] and the condition vector."""
        padded = pad_to_multiple(latent, 2 ** len(self.down))
        if self.config.norm == "affine":
            padded = _channels_last(padded)  # convolutions take half the time; norms lose it
        told = self.embed(torch.cat([self._clock(time, len(latent)), conditions], dim=1))
        modulation = iter(self.modulation)
        features = _modulate(self.entry(padded), next(modulation)(told))
        skips = []
        for down in self.down:
            skips.append(features)
            features = _modulate(down(features), next(modulation)(told))
        for up in self.up:
            features = _modulate(up(features, skips.pop()), next(modulation)(told))
        if self.config.detail:
            cells = torch.cat([features, padded.to(features.dtype)], dim=1).movedim(1, -1)
            hidden = self.detail[:-1](cells)
        with torch.autocast(latent.device.type, enabled=False):
            # bfloat16 would round the answer to 8 bits: 4 HU
            prediction = self.exit(features.float())
            if self.config.detail:
                prediction = prediction + self.detail[-1](hidden.float()).movedim(-1, 1)
        return crop_to_grid(prediction, latent.shape[2:])

    def _clock(self, time: Time, batch: int) -> Float[Tensor, "batch frequencies"]:
        """Sines and cosines of the time, from one turn to a hundred."""
        octaves = torch.linspace(0, math.log(100), self.config.frequencies, device=time.device)
        angles = time[:, None] * octaves.exp() * math.pi
        return torch.cat([angles.sin(), angles.cos()], dim=1).expand(batch, -1)


def _channels_last(features: Latent) -> Latent:
    """The same numbers, those of one cell next to each other in memory."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return features.contiguous(memory_format=formats[features.ndim])


def _pointwise(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Three layers over single cells, the last of which at first says 0."""
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Linear(hidden, hidden),
        nn.LeakyReLU(0.1, inplace=True),
        last,
    )


def _silent(inputs: int, outputs: int) -> nn.Linear:
    """A layer that at first says 0: nobody is modulated."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _modulate(features: Latent, scale_and_shift: Float[Tensor, "batch doubled"]) -> Latent:
    scale, shift = scale_and_shift.to(features.dtype).chunk(2, dim=1)
    space = (...,) + (None,) * (features.ndim - 2)
    return torch.addcmul(shift[space], features, 1 + scale[space])
