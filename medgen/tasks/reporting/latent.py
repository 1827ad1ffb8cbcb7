"""The latent engine: a flow of reports, told of the images, walked from noise and written out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from medgen.diffusion.guidance import Guidance
from medgen.diffusion.noise import draw_noise, generator_for
from medgen.diffusion.sampler import last, sample_dpm_solver
from medgen.diffusion.schedule import uniform_stops
from medgen.modality import Modality
from medgen.tasks.aligning.model import LoadedAligner
from medgen.tasks.codecs.report import LoadedReportCodec, load_report_codec
from medgen.tasks.denormals import flushed_denormals
from medgen.tasks.device import choose_device
from medgen.tasks.flows.conditions import Told, conditions_of, told_texts
from medgen.tasks.flows.model import LoadedFlow, load_flow


@dataclass(frozen=True)
class Walk:
    """From noise to a report.

    Attributes:
        model: A bundled model's name, or a folder.
        device: Where.
        steps: Of the sampler.
        guidance: How hard it is pushed towards the images; 1 does not push.
        longest: Tokens at most.
        seed: Of the noise.
    """

    model: str
    device: str
    steps: int
    guidance: float
    longest: int
    seed: int


@torch.no_grad()
def latent_words(told: Sequence[Told], encoders: LoadedAligner, walk: Walk, number: int) -> str:
    """A report of what the encoders say of images.

    Args:
        told: Of each image.
        encoders: Which said it.
        walk: How.
        number: Of the candidate; it has a noise of its own.

    Raises:
        ModelError: If the model lacks the flow or the codec of reports.
    """
    flow, codec = _loaded(walk.model, walk.device)
    (nothing,) = told_texts(encoders.aligner.text_encoder, encoders.tokenizer, [""])
    denoise = flow.flow.denoise(
        conditions_of([list(told)]), conditions_of([[nothing]]), Guidance(walk.guidance, 0.0)
    )
    shape = flow.flow.config
    generators = [generator_for(walk.seed, number)]
    noise = draw_noise(generators, (shape.channels, *shape.grid), choose_device(walk.device))
    stops = uniform_stops(walk.steps)
    with flushed_denormals():
        steps = sample_dpm_solver(denoise, flow.flow.process, noise, stops, generators=generators)
        latent = last(steps)
    ids = codec.codec.decode(latent, max_tokens=walk.longest)
    return codec.tokenizer.decode(ids[0])


@lru_cache(maxsize=1)
def _loaded(model: str, device: str) -> tuple[LoadedFlow, LoadedReportCodec]:
    place = choose_device(device)
    return (
        load_flow(model, Modality.TEXT, place),
        load_report_codec(model, place),
    )
