"""Generate: a prompt and any images in, images of a modality out."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from medgen.data.standard import standard_view
from medgen.diffusion.guidance import Guidance
from medgen.diffusion.noise import draw_noise, generator_for
from medgen.diffusion.sampler import (
    Step,
    last,
    sample_ddim,
    sample_dpm_solver,
    sample_euler,
    sample_heun,
)
from medgen.diffusion.schedule import uniform_stops
from medgen.errors import InputError, MedgenError, UsageError
from medgen.io.image import MedicalImage
from medgen.metrics.phrases import load_phrases
from medgen.modality import FACTS, Kind, Modality
from medgen.shapes import Latent
from medgen.tasks.align_model import LoadedAligner, load_aligner
from medgen.tasks.align_studies import IMAGES
from medgen.tasks.codec_model import LoadedCodec, load_codec
from medgen.tasks.conditions import Told, conditions_of, told_of, told_scan, told_texts
from medgen.tasks.denormals import flushed_denormals
from medgen.tasks.device import choose_device
from medgen.tasks.flow_model import LoadedFlow, load_flow
from medgen.tasks.made_image import image_of
from medgen.tasks.memory import enough_memory
from medgen.tasks.prompt import Prompt, read_prompt

BUILT_IN = "flows"  # the bundled model
SAMPLERS = {
    "dpm": sample_dpm_solver,
    "euler": sample_euler,
    "heun": sample_heun,
    "ddim": sample_ddim,
}
CANDIDATES = 2**20  # more than anybody asks for of one sample; spreads the seeds


@dataclass(frozen=True)
class GenerateConfig:
    """What `medgen generate` is asked to do."""

    modality: str = "xray"  # what is made
    sources: tuple[str, ...] = ()  # images that it is told of, besides the prompt
    weights: tuple[float, ...] = ()  # how much each source counts; the prompt counts 1
    number: int = 1  # samples of a prompt
    steps: int = 12  # of the sampler
    sampler: str = "dpm"  # dpm, euler, heun or ddim
    guidance: float = 3.0  # how hard it is pushed towards the prompt; 1 does not push
    rescale: float = 0.0  # of what pushing adds to the contrast, the share that is taken back
    best_of: int = 1  # candidates for each sample; the one most like the prompt is kept
    together: int = 4  # samples at once
    unconditional: bool = False  # allow an empty prompt
    strict: bool = False  # refuse a prompt of which part would be lost
    format: str = ""  # radiographs: png or dicom; volumes: nifti or dicom; the first if not given
    spacing: float | None = None  # of a volume's voxels, mm; what suits the prompt if not given
    overwrite: bool = False  # replace results that exist
    model: str = BUILT_IN  # a bundled model's name, or a folder
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    seed: int = 0  # of all samples; sample k is the same alone and among many

    def __post_init__(self) -> None:
        """Raises UsageError for a word or a number that makes no sense."""
        if self.kind.modality is Modality.TEXT:
            raise UsageError("--modality text: is what `medgen report` is for")
        if self.sampler not in SAMPLERS:
            raise UsageError(f"sampler {self.sampler}: is not one of {', '.join(SAMPLERS)}")
        if self.format and self.format not in self.formats:
            words = " or ".join(self.formats)
            raise UsageError(f"--format {self.format}: {self.kind} is written as {words}")
        if self.spacing is not None and self.kind.modality is Modality.XRAY:
            raise UsageError("--spacing: is for volumes; nobody knows a radiograph's")
        if self.kind == Kind(Modality.MRI):
            raise UsageError("--modality mri: has to say how it is weighted: mri:t1, for one")
        if self.weights and len(self.weights) != len(self.sources):
            raise UsageError(f"{len(self.weights)} weights for {len(self.sources)} images")
        if not all(0 <= weight < math.inf for weight in self.weights):
            raise UsageError("a weight is 0 or more, and finite")
        for name in ("number", "steps", "best_of", "together"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; choose 1 or more")
        if not 0 <= self.guidance < math.inf or not 0 <= self.rescale <= 1:
            raise UsageError("guidance is 0 or more, and finite, and rescale in [0, 1]")

    @property
    def kind(self) -> Kind:
        """What is made."""
        return Kind.parse(self.modality)

    @property
    def formats(self) -> tuple[str, ...]:
        """What it can be written as; the first is the default."""
        is_flat = FACTS[self.kind.modality].axes == 2
        return ("png", "dicom") if is_flat else ("nifti", "dicom")


@dataclass(frozen=True)
class Generator:
    """A model in memory: all that makes images of one modality."""

    encoders: LoadedAligner
    codec: LoadedCodec
    flow: LoadedFlow
    device: torch.device

    @property
    def grid(self) -> tuple[int, ...]:
        """Channels and cells of a latent."""
        return (self.flow.flow.config.channels, *self.flow.flow.config.grid)

    def spacing(self, prompt: Prompt, config: GenerateConfig) -> float | None:
        """Of the voxels of a volume, mm; None for a radiograph.

        Raises:
            UsageError: If the flow does not make such voxels, or nothing says which it shall make.
        """
        known = sorted(self.flow.flow.config.spacings)
        words = " or ".join(f"{each:g}" for each in known)
        if config.spacing is not None and config.spacing not in known:
            raise UsageError(f"--spacing {config.spacing:g}: this model makes {words} mm")
        if len(known) < 2 or config.spacing is not None:
            return config.spacing or (known[0] if known else None)
        if not prompt.named:
            raise UsageError(f"--spacing: say which, {words} mm; the prompt does not say of what")
        return known[0] if prompt.is_of_head else known[-1]


@dataclass(frozen=True)
class Sample:
    """One generated image.

    Attributes:
        index: Number among the samples of its prompt, from 0.
        image: What was made.
        agreement: Cosine of its embedding and the prompt's, -1 to 1; None without a prompt.
        candidates: Agreement of all candidates that it was chosen from.
    """

    index: int
    image: MedicalImage
    agreement: float | None = None
    candidates: tuple[float, ...] = ()


def load_generator(config: GenerateConfig) -> Generator:
    """Load what a prompt needs.

    Raises:
        ModelError: If the model is missing, damaged, or lacks a part.
    """
    return _loaded(config.model, config.kind.modality, config.device)


def understood(text: str, config: GenerateConfig) -> Prompt:
    """Read a prompt as the model will.

    Raises:
        UsageError: If it is empty and need not be, or `strict` and part of it would be lost.
    """
    if not text.strip() and not (config.unconditional or config.sources):
        raise UsageError("the prompt is empty; write --text, or ask for it with --unconditional")
    loaded = load_generator(config)
    known = loaded.flow.card.extra.get(f"findings-{config.kind.modality}")
    prompt = read_prompt(
        text.strip(),
        load_phrases(),
        loaded.encoders.tokenizer,
        known=known,
        max_tokens=loaded.encoders.aligner.text_encoder.config.max_tokens,
    )
    if config.strict and prompt.is_misread:
        raise UsageError(f"--strict: part of the prompt would be lost ({prompt.lost}); reword it")
    return prompt


def generate(
    prompt: Prompt,
    sources: Sequence[MedicalImage],
    config: GenerateConfig,
    indices: Sequence[int] | None = None,
) -> Iterator[Sample]:
    """Make images that a prompt and images describe.

    Args:
        prompt: From `understood`.
        sources: Images to be told of, one for each of the config's.
        config: How many, and how.
        indices: Of the samples that are made; all of them if not given.

    Yields:
        The samples in their order; sample k depends on the seed and k alone.

    Raises:
        InputError: If nobody says what a source is.
        UsageError: If the best is asked for where nothing can be compared, or the spacing is none
            that the model makes.
        ModelError: If the model has no encoder of a source's modality.
        MedgenError: If the model answers with NaN.

    Example:
        Ten radiographs of a prompt::

            config = GenerateConfig(number=10)
            for sample in generate(understood("Large left effusion.", config), [], config):
                files.write(sample.image, Path(f"{sample.index}.png"), provenance=...)
    """
    loaded = load_generator(config)
    if config.best_of > 1 and not _can_agree(loaded, prompt, config):
        raise UsageError(
            f"--best-of: needs a text, and an encoder of {config.kind.modality} that compares"
        )
    told = _told(prompt, sources, config, loaded)
    spacing = loaded.spacing(prompt, config)
    scan = [told_scan(spacing, config.kind.contrast).to(loaded.device)] if spacing else []
    chosen = range(config.number) if indices is None else indices
    numbers = [(index, candidate) for index in chosen for candidate in range(config.best_of)]
    best: dict[int, Sample] = {}
    for start in range(0, len(numbers), config.together):
        part = numbers[start : start + config.together]
        remedy = "--set together=1 makes one image at a time, --device cpu needs no GPU's"
        with flushed_denormals(), enough_memory(remedy):
            decoded = _decoded(loaded, told, scan, part, config)
        images = [image_of(one, config.kind, spacing) for one in decoded]
        agreements = _agreements(loaded, prompt, images, config)
        for (index, candidate), image, agreement in zip(part, images, agreements, strict=True):
            one = Sample(index, image, agreement, (agreement,) if agreement else ())
            best[index] = _better(best.get(index), one)
            if candidate == config.best_of - 1:
                yield best.pop(index)


def _can_agree(loaded: Generator, prompt: Prompt, config: GenerateConfig) -> bool:
    """Whether a prompt and what is made of it can be compared."""
    return bool(prompt.text) and config.kind.modality in loaded.encoders.aligner.encoders


def _better(one: Sample | None, other: Sample) -> Sample:
    if one is None:
        return other
    chosen = max(one, other, key=lambda sample: sample.agreement or 0.0)
    return Sample(chosen.index, chosen.image, chosen.agreement, one.candidates + other.candidates)


@torch.no_grad()
def _decoded(
    loaded: Generator,
    told: Sequence[Told],
    scan: Sequence[Told],
    numbers: Sequence[tuple[int, int]],
    config: GenerateConfig,
) -> Float[Tensor, "batch 1 *space"]:
    """Walk a few latents from noise to clean, and decode them."""
    encoders, flow = loaded.encoders, loaded.flow.flow
    (nothing,) = told_texts(encoders.aligner.text_encoder, encoders.tokenizer, [""])
    conditions = conditions_of([[*(told or [nothing]), *scan]] * len(numbers))
    empty = conditions_of([[nothing, *scan]] * len(numbers))
    guidance = Guidance(config.guidance if told else 1.0, config.rescale)
    denoise = flow.denoise(conditions, empty, guidance)
    generators = [
        generator_for(config.seed, CANDIDATES * index + candidate) for index, candidate in numbers
    ]
    noise = draw_noise(generators, loaded.grid, loaded.device)
    sample: Callable[..., Iterator[Step]] = SAMPLERS[config.sampler]
    stops = uniform_stops(config.steps)
    latent: Latent = last(sample(denoise, flow.process, noise, stops, generators=generators))
    images = loaded.codec.codec.decode(latent).clamp(-1, 1)
    if not images.isfinite().all():
        raise MedgenError("the model answered with NaN; nothing was written: try another --seed")
    return images.float().cpu()


@torch.no_grad()
def _told(
    prompt: Prompt, sources: Sequence[MedicalImage], config: GenerateConfig, loaded: Generator
) -> list[Told]:
    aligner, told = loaded.encoders.aligner, []
    if prompt.text:
        told += told_texts(aligner.text_encoder, loaded.encoders.tokenizer, [prompt.text])
    weights = config.weights or (1.0,) * len(sources)
    paired = told_in_training(loaded, config)
    for image, weight in zip(sources, weights, strict=True):
        if image.kind is None or image.kind.modality not in IMAGES:
            name = image.source.path if image.source else "image"
            raise InputError(f"{name}: does not say what it is; write --from KIND=FILE")
        source = image.kind.modality
        encoder = loaded.encoders.encoder_of(source)
        view = standard_view(image, source, loaded.encoders.standard)
        encoded = encoder(view[None].float().to(loaded.device))
        (one,) = told_of(encoded, source, weight=weight)
        told.append(one if source in paired else one.shared)
    return [one for one in told if one.weight > 0]


def told_in_training(loaded: Generator, config: GenerateConfig) -> set[str]:
    """Modalities whose encoder the flow has listened to; others reach it by the shared space."""
    return set(loaded.flow.card.extra.get(f"told-{config.kind.modality}", ()))


@torch.no_grad()
def _agreements(
    loaded: Generator, prompt: Prompt, images: Sequence[MedicalImage], config: GenerateConfig
) -> list[float | None]:
    """How well each image agrees with the prompt in the space that all encoders share."""
    aligner = loaded.encoders.aligner
    if not _can_agree(loaded, prompt, config):
        return [None] * len(images)
    (said,) = told_texts(aligner.text_encoder, loaded.encoders.tokenizer, [prompt.text])
    modality = config.kind.modality
    views = [standard_view(image, modality, loaded.encoders.standard) for image in images]
    encoder = loaded.encoders.encoder_of(modality)
    seen = encoder(torch.stack(views).float().to(loaded.device)).embedding
    return [round(float(one), 4) for one in F.cosine_similarity(seen, said.embedding)]


@lru_cache(maxsize=1)
def _loaded(model: str, modality: Modality, device: str) -> Generator:
    """One model stays in memory: a batch loads it once."""
    place = choose_device(device)
    flow = load_flow(model, modality, place)
    return Generator(load_aligner(model, place), load_codec(model, modality, place), flow, place)
