"""Refine: an image in, the same at twice the resolution out; halved, it is what it was."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.diffusion.noise import draw_noise, generator_for
from medgen.diffusion.sampler import last, sample_dpm_solver
from medgen.diffusion.schedule import uniform_stops
from medgen.diffusion.windows import in_windows
from medgen.instruct.refiner import Fine, Refiner
from medgen.shapes import Embedding, Image, Latent, Time
from medgen.tasks.translator.translation import OVERLAP, patch_size

FLAT = 512  # cells of a side that a radiograph may have to be refined in one piece
LEVEL = 0.05  # of the noise on what is given: made images are not as sharp as real ones


@torch.no_grad()
def refined(
    low: Image,
    embedding: Embedding,
    refiner: Refiner,
    *,
    steps: int,
    seeds: Sequence[int],
    level: float = LEVEL,
) -> Fine:
    """Images at twice the resolution; the mean of every block of their pixels is that of `low`.

    The noise is drawn once for a whole volume: patches share it and are blended at every step.

    Args:
        low: In [-1, 1].
        embedding: Where each one's text lies in the shared space.
        refiner: In eval mode, on the device to compute on.
        steps: Of the sampler.
        seeds: One for each image.
        level: Of the noise that the network is given them with, 0 … 0.3: what is finer than that
            is made anew.
    """
    place = next(refiner.parameters()).device
    low, embedding = low.to(place).clamp(-1, 1), embedding.to(place)
    generators = [generator_for(seed, 0) for seed in seeds]
    noise = draw_noise(generators, (refiner.haar.channels - 1, *low.shape[2:]), place)
    given = low + level * draw_noise(generators, low.shape[1:], place)
    levels = torch.full((len(low),), level, device=place)
    network = None
    if low.ndim == 5 or max(low.shape[2:]) > FLAT:
        network = partial(_in_patches, refiner, given, levels, embedding)
    denoise = refiner.denoise(low, given, levels, embedding, network)
    details = last(sample_dpm_solver(denoise, refiner.process, noise, uniform_stops(steps)))
    return refiner.image(low, details)


def _in_patches(
    refiner: Refiner,
    given: Image,
    levels: Float[Tensor, "batch"],
    embedding: Embedding,
    noisy: Latent,
    time: Time,
) -> Latent:
    """What the network predicts of a whole image, patch by patch, blended."""
    bands = noisy.shape[1]
    whole = torch.cat([noisy, given], dim=1)
    grid, is_volume = noisy.shape[2:], noisy.ndim == 5
    sizes = [patch_size(size) if is_volume else min(size, FLAT) for size in grid]
    overlap = OVERLAP if is_volume else FLAT // 4
    answers = []
    for item, (level, where) in enumerate(zip(levels, embedding, strict=True)):

        def predict(patch: Tensor, level: Tensor = level, where: Tensor = where) -> Tensor:
            return refiner(patch[:, :bands], time, patch[:, bands:], level[None], where[None])

        answers.append(in_windows(predict, whole[item : item + 1], sizes, overlap))
    return torch.cat(answers)
