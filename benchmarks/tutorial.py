"""What generates radiographs is held against: MONAI's own pieces as its tutorial builds them.

`python -m benchmarks.tutorial -o runs/tutorial --codec-minutes M --flow-minutes N` trains MONAI's
`AutoencoderKL` and `DiffusionModelUNet` on the radiographs that the flows are trained on, for as
long. Networks, noise schedule and weights of the losses are those of MONAI's 2-D latent diffusion
tutorial (its configuration for 16 GB, which is made for slices of 256 pixels). Three things are as
ours: patches and batches of the codec, learning rates, which the tutorial means for a thousand
epochs, and the perceptual features, for its own must be downloaded. Its critic starts after five
epochs, when the time is over. Our sampler walks it.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from monai.networks.nets.autoencoderkl import AutoencoderKL
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from torch import Tensor, nn

from benchmarks.radiograph_sets import Pictures
from benchmarks.train_flows import MORE
from medgen.data.manifest import read_manifest
from medgen.diffusion.betas import scaled_linear_betas
from medgen.diffusion.denoiser import Denoiser
from medgen.diffusion.noise import draw_noise, generator_for
from medgen.diffusion.prediction import Prediction
from medgen.diffusion.process import VariancePreserving
from medgen.diffusion.sampler import last, sample_dpm_solver
from medgen.diffusion.schedule import uniform_stops
from medgen.latents.perceptual import RandomFeatures
from medgen.modality import Modality
from medgen.tasks.codecs.images import FrameConfig, framed_images, random_patch
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import fit
from medgen.tasks.fitting.snapshots import averaged_weights
from medgen.tasks.studies import one_of

PERCEPTUAL, DIVERGENCE = 1.0, 1e-6  # the tutorial's
TIMESTEPS = 1000
ENDLESS = 10_000_000  # steps: time ends the training
CODEC, FLOW = "codec", "flow"  # folders of the runs
SIDE = 128  # of the codec's patches
RADIOGRAPH = FrameConfig()


class TutorialCodec(nn.Module):
    """Radiographs to one channel at a quarter of the pixels, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.network = AutoencoderKL(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            latent_channels=1,
            channels=(64, 128, 256),
            num_res_blocks=(2, 2, 2),
            norm_num_groups=32,
            attention_levels=(False, False, False),
            with_encoder_nonlocal_attn=True,
            with_decoder_nonlocal_attn=True,
            use_flash_attention=True,
        )
        self.seen = RandomFeatures(2)

    def losses(self, images: Tensor) -> Mapping[str, Tensor]:
        """The terms of a step, and their total."""
        made, mean, deviation = self.network(images)
        variance = deviation.square()
        divergence = (mean.square() + variance - variance.log() - 1).flatten(1).sum(1).mean() / 2
        absolute, seen = (made - images).abs().mean(), self.seen(made, images)
        total = absolute + PERCEPTUAL * seen + DIVERGENCE * divergence
        return {"total": total, "absolute": absolute.detach(), "perceptual": seen.detach()}


class TutorialFlow(nn.Module):
    """What is noise in a noisy latent."""

    def __init__(self) -> None:
        super().__init__()
        self.process = VariancePreserving(scaled_linear_betas(1.5e-3, 1.95e-2, TIMESTEPS))
        self.network = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            channels=(32, 64, 128, 256),
            attention_levels=(False, True, True, True),
            num_head_channels=(0, 32, 32, 32),
            num_res_blocks=2,
            use_flash_attention=True,
        )

    def forward(self, noisy: Tensor, time: Tensor) -> Tensor:
        """The network counts its timesteps from 0."""
        found: Tensor = self.network(noisy, (TIMESTEPS * time - 1).expand(len(noisy)))
        return found


@dataclass(frozen=True)
class Patches:
    """Item number -> a patch of a radiograph."""

    images: Sequence[Tensor]
    seed: int

    def __call__(self, number: int) -> Tensor:
        """From anywhere."""
        generator = generator_for(self.seed, number)
        return random_patch(one_of(self.images, generator), SIDE, generator)


@dataclass(frozen=True)
class Noised:
    """Item number -> a clean latent, its noise and a time."""

    latents: Sequence[Tensor]
    seed: int

    def __call__(self, number: int) -> tuple[Tensor, Tensor, float]:
        """Of the tutorial's thousand times, each as likely."""
        generator = generator_for(self.seed, number)
        clean = one_of(self.latents, generator)
        noise = torch.randn(clean.shape, generator=generator)
        step = int(torch.randint(1, TIMESTEPS + 1, (), generator=generator))
        return clean, noise, step / TIMESTEPS


def codec_loss(codec: TutorialCodec, items: Sequence[Tensor]) -> Mapping[str, Tensor]:
    """As `fit` wants it."""
    return codec.losses(torch.stack(list(items)))


def flow_loss(
    flow: TutorialFlow, items: Sequence[tuple[Tensor, Tensor, float]]
) -> Mapping[str, Tensor]:
    """The squared error of the noise."""
    clean, noise = (torch.stack([item[at] for item in items]) for at in (0, 1))  # type: ignore[misc]
    time = torch.tensor([item[2] for item in items])
    noisy = flow.process.at(time).over(clean)(clean, noise)
    return {"total": F.mse_loss(flow(noisy, time).float(), noise)}


def train(studies: Path, out: Path, codec_minutes: float, flow_minutes: float) -> Iterator[str]:
    """Train both, and tell now and then how far they are; stopped, the same call goes on."""
    listed = list(read_manifest(studies / MORE))
    reading = framed_images(listed, Modality.XRAY, RADIOGRAPH, cache=studies / "views")
    images = [image for _, found in reading for image in found]
    torch.manual_seed(0)
    codec, flow = TutorialCodec(), TutorialFlow()
    config = FitConfig(
        ENDLESS, 8, 1e-3, decay="none", ema_decay=0.995, precision="bf16", minutes=codec_minutes
    )
    for one in fit(codec, Patches(images, 0), codec_loss, config, out / CODEC, resume=True):
        if one.step % 20 == 0:
            yield f"codec {one.step}: {one.loss['absolute']:.4f}, {one.elapsed / 60:.1f} min"
    codec = load_codec(out)
    latents = [encoded(codec, image[None].float())[0] for image in images]
    scale = float(torch.stack(latents).std())
    (out / "scale").write_text(f"{scale}\n")
    latents = [latent / scale for latent in latents]
    config = FitConfig(
        ENDLESS, 16, 4e-4, decay="none", ema_decay=0.999, precision="bf16", minutes=flow_minutes
    )
    for one in fit(flow, Noised(latents, 0), flow_loss, config, out / FLOW, resume=True):
        if one.step % 20 == 0:
            yield f"flow {one.step}: {one.loss['total']:.4f}, {one.elapsed / 60:.1f} min"


@torch.no_grad()
def encoded(codec: TutorialCodec, images: Tensor) -> Tensor:
    """The mean of the latents."""
    mean, _ = codec.network.encode(images)
    return mean


def load_codec(out: Path) -> TutorialCodec:
    """The codec of a finished run."""
    codec = TutorialCodec()
    codec.load_state_dict(averaged_weights(out / CODEC)[1])
    return codec.eval()


@torch.no_grad()
def tutorial_pictures(out: Path, number: int, steps: int, seed: int = 0) -> Pictures:
    """Radiographs of a finished run, by our sampler.

    Args:
        out: Its folder.
        number: How many.
        steps: Evaluations of the network, each.
        seed: Of all.
    """
    codec, flow = load_codec(out), TutorialFlow()
    flow.load_state_dict(averaged_weights(out / FLOW)[1])
    scale = float((out / "scale").read_text())
    denoiser = Denoiser(flow.eval(), flow.process, Prediction.NOISE)
    walk = partial(sample_dpm_solver, denoiser, flow.process, stops=uniform_stops(steps))
    cells = RADIOGRAPH.side // 4
    pictures = []
    for start in range(0, number, 8):
        indices = range(start, min(start + 8, number))
        noise = draw_noise([generator_for(seed, index) for index in indices], (1, cells, cells))
        made = codec.network.decode(last(walk(noise)) * scale)
        pictures.append(made.clamp(-1, 1)[:, 0].float().numpy())
    return np.concatenate(pictures)


def main(arguments: list[str] | None = None) -> int:
    """Train both."""
    parser = argparse.ArgumentParser(prog="benchmarks.tutorial", description=__doc__)
    parser.add_argument("--studies", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/tutorial"), metavar="DIR")
    parser.add_argument("--codec-minutes", type=float, required=True)
    parser.add_argument("--flow-minutes", type=float, required=True)
    options = parser.parse_args(arguments)
    minutes = (options.codec_minutes, options.flow_minutes)
    for line in train(options.studies, options.out, *minutes):
        print(line, file=sys.stderr, flush=True)
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
